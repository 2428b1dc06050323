"""The application factory: create_app() wires all packages together."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from flask import Flask

from customer_service import routes
from customer_service.auth import authorization, rate_limits
from customer_service.auth.jwks import JwkSetKeys
from customer_service.auth.tokens import TokenVerifier
from customer_service.observability import request_log
from customer_service.observability.metrics import Metrics
from customer_service.repository import MembershipRepository, RateLimitRepository, WorkerCaches, ensure_indexes
from customer_service.repository.database import connect
from customer_service.repository.driver_internals import connections
from customer_service.repository.readiness import Readiness
from customer_service.routes import catalogs, docs, health, members
from customer_service.settings import Settings
from customer_service.settings.jwt import ANY_AUDIENCE
from customer_service.web import connection_errors, cors, error_handlers, openapi, proxy_headers, responses, routing
from customer_service.web.deadline import with_deadline
from customer_service.web.limits import MAXIMUM_BODY_BYTES

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from pymongo.database import Database

    from customer_service.observability.tracing import Tracing
    from customer_service.repository.database import Document
    from customer_service.web.responses import Representation

logger = logging.getLogger(__name__)


def create_app(settings: Settings | None = None, database: Database[Document] | None = None) -> Flask:
    """Return the service as a WSGI application; raises SettingsError.

    The settings default to those of the environment, the database to the one that the settings name. Call it after a
    server has forked: it connects to MongoDB.
    """
    settings = settings or Settings.from_environment()
    tracing = _tracing(settings)
    verifier = _token_verifier(settings)
    app = Flask(__name__, static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.config["MAX_CONTENT_LENGTH"] = MAXIMUM_BODY_BYTES + 1  # a longer chunked body is cut; requests.py refuses it
    app.extensions["database"] = _connect(settings, tracing) if database is None else database
    app.extensions["readiness"] = Readiness(app.extensions["database"])
    app.extensions["metrics"] = Metrics()
    app.extensions["worker_caches"] = _start_caches(settings, app.extensions["database"])
    _add_request_hooks(app, settings)
    _add_authorization(app, settings, verifier)
    _register_routes(app)
    if tracing:
        tracing.instrument(app)
    _watch_metrics(app, verifier)
    app.wsgi_app = _with_middleware(app, settings)  # type: ignore[method-assign, assignment]
    return app


def _tracing(settings: Settings) -> Tracing | None:
    if settings.tracing.endpoint is None:
        return None
    from customer_service.observability.tracing import Tracing  # noqa: PLC0415 - it needs an extra, and its import takes time

    return Tracing(settings)


def _token_verifier(settings: Settings) -> TokenVerifier:
    if settings.jwt.accepts_any_audience:
        logger.warning(ANY_AUDIENCE)
    return TokenVerifier(settings.jwt, cache_entries=settings.cache.token_entries)


def _connect(settings: Settings, tracing: Tracing | None) -> Database[Document]:
    database = connect(settings.mongodb, [tracing.commands] if tracing else [])
    if settings.mongodb.in_memory:
        ensure_indexes(database)  # no command can create them in the memory of this process
    return database


def _start_caches(settings: Settings, database: Database[Document]) -> WorkerCaches[Representation]:
    worker_caches: WorkerCaches[Representation] = WorkerCaches(
        database, settings.cache.membership_seconds, settings.cache.customer_entries
    )
    if not settings.mongodb.in_memory:
        worker_caches.start()
    return worker_caches


def _add_request_hooks(app: Flask, settings: Settings) -> None:
    """Add what happens before and after every request; Flask runs the after-request hooks in reverse order."""
    request_log.init_app(app, settings.server.log_level, app.extensions["metrics"], openapi.path_template)
    error_handlers.init_app(app)
    connection_errors.init_app(app)
    routing.init_app(app)
    responses.init_app(app)
    cors.init_app(app, settings.gateway.cors_allowed_origins)


def _add_authorization(app: Flask, settings: Settings, verifier: TokenVerifier) -> None:
    database, caches = app.extensions["database"], app.extensions["worker_caches"]
    authorization.init_app(app, verifier, MembershipRepository(database, caches.memberships))
    limit = settings.server.rate_limit_per_minute
    rate_limits.init_app(app, RateLimitRepository(database, limit) if limit else None)


def _register_routes(app: Flask) -> None:
    for blueprint in (routes.customers_blueprint, members.blueprint, catalogs.blueprint, health.blueprint):
        app.register_blueprint(blueprint)
    docs.init_app(app)


def _watch_metrics(app: Flask, verifier: TokenVerifier) -> None:
    metrics: Metrics = app.extensions["metrics"]
    caches: WorkerCaches[Representation] = app.extensions["worker_caches"]
    metrics.watch_caches(tokens=verifier.verified, memberships=caches.memberships, customers=caches.customers)
    if caches.memberships or caches.customers:
        metrics.watch_changes(caches)
    metrics.watch_connections(partial(connections, app.extensions["database"]))
    keys = verifier.keys
    if isinstance(keys, JwkSetKeys):
        metrics.watch_jwks(keys.age, lambda: keys.failures)
    metrics.watch_refusals(connection_errors.refusal_counts)
    metrics.start()


def _with_middleware(app: Flask, settings: Settings) -> WSGIApplication:
    wsgi_app = proxy_headers.trust_proxies(routing.with_api_prefix(app.wsgi_app), settings.gateway.trusted_proxies)
    counted = app.extensions["metrics"].count_in_flight(wsgi_app)
    return with_deadline(counted, settings.mongodb.timeout_ms / 1000)
