"""The routes of an organization's members, for its admins."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Response, current_app

from customer_service import errors
from customer_service.auth.authorization import current_membership
from customer_service.auth.tokens import is_valid_subject
from customer_service.errors import InvalidRequest, MemberNotFound
from customer_service.errors.findings import Finding
from customer_service.repository.memberships import MAXIMUM_USER_ID_LENGTH
from customer_service.routes.blueprint import MEMBER_ERRORS, guarded_blueprint
from customer_service.schemas.inputs import RoleInputSchema
from customer_service.schemas.outputs import MemberListSchema, MemberSchema
from customer_service.web import examples
from customer_service.web.operations import Operation, SuccessResponse
from customer_service.web.requests import JSON, WITHOUT_ETAG, has_condition, json_body, require_preconditions
from customer_service.web.responses import json_response, no_content

if TYPE_CHECKING:
    from customer_service.repository import MembershipRepository

blueprint = guarded_blueprint("members")

ROLE_SCHEMA = RoleInputSchema()
INVALID_USER_ID = f"Give a user id of 1 to {MAXIMUM_USER_ID_LENGTH} characters without control characters."
ADMIN_ERRORS = (*MEMBER_ERRORS, errors.InsufficientRole)


@blueprint.get("/members")
@Operation("Members", {200: SuccessResponse(MemberListSchema)}, role="admin", errors=ADMIN_ERRORS)
def list_members() -> Response:
    """List the members of the organization.

    They come in the order of their user ids.
    """
    members = _memberships().all_of(current_membership().scope)
    return json_response({"data": [{"userId": member.user_id, "role": member.role} for member in members]})


@blueprint.put("/members/<any_text:user_id>")
@Operation(
    "Members",
    {200: SuccessResponse(MemberSchema), 201: SuccessResponse(MemberSchema)},
    role="admin",
    errors=(*ADMIN_ERRORS, errors.InvalidRequest, errors.LastAdmin),
    request={JSON: RoleInputSchema},
    example=examples.ROLE,
)
def put_member(user_id: str) -> Response:
    """Make a user a member, or change a member's role.

    The last admin cannot be given a lesser role.
    """
    body = json_body()
    if has_condition():
        require_preconditions(WITHOUT_ETAG if _is_stored(user_id) else None, str)
    role = ROLE_SCHEMA.validated(body)["role"]
    if not is_valid_subject(user_id):
        raise InvalidRequest([Finding("/userId", "invalid-value", INVALID_USER_ID)])
    created = _memberships().set_role_keeping_admin(user_id, current_membership().scope, role)
    response = json_response({"userId": user_id, "role": role})
    response.status_code = HTTPStatus.CREATED if created else HTTPStatus.OK
    return response


@blueprint.delete("/members/<any_text:user_id>")
@Operation("Members", {204: SuccessResponse()}, role="admin", errors=(*ADMIN_ERRORS, MemberNotFound, errors.LastAdmin))
def delete_member(user_id: str) -> Response:
    """Remove a member.

    The last admin cannot be removed.
    """
    if has_condition() and _is_stored(user_id):
        require_preconditions(WITHOUT_ETAG, str)
    if not _memberships().remove_keeping_admin(user_id, current_membership().scope):
        raise MemberNotFound
    return no_content()


def _is_stored(user_id: str) -> bool:
    return _memberships().exists(user_id, current_membership().scope)


def _memberships() -> MembershipRepository:
    memberships: MembershipRepository = current_app.extensions["memberships"]
    return memberships
