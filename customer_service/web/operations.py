"""What each route declares beside its docstring, rule and name: its role, parameters, responses and errors."""

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
    """A parameter of a request, or a header of a response, which OpenAPI describes alike.

    The documentation page fills its form with the example. `style` is OpenAPI's, for values that are not plain.
    """

    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: STRING)
    required: bool = False
    example: object = None
    style: str | None = None


@dataclass(frozen=True, slots=True)
class SuccessResponse:
    """What a route returns if there is no error."""

    schema: type[Schema] | Mapping[str, Any] | None = None
    headers: Mapping[str, Parameter] = field(default_factory=dict)
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Operation:
    """A decorator for a view; `role` is the lowest role in the organization that may call it.

    `example` is a request body that succeeds on the demo: the documentation page fills its form with it.
    A route outside organizations has no role: it needs any valid token if `any_token`, else no token.
    """

    tag: str
    responses: Mapping[int, SuccessResponse]
    role: Role | None
    errors: tuple[type[CustomerServiceError], ...] = ()
    request: Mapping[str, type[Schema] | Mapping[str, Any]] = field(default_factory=dict)
    example: Mapping[str, Any] | None = None
    request_headers: Mapping[str, Parameter] = field(default_factory=dict)
    query: Mapping[str, Parameter] = field(default_factory=dict)
    any_token: bool = False

    def __call__(self, view: View) -> View:
        """Attach this declaration to a view."""
        _operations[view] = self
        return view


_operations: dict[Callable[..., Any], Operation] = {}


def operation_of(view: Callable[..., Any]) -> Operation | None:
    """Return the declaration of a view, None if it has none."""
    return _operations.get(view)


def role_of(view: Callable[..., Any]) -> Role:
    """Return the lowest role that may call the view; the highest role if the view declares none."""
    operation = operation_of(view)
    return (operation and operation.role) or "admin"
