"""Flask with one route and no database: what the server and the framework cost."""

from __future__ import annotations

from flask import Flask, Response

from bench.peers.limits.wsgi_hello import BODY

app = Flask(__name__, static_folder=None)


@app.get("/organizations/<organization_id>/customers/<customer_id>")
def hello(organization_id: str, customer_id: str) -> Response:  # noqa: ARG001
    """Answer the same to everyone."""
    return Response(BODY, mimetype="application/json")
