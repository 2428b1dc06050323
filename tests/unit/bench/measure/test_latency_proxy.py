"""The proxy that adds latency to MongoDB."""

from __future__ import annotations

import socket
import sys
import time
from typing import TYPE_CHECKING

import pytest

from bench.measure import processes, targets

if TYPE_CHECKING:
    from pathlib import Path


class TestLatencyProxy:
    @pytest.mark.parametrize("milliseconds", [0, 20])
    def test_a_round_trip_takes_so_much_longer_and_brings_the_same(self, milliseconds: int, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as echo:
            port = processes.free_port()
            arguments = [str(port), str(echo.getsockname()[1]), str(milliseconds)]
            command = [sys.executable, "-m", "bench.measure.latency_proxy", *arguments]
            proxy = processes.Server(command, targets.ROOT, {}, tmp_path / "log")
            try:
                proxy.wait_until_listening(port)
                echo.accept()[0].close()
                with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                    server = echo.accept()[0]
                    started = time.monotonic()
                    client.sendall(b"question")
                    assert server.recv(100) == b"question"
                    server.sendall(b"answer")
                    assert client.recv(100) == b"answer"
                    assert time.monotonic() - started >= milliseconds / 1000
                    server.sendall(b"the last")
                    server.close()
                    assert client.recv(100) == b"the last"
                    assert client.recv(100) == b""
            finally:
                proxy.stop()
