"""The change feed: all customers first, then every change in order, with long polling."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from flask import current_app

from customer_service import errors
from customer_service.auth.authorization import current_membership, membership_check
from customer_service.repository import ChangePosition, CustomerFeed
from customer_service.repository.customers import OBJECT_ID
from customer_service.repository.database import outside_deadline
from customer_service.routes.blueprint import MEMBER_ERRORS, blueprint
from customer_service.schemas.outputs import ChangePageSchema
from customer_service.web import long_polling
from customer_service.web.operations import Operation, Parameter, SuccessResponse
from customer_service.web.query_parameters import decode_cursor, encode_cursor, invalid_parameters, query_values
from customer_service.web.responses import changes_body, json_response

if TYPE_CHECKING:
    from flask import Response

    from customer_service.repository.change_feed import FeedPage

WAIT_VALUES = {str(seconds) for seconds in range(long_polling.MAXIMUM_WAIT_SECONDS + 1)}
MAXIMUM_UINT32 = 2**32 - 1
"""The maximum of each of the two numbers of a MongoDB timestamp."""

CHANGES_PARAMETERS = {
    "cursor": Parameter(
        "The `cursor` of the page before; without it the changes begin with the customers that there are."
    ),
    "wait": Parameter(
        "How many seconds to wait for a change if there is none yet; the answer may come earlier.",
        {"type": "integer", "minimum": 0, "maximum": long_polling.MAXIMUM_WAIT_SECONDS, "default": 0},
    ),
}


class ChangesRequest(NamedTuple):
    """The position after which the changes begin, None for all, and how many seconds to wait for one."""

    position: ChangePosition | None
    wait: int


@blueprint.get("/customers/changes")
@Operation(
    "Customers",
    {200: SuccessResponse(ChangePageSchema)},
    role="viewer",
    errors=(
        *MEMBER_ERRORS,
        errors.InvalidRequest,
        errors.IndexesMissing,
        errors.CursorExpired,
        errors.ChangesUnsupported,
    ),
    query=CHANGES_PARAMETERS,
)
def list_customer_changes() -> Response:
    """List what was created, changed and deleted.

    It needs MongoDB to be a replica set. The demo stores in memory, and answers 501 instead.

    Without a cursor it begins with the customers that there are, as created; then comes what changed since, in order,
    and each customer as it is now. A customer may come twice, and none is left out: replace what
    you stored by what comes.
    """
    scope = current_membership().scope
    page = _read_or_wait(changes_request(scope))
    cursor = cursor_of(page.position, scope)
    return json_response({"data": changes_body(page.changes), "cursor": cursor, "hasMore": page.has_more})


def _read_or_wait(requested: ChangesRequest) -> FeedPage:
    """Return the next page; if it is empty, wait for a change and check the membership again."""
    feed = CustomerFeed(current_app.extensions["database"], current_membership().scope)
    page = feed.read(requested.position, lambda: False)
    if page.changes or page.has_more or not requested.wait:
        return page
    with long_polling.slot() as must_stop, current_app.extensions["metrics"].count_as_waiting():
        if must_stop is None:
            return page
        keep_waiting = long_polling.keep_waiting(requested.wait, must_stop)
        check_membership = membership_check()

        def wait() -> FeedPage:
            next_page = feed.read(page.position, keep_waiting)
            check_membership()
            return next_page

        return outside_deadline(wait)


def changes_request(organization_id: str) -> ChangesRequest:
    """Return the parsed query string for this organization; raises InvalidRequest with every finding."""
    values = query_values(CHANGES_PARAMETERS, wait=WAIT_VALUES)
    position = _decode_position(values["cursor"], organization_id) if "cursor" in values else None
    return ChangesRequest(position, int(values.get("wait", 0)))


def cursor_of(position: ChangePosition, organization_id: str) -> str:
    """Return the cursor of this position, which is valid for this organization only."""
    return encode_cursor([organization_id, *position])


def _decode_position(cursor: str, organization_id: str) -> ChangePosition:
    """Return the position of a cursor; raises InvalidRequest if `cursor_of` did not make it for this organization."""
    try:
        owner, seconds, increment, place = decode_cursor(cursor)
    except (ValueError, TypeError):
        raise invalid_parameters({"cursor": "invalid-cursor"}) from None
    is_place = OBJECT_ID.fullmatch(place) if isinstance(place, str) else _is_uint32(place)
    if owner == organization_id and _is_uint32(seconds) and _is_uint32(increment) and is_place:
        return ChangePosition(seconds, increment, place)
    raise invalid_parameters({"cursor": "invalid-cursor"})


def _is_uint32(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAXIMUM_UINT32
