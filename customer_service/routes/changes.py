"""What becomes of the customers: from the beginning to now, and on as it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import current_app

from customer_service import errors
from customer_service.auth.authorization import current_membership, membership_check
from customer_service.repository import CustomerFeed
from customer_service.repository.database import outside_deadline
from customer_service.routes.blueprint import JSON_HEADERS, MEMBER_ERRORS, blueprint
from customer_service.routes.change_requests import CHANGES_PARAMETERS, ChangePageSchema, changes_request, cursor_of
from customer_service.web import long_polling
from customer_service.web.operations import Operation, SuccessResponse
from customer_service.web.responses import changes_body, json_response

if TYPE_CHECKING:
    from flask import Response

    from customer_service.repository.change_feed import FeedPage
    from customer_service.routes.change_requests import ChangesRequest


@blueprint.get("/customers/changes")
@Operation(
    "Customers",
    {200: SuccessResponse(ChangePageSchema, JSON_HEADERS)},
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

    Without a cursor it begins with the customers that there are, as created; then comes what changed since, in order,
    and each customer as it is now. Some may come twice, none is left out: put each in the place of what you had.
    """
    scope = current_membership().scope
    page = _read(changes_request(scope))
    cursor = cursor_of(page.position, scope)
    return json_response({"data": changes_body(page.changes), "cursor": cursor, "hasMore": page.has_more})


def _read(asked: ChangesRequest) -> FeedPage:
    """Return what is there; if that is nothing, wait. A caller that waited must be a member still."""
    feed = CustomerFeed(current_app.extensions["database"], current_membership().scope)
    page = feed.read(asked.position, lambda: False)
    if page.changes or page.has_more or not asked.wait:
        return page
    with long_polling.slot() as is_over, current_app.extensions["metrics"].count_as_waiting():
        if is_over is None:
            return page
        keep_waiting = long_polling.keep_waiting(asked.wait, is_over)
        confirm = membership_check()

        def wait() -> FeedPage:
            following = feed.read(page.position, keep_waiting)
            confirm()
            return following

        return outside_deadline(wait)
