"""URL routing: the base paths, the converters of path parameters, and exact slashes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import request
from werkzeug.exceptions import NotFound
from werkzeug.routing import BaseConverter

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from flask import Flask

API_PREFIX = "/api"
BASE_PATHS = ("/", API_PREFIX)
"""The documented base paths: the specification's two examples differ in this, so every route has both."""


class AnyText(BaseConverter):
    """A URL converter for the rest of a path: ids of other systems may contain slashes."""

    regex = "(?s:.+)"  # also line feeds: an anonymous caller gets 401 for any id
    part_isolating = False


class CustomerId(BaseConverter):
    """A URL converter for a path segment that is not the name of an operation, which has 405 for other methods."""

    regex = r"(?!(?:batch-get|batch-upsert|changes|tax-info-validation)\Z)[^/]+"


def init_app(app: Flask) -> None:
    """Add the converters, and let every slash of a path count."""
    app.url_map.converters.update(any_text=AnyText, customer_id=CustomerId)
    app.url_map.merge_slashes = False
    app.before_request(_refuse_doubled_slash)


def with_api_prefix(wsgi_app: WSGIApplication) -> WSGIApplication:
    """Return the application with its routes under API_PREFIX too."""

    def prefixed(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == API_PREFIX or path.startswith(f"{API_PREFIX}/"):
            environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + API_PREFIX
            path = path.removeprefix(API_PREFIX)
        environ["PATH_INFO"] = path or "/"  # the target may be a URL without a path (RFC 9110, section 4.2.3)
        return wsgi_app(environ, start_response)

    return prefixed


def _refuse_doubled_slash() -> None:
    """Raise NotFound for a path that begins with two slashes: the framework would treat them as one."""
    if request.environ["PATH_INFO"].startswith("//"):
        raise NotFound
