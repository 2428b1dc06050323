"""No framework, no token: what the server and one find cost."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from bson import ObjectId
from pymongo import MongoClient

from bench.peers.limits.wsgi_hello import BODY, HEADERS

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

client: MongoClient[dict[str, Any]] = MongoClient(os.environ["MONGODB_URI"], connect=False)
customers = client[os.environ["MONGODB_DATABASE"]]["customers"]


def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Find the customer of the path, and give the same answer for each."""
    _, _, organization_id, _, customer_id = environ["PATH_INFO"].split("/")
    customers.find_one({"_id": ObjectId(customer_id), "organizationId": organization_id})
    start_response("200 OK", HEADERS)
    return [BODY]
