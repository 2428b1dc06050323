"""The composition root: the only module that knows every other."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from flask import Flask, jsonify
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.routing import BaseConverter

from customer_service import __version__, authorization, health, observability, openapi, problems, routes
from customer_service.arrivals import MAXIMUM_BODY_BYTES
from customer_service.database import connect, with_deadline
from customer_service.repository import MembershipRepository
from customer_service.settings import Settings
from customer_service.tokens import TokenVerifier

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from flask import Response
    from pymongo.database import Database

    from customer_service.database import Document


class AnyText(BaseConverter):
    """The rest of a path, slashes and all: somebody else's id may have them."""

    regex = "(?s:.+)"  # a line feed is no end: an anonymous caller is told 401 whatever the id
    part_isolating = False


class CustomerId(BaseConverter):
    """Any part of a path but those that name an operation, so that these answer 405 to the methods they lack."""

    regex = "(?!(?:batch-get|tax-info-validation)$)[^/]+"


def create_app(settings: Settings | None = None, database: Database[Document] | None = None) -> Flask:
    """Return the service as a WSGI application; raises SettingsError.

    The settings default to the environment's, the database to the one they name. Call it after a server has
    forked: it connects to MongoDB.
    """
    settings = settings or Settings.from_environment()
    verifier = TokenVerifier(settings.jwt)
    app = Flask(__name__, static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.merge_slashes = False
    app.extensions["database"] = connect(settings.mongodb) if database is None else database
    observability.init_app(app, settings.server.log_level)
    problems.init_app(app)
    authorization.init_app(app, verifier, MembershipRepository(app.extensions["database"]))
    app.config["MAX_CONTENT_LENGTH"] = MAXIMUM_BODY_BYTES
    app.url_map.converters.update(any_text=AnyText, customer_id=CustomerId)
    app.register_blueprint(routes.customers_blueprint)
    app.register_blueprint(routes.members.blueprint)
    app.register_blueprint(health.blueprint)
    _serve_openapi(app)
    app.wsgi_app = with_deadline(_under_documented_paths(app), settings.mongodb.timeout_ms / 1000)  # type: ignore[method-assign, assignment]
    return app


def _serve_openapi(app: Flask) -> None:
    document = cache(lambda: openapi.build(app, __version__))  # at the first request for it: it takes 40 ms

    @app.get("/openapi.json")
    def get_openapi() -> Response:
        return jsonify(document())


def _under_documented_paths(app: Flask) -> WSGIApplication:
    """Answer under /api as well as under /: the specification's two curls differ in this."""
    inner: WSGIApplication = app.wsgi_app
    return DispatcherMiddleware(inner, {url: inner for url in openapi.SERVERS if url != "/"})
