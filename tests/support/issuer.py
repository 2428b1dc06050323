"""A server on this machine that publishes a JWK set, or one of many bad responses."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import orjson
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from customer_service.auth.jwks import MAXIMUM_SET_BYTES
from tests.support.tokens import private_key, private_pem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Answer = Callable[["JwksServer", BaseHTTPRequestHandler], None]

DRIP_SECONDS = 0.02


class JwksServer:
    """Answers every GET as `answer` says, and counts them."""

    def __init__(self, *keys: dict[str, Any], tls: ssl.SSLContext | None = None) -> None:
        self.keys = list(keys)
        self.answer: Answer = publish
        self.requests: list[str] = []
        self.closing = threading.Event()
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.requests.append(self.path)
                publisher.answer(publisher, self)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = False
            request_queue_size = 64

            def handle_error(self, *_: object) -> None:
                """Say nothing: a client that hangs up is what some tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}/keys"

    def close(self) -> None:
        """Let go of every client, and stop."""
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def publish(server: JwksServer, request: BaseHTTPRequestHandler) -> None:
    """Answer the set."""
    send(request, orjson.dumps({"keys": server.keys}))


def send(request: BaseHTTPRequestHandler, body: bytes, status: int = 200, length: int | None = None) -> None:
    """Answer these bytes, and say that they are as many as that; a redirect leads to /moved."""
    request.send_response(status)
    request.send_header("Content-Length", str(len(body) if length is None else length))
    request.send_header("Location", "/moved")
    request.end_headers()
    request.wfile.write(body)


def refuse(server: JwksServer, request: BaseHTTPRequestHandler) -> None:
    """Answer 500."""
    send(request, orjson.dumps({"keys": server.keys}), 500)


def redirect(server: JwksServer, request: BaseHTTPRequestHandler) -> None:
    """Answer 302 to a URL that answers the set."""
    publish(server, request) if request.path == "/moved" else send(request, b"", 302)


def no_content(server: JwksServer, request: BaseHTTPRequestHandler) -> None:
    """Answer 204."""
    send(request, b"", 204)


def garbage(server: JwksServer, request: BaseHTTPRequestHandler) -> None:
    """Answer what is not HTTP."""
    request.wfile.write(b"\x00\xff garbage\r\n\r\n")


def page(server: JwksServer, request: BaseHTTPRequestHandler) -> None:
    """Answer a page in HTML."""
    send(request, b"<html>login</html>")


def unusable(server: JwksServer, request: BaseHTTPRequestHandler) -> None:
    """Answer a set without a key."""
    send(request, b'{"keys":[]}')


def too_large(server: JwksServer, request: BaseHTTPRequestHandler) -> None:
    """Answer the set, with ten times the space that it may take."""
    send(request, orjson.dumps({"keys": server.keys}) + b" " * 10 * MAXIMUM_SET_BYTES)


def cut(server: JwksServer, request: BaseHTTPRequestHandler) -> None:
    """Hang up amid the body."""
    send(request, orjson.dumps({"keys": server.keys})[:-9], length=999_999)


def silent(server: JwksServer, request: BaseHTTPRequestHandler) -> None:
    """Answer nothing until the test is over."""
    server.closing.wait()


def drip_header(server: JwksServer, request: BaseHTTPRequestHandler) -> None:
    """Answer a header that never ends, byte by byte: no timeout between two bytes ever passes."""
    _drip(server, request, b"HTTP/1.1 200 OK\r\nX: ")


def drip_body(server: JwksServer, request: BaseHTTPRequestHandler) -> None:
    """Answer a body that never ends, byte by byte."""
    _drip(server, request, b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n")


def drip_chunk(server: JwksServer, request: BaseHTTPRequestHandler) -> None:
    """Answer a chunk whose size never ends, byte by byte."""
    _drip(server, request, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;")


def _drip(server: JwksServer, request: BaseHTTPRequestHandler, start: bytes) -> None:
    request.wfile.write(start)
    while not server.closing.wait(DRIP_SECONDS):
        request.wfile.write(b" ")


BAD_ANSWERS: tuple[Answer, ...] = (
    *(refuse, redirect, no_content, garbage, page, unusable, too_large, cut),
    *(silent, drip_header, drip_body, drip_chunk),
)


def certify(chain: Path) -> ssl.SSLContext:
    """Write a certificate of this machine and its key to a file, and return how a server shows them."""
    key, name = private_key("RSA"), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    today = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, today, today + datetime.timedelta(1))
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    authority = x509.BasicConstraints(ca=True, path_length=None)
    certificate = builder.add_extension(address, critical=False).add_extension(authority, critical=True)
    chain.write_bytes(certificate.sign(key, SHA256()).public_bytes(Encoding.PEM) + private_pem("RSA").encode())
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(chain)
    return tls
