"""The OpenAPI document, and the page that shows it to a person: large, for everybody, and without another server."""

from __future__ import annotations

import gzip
from functools import cache, partial
from importlib.resources import files
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from flask import Blueprint, Response, current_app, request, url_for
from werkzeug.exceptions import NotFound

from customer_service import __version__
from customer_service.digests import digest
from customer_service.routes.docs import errors
from customer_service.web import compression, openapi
from customer_service.web.responses import json_response
from customer_service.web.wsgi_environ import FORWARDED_PREFIX

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from flask import Flask

blueprint = Blueprint("reference", __name__)

OWN = files("customer_service.routes.docs")
SWAGGER_UI = files("flask_swagger_ui").joinpath("dist")
ASSETS: dict[str, tuple[Traversable, str]] = {
    "page.css": (OWN, "text/css"),
    "page.js": (OWN, "text/javascript"),
    "favicon-32x32.png": (SWAGGER_UI, "image/png"),
    "swagger-ui.css": (SWAGGER_UI, "text/css"),
    "swagger-ui-bundle.js": (SWAGGER_UI, "text/javascript"),
}
"""What the page is made of: where each file is, and its media type."""

ASSET_HEADERS = {"Cache-Control": "public, max-age=3600"}
PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
"""What keeps a token that is pasted into the page there: nothing but this service's own files runs, or is asked."""


class Asset(NamedTuple):
    """A file as it is served: compressed, and with an ETag that is weak, since it may be decompressed."""

    packed: bytes
    etag: str


def init_app(app: Flask) -> None:
    """Let the application tell what it answers, to programs and to people."""
    build, building = cache(partial(openapi.build_document, app, __version__)), Lock()

    def document() -> dict[str, Any]:
        with building:  # the first requests that ask for it share one document, which takes 40 ms
            return build()

    app.extensions["document"] = document
    app.register_blueprint(blueprint)


@blueprint.get("/openapi.json")
def get_openapi() -> Response:
    """Give the document, with the servers as they are behind a gateway's prefix."""
    told = current_app.extensions["document"]()
    return json_response({**told, "servers": openapi.servers(request.environ.get(FORWARDED_PREFIX, ""))})


@blueprint.get("/docs")
def get_reference() -> Response:
    """Show the page; every address in it is relative, and so right behind any prefix."""
    return Response(OWN.joinpath("page.html").read_bytes(), headers=PAGE_HEADERS, mimetype="text/html")


@blueprint.get("/docs/errors")
def get_errors() -> Response:
    """Show every problem type."""
    return Response(errors.page(), headers=PAGE_HEADERS, mimetype="text/html")


@blueprint.get("/")
def get_links() -> Response:
    """Answer with the paths of the reference page and of the OpenAPI document, as links too (RFC 8631)."""
    docs, document = url_for("reference.get_reference"), url_for("reference.get_openapi")
    links = f'<{docs}>; rel="service-doc", <{document}>; rel="service-desc"'
    return json_response({"docs": docs, "openapi": document}, {"Link": links})


@blueprint.get("/docs/<name>")
def get_asset(name: str) -> Response:
    """Give a file of the page, or 304 where the browser has it."""
    if name not in ASSETS:
        raise NotFound
    packed, etag = _asset(name)
    is_preferred = compression.prefers_gzip()
    response = Response(
        packed if is_preferred else gzip.decompress(packed), headers=ASSET_HEADERS, mimetype=ASSETS[name][1]
    )
    response.vary.add("Accept-Encoding")
    if is_preferred:
        response.content_encoding = "gzip"
    response.set_etag(etag, weak=True)
    response.make_conditional(request)
    return response


@cache
def _asset(name: str) -> Asset:
    body = ASSETS[name][0].joinpath(name).read_bytes()
    return Asset(gzip.compress(body, mtime=0), digest(body).hex())
