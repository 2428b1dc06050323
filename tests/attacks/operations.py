"""List every guarded operation from the url map of the application, so that a test covers each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from customer_service.web.operations import operation_of, role_of
from tests.support import ORGANIZATION

if TYPE_CHECKING:
    from flask import Flask

    from customer_service.roles import Role

PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


@dataclass(frozen=True, slots=True)
class Guarded:
    """A method and a rule, and the least role that may ask for it; a route of no organization has the least of all."""

    method: str
    rule: str
    role: Role = "viewer"

    def path(self, organization_id: str = ORGANIZATION, **values: str) -> str:
        """Return the path with these values; a parameter that is not given stands for itself."""
        given = {"organization_id": organization_id, **values}
        return PARAMETER.sub(lambda match: given.get(match[1], match[1]), self.rule)

    def names_one(self) -> bool:
        """Return whether it is about one customer, by its id."""
        return "customer_id" in PARAMETER.findall(self.rule)


def guarded_operations(app: Flask) -> list[Guarded]:
    """Return every guarded operation of the application."""
    return [
        Guarded(method, rule.rule, role_of(app.view_functions[rule.endpoint]))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/organizations/")
        for method in sorted((rule.methods or set()) - {"OPTIONS"})
    ]


def token_operations(app: Flask) -> list[Guarded]:
    """Return every operation that takes any valid token."""
    operations = ((rule, operation_of(app.view_functions[rule.endpoint])) for rule in app.url_map.iter_rules())
    return [
        Guarded(method, rule.rule)
        for rule, operation in operations
        if operation and operation.any_token
        for method in sorted(rule.methods or set())
    ]
