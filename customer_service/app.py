"""The application factory: create_app() wires all packages together."""

from __future__ import annotations

import logging
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from flask import Flask, request
from werkzeug.exceptions import NotFound
from werkzeug.routing import BaseConverter

from customer_service import routes
from customer_service.auth import authorization, rate_limits
from customer_service.auth.jwks import JwkSetKeys
from customer_service.auth.tokens import TokenVerifier
from customer_service.errors import Overloaded
from customer_service.observability import request_log
from customer_service.observability.metrics import Metrics
from customer_service.repository import MembershipRepository, QuotaRepository, WorkerCaches
from customer_service.repository.database import connect
from customer_service.repository.driver import connections
from customer_service.repository.preconditions import Readiness
from customer_service.routes import catalogs, docs, health, members
from customer_service.settings import Settings
from customer_service.web import connection_errors, cors, error_handlers, openapi, proxy_headers
from customer_service.web.deadline import with_deadline
from customer_service.web.limits import MAXIMUM_BODY_BYTES
from customer_service.web.wsgi_environ import OVERLOADED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from flask import Response
    from pymongo.database import Database

    from customer_service.observability.tracing import Tracing
    from customer_service.repository.database import Document
    from customer_service.web.responses import Representation


Function = TypeVar("Function", bound="Callable[..., Any]")

ANY_AUDIENCE = "any token of the issuer is accepted, also one for another service: set JWT_ISSUER and JWT_AUDIENCE"

logger = logging.getLogger(__name__)


class Service(Flask):
    """Flask without its check, at each call of a view or a hook, for coroutines: the service has none."""

    def ensure_sync(self, func: Function) -> Function:
        """Return the function unchanged."""
        return func


class AnyText(BaseConverter):
    """A URL converter for the rest of a path: ids of other systems may contain slashes."""

    regex = "(?s:.+)"  # also line feeds: an anonymous caller gets 401 for any id
    part_isolating = False


class CustomerId(BaseConverter):
    """A URL converter for a path segment that is not the name of an operation, which has 405 for other methods."""

    regex = "(?!(?:batch-get|batch-upsert|changes|tax-info-validation)$)[^/]+"


def create_app(settings: Settings | None = None, database: Database[Document] | None = None) -> Flask:
    """Return the service as a WSGI application; raises SettingsError.

    The settings default to those of the environment, the database to the one that the settings name. Call it after a
    server has forked: it connects to MongoDB.
    """
    settings = settings or Settings.from_environment()
    tracing = _tracing(settings)
    verifier = TokenVerifier(settings.jwt, cache_entries=settings.cache.token_entries)
    if settings.jwt.accepts_any_audience:
        logger.warning(ANY_AUDIENCE)
    app = Service(__name__, static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.merge_slashes = False
    listeners = [tracing.commands] if tracing else []
    app.extensions["database"] = connect(settings.mongodb, listeners) if database is None else database
    app.extensions["readiness"] = Readiness(app.extensions["database"])
    metrics = app.extensions["metrics"] = Metrics()
    request_log.init_app(app, settings.server.log_level, metrics, openapi.path_template)
    error_handlers.init_app(app)
    connection_errors.init_app(app)
    app.before_request(_refuse_overloaded)
    app.before_request(_refuse_doubled_slash)
    app.after_request(_set_default_headers)
    cors.init_app(app, settings.gateway.cors_allowed_origins)
    worker_caches = _start_caches(settings, app.extensions["database"])
    app.extensions["worker_caches"] = worker_caches
    authorization.init_app(app, verifier, MembershipRepository(app.extensions["database"], worker_caches.memberships))
    allowed = settings.server.rate_limit_per_minute
    rate_limits.init_app(app, QuotaRepository(app.extensions["database"], allowed) if allowed else None)
    app.config["MAX_CONTENT_LENGTH"] = MAXIMUM_BODY_BYTES + 1  # a longer chunked body is cut; requests.py refuses it
    app.url_map.converters.update(any_text=AnyText, customer_id=CustomerId)
    app.register_blueprint(routes.customers_blueprint)
    app.register_blueprint(members.blueprint)
    app.register_blueprint(catalogs.blueprint)
    app.register_blueprint(health.blueprint)
    docs.init_app(app)
    if tracing:
        tracing.instrument(app)
    _watch_metrics(app, verifier, worker_caches)
    behind_proxies = proxy_headers.trust_proxies(_with_api_prefix(app), settings.gateway.trusted_proxies)
    counted = metrics.count_in_flight(behind_proxies)
    app.wsgi_app = with_deadline(counted, settings.mongodb.timeout_ms / 1000)  # type: ignore[method-assign, assignment]
    return app


def _tracing(settings: Settings) -> Tracing | None:
    if settings.tracing.endpoint is None:
        return None
    from customer_service.observability.tracing import Tracing  # noqa: PLC0415 - it needs an extra, and its import takes time

    return Tracing(settings)


def _start_caches(settings: Settings, database: Database[Document]) -> WorkerCaches[Representation]:
    worker_caches: WorkerCaches[Representation] = WorkerCaches(
        database, settings.cache.membership_seconds, settings.cache.customer_entries
    )
    if not settings.mongodb.in_memory:
        worker_caches.start()
    return worker_caches


def _watch_metrics(app: Flask, verifier: TokenVerifier, worker_caches: WorkerCaches[Representation]) -> None:
    metrics: Metrics = app.extensions["metrics"]
    metrics.watch_caches(
        tokens=verifier.verified, memberships=worker_caches.memberships, customers=worker_caches.customers
    )
    if worker_caches.memberships or worker_caches.customers:
        metrics.watch_changes(worker_caches)
    metrics.watch_connections(partial(connections, app.extensions["database"]))
    keys = verifier.keys
    if isinstance(keys, JwkSetKeys):
        metrics.watch_jwks(keys.age, lambda: keys.failures)
    metrics.watch_refusals(connection_errors.refusal_counts)
    metrics.start()


def _refuse_overloaded() -> None:
    """Raise Overloaded if the server could not admit the request in time."""
    if request.environ.get(OVERLOADED):
        connection_errors.refusal_counts[HTTPStatus.SERVICE_UNAVAILABLE] += 1
        raise Overloaded


def _refuse_doubled_slash() -> None:
    """Raise NotFound for a path that begins with two slashes: the framework would treat them as one."""
    if request.environ["PATH_INFO"].startswith("//"):
        raise NotFound


def _set_default_headers(response: Response) -> Response:
    """Forbid content sniffing, and caching unless the response has its own Cache-Control."""
    response.headers.add("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _with_api_prefix(app: Flask) -> WSGIApplication:
    """Return the application with its routes under /api too: the specification's two examples differ in this."""
    inner: WSGIApplication = app.wsgi_app
    (prefix,) = (url for url in openapi.SERVERS if url != "/")

    def prefixed(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == prefix or path.startswith(f"{prefix}/"):
            environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + prefix
            environ["PATH_INFO"] = path.removeprefix(prefix) or "/"
        return inner(environ, start_response)

    return prefixed
