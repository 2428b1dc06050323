-- Sends the requests of a file in random order, and prints one line that bench/load.py reads.
-- Arguments: the file (raw requests, a NUL between two), the seed of the walk.
local requests, count = {}, 0
local random = math.random

function init(args)
  local file = assert(io.open(args[1], "rb"))
  for request in file:read("*a"):gmatch("%Z+") do
    count = count + 1
    requests[count] = request
  end
  file:close()
  math.randomseed(tonumber(args[2]))
end

function request()
  return requests[random(count)]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    "requests=%d microseconds=%d p50=%d p99=%d failures=%d\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.timeout + errors.status
  ))
end
