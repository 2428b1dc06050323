"""The OpenAPI document, and the pages that show it, without any file of another server."""

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
from customer_service.web.responses import json_response, not_modified_if_current
from customer_service.web.wsgi_environ import FORWARDED_PREFIX

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from flask import Flask

blueprint = Blueprint("docs", __name__)

OWN = files("customer_service.routes.docs")
SWAGGER_UI = files("flask_swagger_ui").joinpath("dist")
ASSETS: dict[str, tuple[Traversable, str]] = {
    "page.css": (OWN, "text/css"),
    "page.js": (OWN, "text/javascript"),
    "favicon-32x32.png": (SWAGGER_UI, "image/png"),
    "swagger-ui.css": (SWAGGER_UI, "text/css"),
    "swagger-ui-bundle.js": (SWAGGER_UI, "text/javascript"),
}
"""The files of the page, each with its folder and media type."""

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
"""The headers that keep a pasted token in the page: only this service's own files are loaded and called."""


class Asset(NamedTuple):
    """A compressed file with its ETag, which is weak because the file may be served decompressed."""

    packed: bytes
    etag: str


def init_app(app: Flask) -> None:
    """Add the OpenAPI document and its pages to the application."""
    build, building = cache(partial(openapi.build_document, app, __version__)), Lock()

    def document() -> dict[str, Any]:
        with building:  # it takes 40 ms: the first requests wait for one document
            return build()

    app.extensions["document"] = document
    app.register_blueprint(blueprint)


@blueprint.get("/openapi.json")
def get_openapi() -> Response:
    """Return the document, with the servers behind a gateway's prefix."""
    document = current_app.extensions["document"]()
    return json_response({**document, "servers": openapi.servers(_base())})


def _base() -> str:
    """Return what the servers begin with: the prefix of a gateway, or the demo's address, which generators need."""
    prefix: str = request.environ.get(FORWARDED_PREFIX, "")
    is_absolute = current_app.config.get("ABSOLUTE_SERVERS") and not prefix
    return request.host_url.removesuffix("/") if is_absolute else prefix


@blueprint.get("/docs")
def get_docs() -> Response:
    """Return the page; every address in it is relative, so that it works behind any prefix."""
    return Response(OWN.joinpath("page.html").read_bytes(), headers=PAGE_HEADERS, mimetype="text/html")


@blueprint.get("/docs/errors")
def get_errors() -> Response:
    """Return the page of the problem types."""
    return Response(errors.page(), headers=PAGE_HEADERS, mimetype="text/html")


@blueprint.get("/")
def get_links() -> Response:
    """Return the paths of the documentation page and the OpenAPI document, as links too (RFC 8631)."""
    docs, document = url_for("docs.get_docs"), url_for("docs.get_openapi")
    links = f'<{docs}>; rel="service-doc", <{document}>; rel="service-desc"'
    return json_response({"docs": docs, "openapi": document}, {"Link": links})


@blueprint.get("/docs/<name>")
def get_asset(name: str) -> Response:
    """Return a file of the page, or 304 if the browser has it."""
    if name not in ASSETS:
        raise NotFound
    packed, etag = _asset(name)
    prefers_gzip = compression.prefers_gzip()
    response = Response(
        packed if prefers_gzip else gzip.decompress(packed), headers=ASSET_HEADERS, mimetype=ASSETS[name][1]
    )
    response.vary.add("Accept-Encoding")
    if prefers_gzip:
        response.content_encoding = "gzip"
    response.set_etag(etag, weak=True)
    return not_modified_if_current(response)


@cache
def _asset(name: str) -> Asset:
    body = ASSETS[name][0].joinpath(name).read_bytes()
    return Asset(gzip.compress(body, mtime=0), digest(body).hex())
