-- Sends the requests of a file, and prints one line that bench/measure/load.py reads.
-- Arguments: the file (raw requests, a NUL between two), and the seed of a random walk, or "once": each once, in order.
local requests, count, sent, once = {}, 0, 0, false
local random = math.random

function init(args)
  local file = assert(io.open(args[1], "rb"))
  for request in file:read("*a"):gmatch("%Z+") do
    count = count + 1
    requests[count] = request
  end
  file:close()
  once = args[2] == "once"
  if not once then math.randomseed(tonumber(args[2])) end
end

function request()
  if not once then return requests[random(count)] end
  sent = sent + 1
  return requests[sent] or error("every request of the file has been sent")
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    "requests=%d microseconds=%d p50=%d p99=%d failures=%d\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.timeout + errors.status
  ))
end
