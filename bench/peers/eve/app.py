"""The same read on Eve: its own resource, URL variables, token authentication and renderer; nothing is remembered."""

from __future__ import annotations

import os
from typing import Any

import jwt
from eve import Eve
from eve.auth import TokenAuth
from flask import abort, request

TEXT = {"type": "string", "nullable": True}
ADDRESS = ("street", "exterior", "interior", "neighborhood", "city", "municipality", "zip", "state", "country")
FIELDS = ("organizationId", "legalName", "taxId", "taxSystem", "email", "phone", "defaultInvoiceUse")
SETTINGS = {
    "MONGO_URI": os.environ["MONGODB_URI"],
    "MONGO_DBNAME": os.environ["MONGODB_DATABASE"],
    "RENDERERS": ["eve.render.JSONRenderer"],
    "HATEOAS": False,
    "IF_MATCH": False,
    "DATE_FORMAT": "%Y-%m-%dT%H:%M:%SZ",
    "DATE_CREATED": "createdAt",
    "LAST_UPDATED": "updatedAt",
    "DOMAIN": {
        "customers": {
            "url": 'organizations/<regex("[^/]+"):organizationId>/customers',
            "item_title": "customer",
            "resource_methods": ["GET"],
            "item_methods": ["GET"],
            "schema": dict.fromkeys(FIELDS, TEXT)
            | {"address": {"type": "dict", "schema": dict.fromkeys(ADDRESS, TEXT)}},
        }
    },
}


class MemberAuth(TokenAuth):
    """Lets members of the organization in the URL through."""

    def check_auth(self, token: str, allowed_roles: object, resource: str, method: str) -> bool:  # noqa: ARG002
        """Return whether the token is valid; answers 403 if its subject is no member."""
        try:
            claims = jwt.decode(token, os.environ["JWT_SECRET"], ["HS256"], options={"require": ["exp", "sub"]})
        except jwt.PyJWTError:
            return False
        member = {"userId": claims["sub"], "organizationId": (request.view_args or {})["organizationId"]}
        if app.data.driver.db.memberships.find_one(member) is None:
            abort(403)
        return True


def as_contract(document: dict[str, Any]) -> None:
    """Name the id as the contract does."""
    document["id"] = document.pop("_id")


app = Eve(settings=SETTINGS, auth=MemberAuth)
app.on_fetched_item_customers += as_contract
