"""Load by wrk and by our own load generator: what both send, and the line that both print."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from bench.measure import data, load, load_generator, writes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


LINE = "requests=20000 microseconds=5000000 p50=3100 p99=9200 failures=0\n"


ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Request-ID: 1\r\n\r\n{}"


@contextmanager
def served(asked: list[str]) -> Iterator[int]:
    """Serve on a port, and append the body of every request."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,)).start()
        yield server.server_port
        server.shutdown()


class TestLoad:
    def test_the_line_of_wrk_among_its_other_lines(self) -> None:
        seen = load.parse(f"Running 5s test @ http://127.0.0.1:1\n  Thread Stats   Avg\n{LINE}")
        assert (seen.rate, seen.p50, seen.p99) == (4000, 3100, 9200)

    def test_a_failure_is_not_in_the_rate(self) -> None:
        assert load.parse(LINE.replace("failures=0", "failures=10000")).rate == 2000

    @pytest.mark.parametrize("output", ["", LINE.replace("failures=0", "failures=20000"), LINE.replace("20000", "0")])
    def test_failures_alone_are_no_figures(self, output: str) -> None:
        with pytest.raises(load.LoadFailed):
            load.parse(output)

    def test_the_load_generator_knows_a_whole_answer(self) -> None:
        ends = [end for end in range(len(ANSWER) + 1) if load_generator.is_answer(ANSWER[:end])]
        assert ends == [len(ANSWER)]
        assert load_generator.is_answer(b"HTTP/1.1 304 NOT MODIFIED\r\nContent-Length: 700\r\n\r\n")

    def test_a_seed_is_a_random_walk_without_an_end(self) -> None:
        walks = [list(islice(load_generator.walk([b"a", b"b"], seed), 100)) for seed in ("1", "1", "2")]
        assert walks[0] == walks[1] != walks[2]
        assert set(walks[0]) == {b"a", b"b"}

    def test_once_is_every_request_in_order_and_then_a_failure(self) -> None:
        walk = load_generator.walk([b"a", b"b", b"c"], "once")
        assert list(islice(walk, 3)) == [b"a", b"b", b"c"]
        with pytest.raises(ValueError, match="has been sent"):
            next(walk)

    @pytest.mark.parametrize("generator", ["wrk", "our own"])
    def test_both_send_what_is_written_once_and_fail_without_more(
        self, generator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if generator == "our own":
            monkeypatch.setattr(shutil, "which", lambda _: None)
        elif shutil.which("wrk") is None:
            pytest.skip("wrk is not installed")
        asked: list[str] = []
        with served(asked) as port:
            turn = load.Turn(data.write(map(writes.create, range(30_000)), tmp_path / "many"), 4, 1, None)
            assert load.run(port, turn).failures == 0
            assert len(set(asked)) == len(asked) > 0
            few = load.Turn(data.write(map(writes.create, range(3)), tmp_path / "few"), 4, 1, None)
            with pytest.raises(load.LoadFailed, match="has been sent"):
                load.run(port, few)
            load.warm(port, few)
