"""Run a real nginx with the configuration of deploy/nginx, on free ports and in the test's directory."""

from __future__ import annotations

import http.client
import socket
import subprocess
import time
from typing import TYPE_CHECKING

from tests import support
from tests.support import executables
from tests.support.mongod import free_port
from tests.support.server import ROOT, send_request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.support.server import Answer

CONFIGURATION = ROOT / "deploy/nginx/customer-service.conf"
START_SECONDS = 10
MAIN = """
user root;
worker_processes 1;
daemon off;
pid pid;
error_log errors;
events {}
http {
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include site;
}
"""


class Nginx:
    """nginx in front of these ports of the service, its configuration changed by nothing but what is given."""

    def __init__(self, directory: Path, upstreams: Sequence[int], changes: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self._directory = directory
        site = CONFIGURATION.read_text()
        servers = "\n".join(f"server 127.0.0.1:{port} max_fails=0;" for port in upstreams)
        for given, here in {
            "server 127.0.0.1:3001 max_fails=0;": servers,
            "listen 80;": f"listen 127.0.0.1:{self.port};",
            "/var/log/nginx/": f"{directory}/",
            **(changes or {}),
        }.items():
            assert given in site
            site = site.replace(given, here)
        (directory / "nginx.conf").write_text(MAIN)
        (directory / "site").write_text(site)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Nginx:
        program = executables.find("nginx", "nginx-light")
        self._process = subprocess.Popen([program, "-p", self._directory, "-c", "nginx.conf", "-e", "errors"])
        deadline = time.monotonic() + START_SECONDS
        while not self._listens():
            assert self._process.poll() is None, (self._directory / "errors").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(timeout=10)

    def connect(self, source: str = "127.0.0.1", timeout: float = 15) -> http.client.HTTPConnection:
        """Return a connection that is not open yet, from this address of this machine."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout, source_address=(source, 0))

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        source: str = "127.0.0.1",
    ) -> Answer:
        """Ask once, over a connection of its own."""
        return send_request(self.connect(source), method, path, headers, body)

    def log(self) -> str:
        """Return what it wrote of the requests so far."""
        return (self._directory / "customer-service.log").read_text()

    def line_of(self, request_id: str) -> str:
        """Return the only line of the log on this request, which it writes once it has answered."""
        support.wait_until(lambda: request_id in self.log(), START_SECONDS, pause=0.01)
        (line,) = (line for line in self.log().splitlines() if request_id in line)
        return line

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True
