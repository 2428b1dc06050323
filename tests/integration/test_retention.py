"""PUT and GET …/retention: the latest date stays, admins hold and release, and nothing else changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from bson import ObjectId

from tests.support import (
    CUSTOMER_ID,
    INVOICED_ON,
    MISSING_CUSTOMER_ID,
    OTHER_CUSTOMER_ID,
    OTHER_ORGANIZATION,
    RETAIN_UNTIL,
    STRANGER,
    Service,
    bearer,
    caller,
    findings,
    problem,
    serve,
    stored,
    url,
)
from tests.support.failpoints import failing

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from pymongo.database import Database

    from customer_service.repository.database import Document

PATH = f"{url()}/retention"
KEY = {"_id": ObjectId(CUSTOMER_ID)}
DATED = {"lastInvoicedOn": INVOICED_ON.isoformat()}
LATER = {"lastInvoicedOn": (INVOICED_ON + timedelta(days=1)).isoformat()}
HELD = {"hold": True, "reason": "audit 2026-117"}
NONE = {"lastInvoicedOn": None, "retainUntil": None, "hold": False, "reason": None}
LONG = NONE | DATED | {"retainUntil": RETAIN_UNTIL}


def put(client: FlaskClient, body: object, path: str = PATH) -> Any:
    response = client.put(path, json=body)
    assert response.status_code == 200, response.text
    return response.get_json()


class TestOrder:
    """401, 403, 404, then the errors of the body."""

    @pytest.mark.parametrize("body", [DATED, HELD, {"hold": False}, {}, {"lastInvoicedOn": "x"}])
    def test_callers_of_put(self, service: Service, editor: FlaskClient, body: Any) -> None:
        before = stored(service)
        for customer in (CUSTOMER_ID, MISSING_CUSTOMER_ID, OTHER_CUSTOMER_ID, "x"):
            path = url(customer=customer) + "/retention"
            problem(service.client.put(path, json=body), 401, "authentication-required")
            problem(service.client.put(path, json=body, headers=bearer(STRANGER)), 403, "not-a-member")
            problem(editor.put(url(OTHER_ORGANIZATION, customer) + "/retention", json=body), 403, "not-a-member")
            problem(service.client.put(path, json=body, headers=bearer()), 403, "insufficient-role")
            answer = editor.put(path, json=body)
            if "hold" in body:
                problem(answer, 403, "insufficient-role")
            elif customer != CUSTOMER_ID:
                problem(answer, 404, "customer-not-found")
        assert body == DATED or stored(service) == before

    def test_an_editor_may_not_send_a_hold_in_any_form(self, service: Service, editor: FlaskClient) -> None:
        before = stored(service)
        for body in ({"hold": False}, {"hold": None}, {"reason": "x"}, DATED | HELD, {"hold": 1, "x": 2}):
            problem(editor.put(PATH, json=body), 403, "insufficient-role")
        assert stored(service) == before

    def test_404_comes_before_the_body(self, admin: FlaskClient, editor: FlaskClient) -> None:
        missing = url(customer=MISSING_CUSTOMER_ID) + "/retention"
        for client in (admin, editor):
            for body, media_type in ((b"{", "application/json"), (b"{}", "text/plain"), (b"{}", "application/json")):
                problem(client.put(missing, data=body, content_type=media_type), 404, "customer-not-found")
            assert client.put(PATH, data=b"{", content_type="application/json").status_code == 400
            assert client.put(PATH, data=b"{}", content_type="text/plain").status_code == 415
            assert findings(client.put(PATH, json=[])) == [("", "invalid-type")]

    def test_only_admins_read_it(self, service: Service, editor: FlaskClient, admin: FlaskClient) -> None:
        problem(service.client.get(PATH), 401, "authentication-required")
        problem(service.client.get(PATH, headers=bearer(STRANGER)), 403, "not-a-member")
        problem(service.client.get(PATH, headers=bearer()), 403, "insufficient-role")
        problem(editor.get(PATH), 403, "insufficient-role")
        assert admin.get(PATH).get_json() == NONE
        assert admin.head(PATH).status_code == 200
        for customer in (MISSING_CUSTOMER_ID, OTHER_CUSTOMER_ID, "x"):
            problem(admin.get(url(customer=customer) + "/retention"), 404, "customer-not-found")


class TestDate:
    """What an editor sends when an invoice is stamped."""

    def test_the_latest_date_stays(self, editor: FlaskClient, admin: FlaskClient) -> None:
        assert put(editor, DATED) == LONG
        assert put(editor, {"lastInvoicedOn": "2024-02-29"}) == LONG
        assert put(editor, DATED) == LONG
        later = put(editor, LATER)
        assert later["lastInvoicedOn"] == LATER["lastInvoicedOn"]
        assert later == admin.get(PATH).get_json()

    def test_today_in_utc_is_the_latest_that_is_accepted(self, editor: FlaskClient) -> None:
        now = datetime.now(UTC)
        today = (now + timedelta(seconds=5)).date()
        put(editor, {"lastInvoicedOn": now.date().isoformat()})
        tomorrow = (today + timedelta(days=1)).isoformat()
        assert findings(editor.put(PATH, json={"lastInvoicedOn": tomorrow})) == [("/lastInvoicedOn", "future-date")]

    @pytest.mark.parametrize(
        ("code", "values"),
        [
            ("invalid-type", [1, True, ["2026-05-20"], {}]),
            ("required", [None]),
            ("invalid-date", ["", "20260520", "2026-W20-3", "2026-02-29", "2026-13-01", "0000-01-01"]),
            ("invalid-date", ["2026-05-20T00:00:00Z", " 2026-05-20", "2026-05-20\n", "\u0662\u0660\u0662\u0666-05-20"]),
            ("future-date", ["9999-12-31"]),
        ],
    )
    def test_another_value_is_422(self, service: Service, editor: FlaskClient, code: str, values: list[object]) -> None:
        before = stored(service)
        for value in values:
            assert findings(editor.put(PATH, json={"lastInvoicedOn": value})) == [("/lastInvoicedOn", code)], value
        assert stored(service) == before

    def test_unknown_and_no_fields_are_422(self, editor: FlaskClient) -> None:
        assert findings(editor.put(PATH, json=DATED | {"retainUntil": "2032-04-30"})) == [
            ("/retainUntil", "unknown-field")
        ]
        assert findings(editor.put(PATH, json={})) == [("", "required")]

    def test_a_deleted_customer_has_a_retention(self, editor: FlaskClient, admin: FlaskClient) -> None:
        editor.delete(url())
        assert put(editor, DATED) == LONG == admin.get(PATH).get_json()
        assert put(admin, HELD) == LONG | HELD
        assert editor.post(url() + "/restore").status_code == 200
        assert admin.get(PATH).get_json() == LONG | HELD


class TestHold:
    """What an admin does if a customer must stay beyond the date."""

    def test_a_hold_ends_only_if_it_is_released(self, admin: FlaskClient, editor: FlaskClient) -> None:
        assert put(admin, HELD) == NONE | HELD
        assert put(editor, DATED) == LONG | HELD
        assert put(admin, HELD | {"reason": "another"}) == LONG | HELD | {"reason": "another"}
        assert put(admin, {"hold": False}) == LONG
        assert put(admin, {"hold": False}) == LONG

    def test_a_release_without_a_hold(self, admin: FlaskClient) -> None:
        assert put(admin, {"hold": False}) == NONE
        assert put(admin, DATED | HELD) == LONG | HELD
        assert LATER.items() <= put(admin, {"hold": False} | LATER).items()

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            ({"hold": True}, [("/reason", "required")]),
            ({"hold": True, "reason": None}, [("/reason", "required")]),
            ({"hold": True, "reason": ""}, [("/reason", "invalid-length")]),
            ({"hold": True, "reason": "x" * 256}, [("/reason", "invalid-length")]),
            ({"hold": True, "reason": "a\0"}, [("/reason", "invalid-character")]),
            ({"hold": True, "reason": 1}, [("/reason", "invalid-type")]),
            ({"hold": False, "reason": "x"}, [("/reason", "reason-not-allowed")]),
            ({"reason": "x"}, [("/reason", "reason-not-allowed")]),
            ({"hold": None}, [("/hold", "required")]),
            ({"hold": 1, "reason": "x"}, [("/hold", "invalid-type")]),
            ({"hold": "true", "reason": "x"}, [("/hold", "invalid-type")]),
            ({"hold": 0}, [("/hold", "invalid-type")]),
            (HELD | {"lastInvoicedOn": "x"}, [("/lastInvoicedOn", "invalid-date")]),
        ],
    )
    def test_another_body_is_422(self, service: Service, admin: FlaskClient, body: object, expected: object) -> None:
        before = stored(service)
        assert findings(admin.put(PATH, json=body)) == expected
        assert stored(service) == before


def test_a_retention_is_no_version_of_the_customer(service: Service, admin: FlaskClient, editor: FlaskClient) -> None:
    before, answer = service.database.customers.find_one(KEY) or {}, admin.get(url())
    for body in (DATED, HELD, {"hold": False}, HELD):
        put(admin, body)
    after = service.database.customers.find_one(KEY) or {}
    assert after == before | {"retention": DATED | HELD}
    again = admin.get(url())
    assert (again.data, again.headers["ETag"]) == (answer.data, answer.headers["ETag"])
    for suffix in ("", "?q=dunder", "/changes"):
        assert "retention" not in admin.get(url().rpartition("/")[0] + suffix).text
    patched = editor.patch(url(), json={"phone": None}, headers={"If-Match": answer.headers["ETag"]})
    assert patched.status_code == 200
    assert (service.database.customers.find_one(KEY) or {})["retention"] == DATED | HELD


@pytest.mark.parametrize(
    "broken",
    [
        *(1, 0, "", [], False),
        *({"hold": True, "reason": each} for each in (1, datetime(2025, 5, 20, tzinfo=UTC))),
        *(
            {"lastInvoicedOn": each}
            for each in ("x", "9999-12-31", "20250520", "2025-W21-2", datetime(2025, 5, 20, tzinfo=UTC))
        ),
    ],
)
def test_a_stored_retention_of_another_shape_is_500(service: Service, admin: FlaskClient, broken: Any) -> None:
    service.database.customers.update_one(KEY, {"$set": {"retention": broken}})
    before = stored(service)
    problem(admin.get(PATH), 500, "malformed-document")
    problem(admin.put(PATH, json=DATED), 500, "malformed-document")
    if "reason" not in str(broken):
        problem(admin.post(url() + "/erasure"), 500, "malformed-document")
    assert stored(service) == before


@pytest.mark.parametrize("hold", [True, 0, "", "no", []])
def test_any_stored_hold_but_false_and_null_holds(service: Service, admin: FlaskClient, hold: object) -> None:
    service.database.customers.update_one(KEY, {"$set": {"retention": {"hold": hold}}})
    assert admin.get(PATH).get_json() == NONE | {"hold": True}
    assert admin.post(f"{url()}/erasure").get_json()["state"] == "blocked"


@pytest.mark.parametrize("empty", [None, {}, {"hold": False}, {"hold": None, "lastInvoicedOn": None}])
def test_another_program_may_store_an_empty_retention(mongodb: Database[Document], empty: Any) -> None:
    admin = caller(serve(mongodb), "admin")
    mongodb.customers.update_one(KEY, {"$set": {"retention": empty}})
    assert admin.get(PATH).get_json() == NONE
    assert put(admin, DATED).items() >= DATED.items()
    assert put(admin, HELD).items() >= (DATED | HELD).items()


def test_a_retention_that_mongodb_refuses_is_an_error(mongodb: Database[Document]) -> None:
    editor, before = caller(serve(mongodb), "editor"), list(mongodb.customers.find())
    with failing(mongodb, "findAndModify", errorCode=13):
        problem(editor.put(PATH, json=DATED), 500, "database-error")
    assert list(mongodb.customers.find()) == before
