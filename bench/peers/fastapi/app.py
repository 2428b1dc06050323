"""The same read on FastAPI with pymongo's asynchronous client, PyJWT and orjson."""

from __future__ import annotations

import os
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import jwt
import orjson
from bson import ObjectId
from bson.errors import InvalidId
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from pymongo import AsyncMongoClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SECRET = os.environ["JWT_SECRET"].encode()
TOKEN_ENTRIES = int(os.environ["TOKEN_CACHE_ENTRIES"])
MEMBERSHIP_SECONDS = float(os.environ["MEMBERSHIP_CACHE_SECONDS"])
MEMBERSHIP_ENTRIES = 10_000

K = TypeVar("K")
V = TypeVar("V")

tokens: dict[str, tuple[str, float]] = {}
members: dict[tuple[str, str], float] = {}


@asynccontextmanager
async def lifespan(application: FastAPI) -> AsyncIterator[None]:
    """Connect to MongoDB once this worker has its event loop."""
    async with AsyncMongoClient[dict[str, Any]](os.environ["MONGODB_URI"]) as client:
        application.state.database = client[os.environ["MONGODB_DATABASE"]]
        yield


app = FastAPI(lifespan=lifespan, openapi_url=None)


def remember(kept: dict[K, V], most: int, key: K, value: V) -> None:
    """Keep a value, in place of the oldest where the map is full."""
    if len(kept) >= most:
        del kept[next(iter(kept))]
    kept[key] = value


def subject_of(authorization: str | None) -> str:
    """Return whose valid token it is; answers 401 for any other."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})
    known = tokens.get(token)
    if known is not None and known[1] > time.time():
        return known[0]
    try:
        claims = jwt.decode(token, SECRET, ["HS256"], options={"require": ["exp", "sub"]})
    except jwt.PyJWTError:
        raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"}) from None
    if TOKEN_ENTRIES:
        remember(tokens, TOKEN_ENTRIES, token, (claims["sub"], claims["exp"]))
    subject: str = claims["sub"]
    return subject


async def member(request: Request, organization_id: str) -> str:
    """Return the organization of the URL if the caller is its member; answers 401 or 403."""
    subject = subject_of(request.headers.get("authorization"))
    key = (subject, organization_id)
    if members.get(key, 0.0) > time.monotonic():
        return organization_id
    query = {"userId": subject, "organizationId": organization_id}
    if await request.app.state.database.memberships.find_one(query) is None:
        raise HTTPException(403)
    if MEMBERSHIP_SECONDS:
        remember(members, MEMBERSHIP_ENTRIES, key, time.monotonic() + MEMBERSHIP_SECONDS)
    return organization_id


@app.get("/organizations/{organization_id}/customers/{customer_id}")
async def get_customer(request: Request, scope: Annotated[str, Depends(member)], customer_id: str) -> Response:
    """Answer one customer of the organization."""
    try:
        key = ObjectId(customer_id)
    except InvalidId:
        raise HTTPException(404) from None
    document = await request.app.state.database.customers.find_one({"_id": key, "organizationId": scope})
    if document is None:
        raise HTTPException(404)
    return Response(orjson.dumps(body_of(document)), media_type="application/json")


def body_of(document: dict[str, Any]) -> dict[str, Any]:
    """Return the customer in the contract's shape."""
    address = document["address"]
    return {
        "id": str(document["_id"]),
        "organizationId": document["organizationId"],
        "legalName": document["legalName"],
        "taxId": document["taxId"],
        "taxSystem": document["taxSystem"],
        "email": document["email"],
        "phone": document.get("phone"),
        "defaultInvoiceUse": document["defaultInvoiceUse"],
        "address": {
            "street": address.get("street"),
            "exterior": address.get("exterior"),
            "interior": address.get("interior"),
            "neighborhood": address.get("neighborhood"),
            "city": address.get("city"),
            "municipality": address.get("municipality"),
            "zip": address.get("zip"),
            "state": address.get("state"),
            "country": address.get("country"),
        },
        "createdAt": document["createdAt"].isoformat() + "Z",
        "updatedAt": document["updatedAt"].isoformat() + "Z",
    }
