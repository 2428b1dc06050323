"""What each route says of itself beyond its docstring, its rule and its name: who may call it, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from marshmallow import Schema

    from customer_service.errors import CustomerServiceError
    from customer_service.roles import Role

View = TypeVar("View", bound="Callable[..., Any]")
STRING = {"type": "string"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a request, or a header of an answer; the example is what a form is filled in with.

    `style` says how a query has a value that is not a plain one (OpenAPI).
    """

    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: STRING)
    required: bool = False
    example: str | None = None
    style: str | None = None


@dataclass(frozen=True, slots=True)
class SuccessResponse:
    """What a route answers where nothing goes wrong."""

    schema: type[Schema] | Mapping[str, Any] | None = None
    headers: Mapping[str, Parameter] = field(default_factory=dict)
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Operation:
    """A decorator for a view; `role` is the least role in the organization that may call it.

    A route of no organization has none: it takes any valid token if `any_token`, else no token is needed.
    """

    tag: str
    responses: Mapping[int, SuccessResponse]
    role: Role | None
    errors: tuple[type[CustomerServiceError], ...] = ()
    request: Mapping[str, type[Schema] | Mapping[str, Any]] = field(default_factory=dict)
    request_headers: Mapping[str, Parameter] = field(default_factory=dict)
    query: Mapping[str, Parameter] = field(default_factory=dict)
    any_token: bool = False

    def __call__(self, view: View) -> View:
        """Attach this to a view."""
        _operations[view] = self
        return view


_operations: dict[Callable[..., Any], Operation] = {}


def operation_of(view: Callable[..., Any]) -> Operation | None:
    """Return what the view says of itself, or None."""
    return _operations.get(view)


def role_of(view: Callable[..., Any]) -> Role:
    """Return the least role that may call the view; the highest where it says nothing."""
    operation = operation_of(view)
    return (operation and operation.role) or "admin"
