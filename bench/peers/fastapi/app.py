"""The same read and writes on FastAPI with pymongo's asynchronous client, PyJWT, pydantic and orjson."""

from __future__ import annotations

import os
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import jwt
import orjson
from bson import ObjectId
from bson.errors import InvalidId
from customers import CustomerInput, as_input, body_of, merged, new, update
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from pydantic import ValidationError
from pymongo import AsyncMongoClient, InsertOne, ReturnDocument, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

SECRET = os.environ["JWT_SECRET"].encode()
TOKEN_ENTRIES = int(os.environ["TOKEN_CACHE_ENTRIES"])
MEMBERSHIP_SECONDS = float(os.environ["MEMBERSHIP_CACHE_SECONDS"])
MEMBERSHIP_ENTRIES = 10_000
PATH = "/organizations/{organization_id}/customers"

K = TypeVar("K")
V = TypeVar("V")

tokens: dict[str, tuple[str, float]] = {}
members: dict[tuple[str, str], tuple[str, float]] = {}


@asynccontextmanager
async def lifespan(application: FastAPI) -> AsyncIterator[None]:
    """Connect to MongoDB once this worker has its event loop."""
    async with AsyncMongoClient[dict[str, Any]](os.environ["MONGODB_URI"], w="majority") as client:
        application.state.database = client[os.environ["MONGODB_DATABASE"]]
        yield


app = FastAPI(lifespan=lifespan, openapi_url=None)


def remember(kept: dict[K, V], most: int, key: K, value: V) -> None:
    """Keep a value, in place of the oldest if the map is full."""
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


async def role_in(request: Request, organization_id: str) -> str:
    """Return the caller's role in the organization of the URL; answers 401 or 403."""
    subject = subject_of(request.headers.get("authorization"))
    key = (subject, organization_id)
    known = members.get(key)
    if known is not None and known[1] > time.monotonic():
        return known[0]
    query = {"userId": subject, "organizationId": organization_id}
    membership = await request.app.state.database.memberships.find_one(query)
    if membership is None:
        raise HTTPException(403)
    role: str = membership["role"]
    if MEMBERSHIP_SECONDS:
        remember(members, MEMBERSHIP_ENTRIES, key, (role, time.monotonic() + MEMBERSHIP_SECONDS))
    return role


async def editor(request: Request, organization_id: str) -> None:
    """Answer 401 or 403 unless the caller may write in the organization."""
    if await role_in(request, organization_id) not in {"editor", "admin"}:
        raise HTTPException(403)


@app.get(f"{PATH}/{{customer_id}}", dependencies=[Depends(role_in)])
async def get_customer(request: Request, organization_id: str, customer_id: str) -> Response:
    """Answer one customer of the organization."""
    return answer(await get(request, organization_id, customer_id))


@app.post(PATH, dependencies=[Depends(editor)])
async def create_customer(request: Request, organization_id: str) -> Response:
    """Create a customer."""
    document = new(validated(CustomerInput.model_validate_json, await request.body()), organization_id)
    try:
        await request.app.state.database.customers.insert_one(document)
    except DuplicateKeyError:
        raise HTTPException(409) from None
    return answer(document, 201, {"Location": f"{request.url.path}/{document['_id']}"})


@app.patch(f"{PATH}/{{customer_id}}", dependencies=[Depends(editor)])
async def update_customer(request: Request, organization_id: str, customer_id: str) -> Response:
    """Change some of a customer, on its newest state."""
    patch = parsed(await request.body())
    while True:
        document = await get(request, organization_id, customer_id)
        customer = validated(CustomerInput.model_validate, merged(as_input(document), patch))
        try:
            written = await request.app.state.database.customers.find_one_and_update(
                *update(document, customer), return_document=ReturnDocument.AFTER
            )
        except DuplicateKeyError:
            raise HTTPException(409) from None
        if written is not None:
            return answer(written)


@app.post(f"{PATH}/batch-upsert", dependencies=[Depends(editor)])
async def batch_upsert_customers(request: Request, organization_id: str) -> Response:
    """Create or replace customers by their external ids, in one write for all of them."""
    customers = list(map(judge, parsed(await request.body())["customers"]))
    results = None
    while results is None:
        results = await upsert(request.app.state.database.customers, organization_id, customers)
    return Response(orjson.dumps({"results": results}), media_type="application/json")


async def upsert(
    collection: Any, organization_id: str, customers: list[CustomerInput | None]
) -> list[dict[str, Any]] | None:
    """Store the customers and return the results, or None if another request changed one of them meanwhile."""
    ids = [customer.externalId for customer in customers if customer is not None]
    cursor = collection.find({"organizationId": organization_id, "externalId": {"$in": ids}})
    found = {document["externalId"]: document async for document in cursor}
    results = [settle(customer, found, organization_id) for customer in customers]
    places = [index for index, (_, _, operation) in enumerate(results) if operation is not None]
    written = await write(collection, [results[index][2] for index in places])
    failed = {places[failure["index"]] for failure in written["writeErrors"]}
    changed = [index for index in places if results[index][0] == "changed" and index not in failed]
    if written["nMatched"] != len(changed):
        return None
    return [
        {"index": index, "status": "failed" if index in failed else status, "id": key and str(key)}
        for index, (status, key, _) in enumerate(results)
    ]


def settle(
    customer: CustomerInput | None, found: Mapping[str, dict[str, Any]], organization_id: str
) -> tuple[str, ObjectId | None, InsertOne[Any] | UpdateOne | None]:
    """Return what becomes of a customer, its id, and the operation that stores it, if any."""
    if customer is None:
        return "failed", None, None
    document = found.get(customer.externalId or "")
    if document is None:
        document = new(customer, organization_id)
        return "created", document["_id"], InsertOne(document)
    if customer.stored() == as_input(document):
        return "unchanged", document["_id"], None
    return "changed", document["_id"], UpdateOne(*update(document, customer))


async def write(collection: Any, operations: list[Any]) -> Mapping[str, Any]:
    """Write all of it at once, and return MongoDB's result."""
    if not operations:
        return {"writeErrors": [], "nMatched": 0}
    try:
        written = await collection.bulk_write(operations, ordered=False)
    except BulkWriteError as error:
        return error.details
    result: Mapping[str, Any] = written.bulk_api_result
    return result


def judge(body: Any) -> CustomerInput | None:
    """Return the customer with its external id, or None for what cannot be stored."""
    try:
        customer = CustomerInput.model_validate(body)
    except ValidationError:
        return None
    return customer if customer.externalId else None


def validated(validate: Callable[[Any], CustomerInput], value: Any) -> CustomerInput:
    """Return the customer that this is; answers 422 for any other value."""
    try:
        return validate(value)
    except ValidationError:
        raise HTTPException(422) from None


def parsed(body: bytes) -> Any:
    """Return the value of a JSON body; answers 400 for any other."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise HTTPException(400) from None


async def get(request: Request, organization_id: str, customer_id: str) -> dict[str, Any]:
    """Return the customer's document; answers 404."""
    try:
        key = ObjectId(customer_id)
    except InvalidId:
        raise HTTPException(404) from None
    query = {"_id": key, "organizationId": organization_id}
    document: dict[str, Any] | None = await request.app.state.database.customers.find_one(query)
    if document is None:
        raise HTTPException(404)
    return document


def answer(document: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Answer a customer."""
    return Response(orjson.dumps(body_of(document)), status, headers, media_type="application/json")
