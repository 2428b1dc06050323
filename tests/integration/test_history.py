"""What a customer was and who changed it: GET …/versions, GET …/versions/{version}, and GET …?asOf=."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from bson import ObjectId, Regex, Timestamp

from customer_service.repository import OrganizationScope
from customer_service.repository.versions import VersionRepository
from customer_service.services import history
from tests.support import (
    CUSTOMER_ID,
    EXAMPLE,
    MEMBER,
    MISSING_CUSTOMER_ID,
    NEW_CUSTOMER,
    ORGANIZATION,
    OTHER_CUSTOMER_ID,
    OTHER_ORGANIZATION,
    STRANGER,
    Service,
    bearer,
    caller,
    client_of,
    customers_url,
    findings,
    problem,
    url,
)

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

PATCH = "application/merge-patch+json"
SAT_ANSWER = {"status": "matched", "checkedAt": "2025-01-26T10:00:00Z", "source": "a-pac"}
ODD_TIMES = [Timestamp(1, 1), Regex("x"), datetime.max, "2025-01-26", 5, [], {}]  # noqa: DTZ901
VERSIONS = f"{url(base='')}/versions"


def patch(client: FlaskClient, path: str, **changes: Any) -> TestResponse:
    response = client.patch(path, json=changes, content_type=PATCH)
    assert response.status_code == 200, response.text
    return response


def created(client: FlaskClient, **changes: Any) -> str:
    response = client.post(customers_url(), json={**NEW_CUSTOMER, **changes}, headers={"X-Request-ID": "create"})
    assert response.status_code == 201, response.text
    return response.headers["Location"]


def page(client: FlaskClient, path: str, query: str = "") -> dict[str, Any]:
    response = client.get(f"{path}/versions{query}")
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.get_json()
    return body


def kinds(client: FlaskClient, path: str) -> list[tuple[int, str, list[str]]]:
    return [(each["version"], each["change"], each["changed"]) for each in page(client, path)["data"]]


def set_directly(service: Service, **values: Any) -> None:
    """Change the example as another program does."""
    service.database.customers.update_one({"_id": ObjectId(CUSTOMER_ID)}, {"$set": values})


class TestVersions:
    """GET /customers/{id}/versions."""

    def test_lists_who_changed_what_the_newest_first(self, service: Service, editor: FlaskClient) -> None:
        path = created(editor)
        headers = {"X-Request-ID": "change"}
        body = {"phone": "6474010102", "metadata": {"a/b~c": "x"}, "address": {"interior": "4"}}
        changed = caller(service, "editor", "another").patch(path, json=body, content_type=PATCH, headers=headers)
        newest, oldest = page(client_of(service, MEMBER), path)["data"]
        assert newest == {
            "version": 2,
            "updatedAt": changed.get_json()["updatedAt"],
            "updatedBy": "another",
            "requestId": "change",
            "change": "changed",
            "changed": ["/address/interior", "/metadata/a~1b~0c", "/phone"],
        }
        assert oldest == {
            "version": 1,
            "updatedAt": changed.get_json()["createdAt"],
            "updatedBy": "editor-of-one",
            "requestId": "create",
            "change": "created",
            "changed": [],
        }

    def test_has_each_kind_of_change(self, editor: FlaskClient) -> None:
        path = created(editor)
        patch(editor, path, phone=None)
        answer = {"status": "mismatched", "mismatches": ["/address/zip"], "checkedAt": "2025-01-01T00:00:00Z"}
        assert editor.put(f"{path}/sat-validation", json={**answer, "source": "my-pac"}).status_code == 200
        assert editor.delete(path).status_code == 204
        assert editor.post(f"{path}/restore").status_code == 200
        patch(editor, path, legalName="Other")
        sat_values = ["checkedAt", "mismatches", "source", "status"]
        gone = [f"/satValidation/{name}" for name in sat_values]
        assert kinds(editor, path) == [
            (6, "changed", ["/legalName", *gone]),
            (5, "restored", []),
            (4, "deleted", []),
            (3, "changed", gone),
            (2, "changed", ["/phone"]),
            (1, "created", []),
        ]

    def test_names_the_places_that_a_zip_filled_in(self, editor: FlaskClient) -> None:
        path = created(editor, address={"zip": "86500", "country": "MEX"})
        patch(editor, path, address={"zip": "06600"})
        changed = ["city", "municipality", "state", "zip"]
        assert kinds(editor, path)[0] == (2, "changed", [f"/address/{name}" for name in changed])

    def test_names_metadata_that_comes_and_goes(self, editor: FlaskClient) -> None:
        path = created(editor, metadata={"a": "1", "b": "2"})
        patch(editor, path, metadata={"a": None, "b": "3", "c": "4"}, externalId="crm-1")
        assert kinds(editor, path)[0][2] == ["/externalId", "/metadata/a", "/metadata/b", "/metadata/c"]

    def test_has_no_entry_of_a_write_that_changes_nothing(self, editor: FlaskClient) -> None:
        path = created(editor)
        patch(editor, path, phone=NEW_CUSTOMER["phone"])
        assert kinds(editor, path) == [(1, "created", [])]

    @pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 100])
    def test_pages_have_each_version_once(self, editor: FlaskClient, limit: int) -> None:
        path = created(editor)
        for number in range(4):
            patch(editor, path, phone=f"647401010{number + 2}")
        whole = page(editor, path)
        assert whole["nextCursor"] is None
        found: list[dict[str, Any]] = []
        query = f"?limit={limit}"
        while query:
            response = editor.get(f"{path}/versions{query}")
            body = response.get_json()
            assert 0 < len(body["data"]) <= limit
            found += body["data"]
            query = f"?limit={limit}&cursor={body['nextCursor']}" if body["nextCursor"] else ""
            link = response.headers.get("Link")
            assert link == (
                f'<{path}/versions?cursor={body["nextCursor"]}&limit={limit}>; rel="next"' if query else None
            )
        assert found == whole["data"]
        assert [each["version"] for each in found] == [5, 4, 3, 2, 1]

    def test_a_page_stays_where_it_was_while_versions_are_added(self, editor: FlaskClient) -> None:
        path = created(editor)
        patch(editor, path, phone=None)
        first = page(editor, path, "?limit=1")
        patch(editor, path, phone="6474010102")
        second = page(editor, path, f"?limit=1&cursor={first['nextCursor']}")
        assert [each["version"] for each in first["data"] + second["data"]] == [2, 1]

    def test_a_customer_of_another_program_has_one_version(self, editor: FlaskClient, service: Service) -> None:
        service.database.customers.update_one({"_id": ObjectId(CUSTOMER_ID)}, {"$unset": {"version": ""}})
        (entry,) = page(editor, url(base=""))["data"]
        assert entry == {
            "version": 0,
            "updatedAt": EXAMPLE["updatedAt"],
            "updatedBy": None,
            "requestId": None,
            "change": "created",
            "changed": [],
        }
        patch(editor, url(), phone=None)
        assert kinds(editor, url()) == [(1, "changed", ["/phone"]), (0, "created", [])]

    def test_pages_end_if_another_program_stored_no_time(self, editor: FlaskClient, service: Service) -> None:
        for number in range(4):
            patch(editor, url(), phone=f"647401010{number}")
        first = page(editor, url(), "?limit=2")
        service.database.customers.update_one({"_id": ObjectId(CUSTOMER_ID)}, {"$unset": {"updatedAt": ""}})
        current = service.database.customers.find_one({"_id": ObjectId(CUSTOMER_ID)})
        assert current is not None
        VersionRepository(service.database, OrganizationScope(ORGANIZATION)).archive([current])
        second = page(editor, url(), f"?limit=2&cursor={first['nextCursor']}")
        last = page(editor, url(), f"?limit=2&cursor={second['nextCursor']}")
        assert [each["version"] for each in first["data"] + second["data"] + last["data"]] == [5, 4, 3, 2, 1]
        assert last["nextCursor"] is None

    @pytest.mark.parametrize("time", ODD_TIMES, ids=lambda time: type(time).__name__)
    def test_what_another_program_stored_at_an_odd_time_is_the_oldest(
        self, service: Service, editor: FlaskClient, time: object
    ) -> None:
        as_another_program = {"$set": {"updatedAt": time}, "$unset": {"version": ""}}
        service.database.customers.update_one({"_id": ObjectId(CUSTOMER_ID)}, as_another_program)
        path = url(base="")
        answer = editor.put(f"{path}/sat-validation", json=SAT_ANSWER)
        assert answer.status_code == 200, answer.text
        for phone in ("6474010102", "6474010103"):
            patch(editor, path, phone=phone)
        assert [(each["version"], each["change"]) for each in page(editor, path)["data"]] == [
            *((number, "changed") for number in (3, 2, 1)),
            (0, "created"),
        ]
        query, numbers = "?limit=1", list[int]()
        while query:
            body = page(editor, path, query)
            numbers += [each["version"] for each in body["data"]]
            query = f"?limit=1&cursor={body['nextCursor']}" if body["nextCursor"] else ""
        assert numbers == [3, 2, 1, 0]
        assert editor.get(f"{path}/versions/2").get_json()["phone"] == "6474010102"
        second = page(editor, path)["data"][1]["updatedAt"]
        assert editor.get(f"{path}?asOf={second}").get_json()["phone"] == "6474010102"

    @pytest.mark.parametrize("malformed", [{"updatedAt": None}, {"legalName": 5}, {"updatedAt": "x", "updatedBy": 7}])
    def test_a_version_that_cannot_be_serialized_has_an_entry(
        self, editor: FlaskClient, service: Service, malformed: dict[str, Any]
    ) -> None:
        patch(editor, url(), phone=None)
        set_directly(service, **malformed)
        newest, oldest = page(editor, url())["data"]
        assert (newest["version"], newest["change"], newest["changed"]) == (2, "changed", [])
        assert newest["updatedBy"] == (None if "updatedBy" in malformed else "editor-of-one")
        assert (newest["updatedAt"] is None) == ("updatedAt" in malformed)
        assert oldest["version"] == 1
        assert page(editor, url(), "?limit=1")["nextCursor"] is None or "updatedAt" not in malformed
        problem(editor.get(f"{VERSIONS}/2"), 500, "malformed-document")
        assert editor.get(f"{VERSIONS}/1").status_code == 200

    def test_a_history_whose_beginning_is_not_stored_any_more(self, service: Service, editor: FlaskClient) -> None:
        path = created(editor)
        for phone in (None, "6474010102", None):
            patch(editor, path, phone=phone)
        service.database.customer_versions.delete_many({"_id.version": {"$in": [1, 2]}})
        assert kinds(editor, path) == [(4, "changed", ["/phone"]), (3, "changed", [])]
        problem(editor.get(f"{path}/versions/2"), 404, "customer-not-found")

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("limit=0", ("/limit", "invalid-value")),
            ("limit=101", ("/limit", "invalid-value")),
            ("limit=1&limit=2", ("/limit", "repeated-parameter")),
            ("x=1", ("/x", "unknown-parameter")),
            ("asOf=2025-01-26T10:00:00Z", ("/asOf", "unknown-parameter")),
            ("cursor=", ("/cursor", "invalid-cursor")),
            ("cursor=x", ("/cursor", "invalid-cursor")),
            ("cursor=WzFd", ("/cursor", "invalid-cursor")),
            ("cursor=IngiCg", ("/cursor", "invalid-cursor")),
        ],
    )
    def test_refuses_wrong_parameters(self, editor: FlaskClient, query: str, expected: tuple[str, str]) -> None:
        assert findings(editor.get(f"{VERSIONS}?{query}")) == [expected]
        problem(editor.get(f"{url(customer=MISSING_CUSTOMER_ID)}/versions?{query}"), 404, "customer-not-found")

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    def test_takes_no_other_method(self, editor: FlaskClient, method: str) -> None:
        for path in (VERSIONS, f"{VERSIONS}/1"):
            refused = editor.open(path, method=method, json={})
            assert (refused.status_code, sorted(refused.headers["Allow"].split(", "))) == (405, ["GET", "HEAD"])

    def test_head_has_the_headers_alone(self, editor: FlaskClient) -> None:
        for path in (VERSIONS, f"{VERSIONS}/1", f"{url()}?asOf=2026-01-01T00:00:00Z"):
            read, head = editor.get(path), editor.head(path)
            assert (head.status_code, head.data) == (200, b"")
            assert head.headers["Content-Length"] == read.headers["Content-Length"]
            assert head.headers.get("ETag") == read.headers.get("ETag")


class TestVersion:
    """GET /customers/{id}/versions/{version}."""

    def test_has_the_shape_and_the_etag_that_the_customer_had(self, editor: FlaskClient) -> None:
        path = created(editor)
        seen = [editor.get(path)]
        for phone in (None, "6474010102"):
            patch(editor, path, phone=phone)
            seen.append(editor.get(path))
        for number, then in enumerate(seen, 1):
            version = editor.get(f"{path}/versions/{number}")
            assert (version.status_code, version.data) == (200, then.data)
            for name in ("ETag", "Content-Type", "Cache-Control"):
                assert version.headers[name] == then.headers[name]

    def test_is_not_sent_again_to_who_has_it(self, editor: FlaskClient) -> None:
        etag = editor.get(url()).headers["ETag"]
        patch(editor, url(), phone=None)
        again = editor.get(f"{VERSIONS}/1", headers={"If-None-Match": etag})
        assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", etag)
        assert editor.get(f"{VERSIONS}/2", headers={"If-None-Match": etag}).status_code == 200

    def test_of_a_deletion_is_not_found(self, editor: FlaskClient) -> None:
        before = editor.get(url()).data
        editor.delete(url())
        problem(editor.get(f"{VERSIONS}/2"), 404, "customer-not-found")
        assert editor.get(f"{VERSIONS}/1").data == before
        editor.post(f"{url()}/restore")
        problem(editor.get(f"{VERSIONS}/2"), 404, "customer-not-found")
        assert editor.get(f"{VERSIONS}/3").get_json()["id"] == CUSTOMER_ID

    @pytest.mark.parametrize(
        "version",
        ["0", "2", "-1", "01", "+1", "1.0", "x", "1x", " 1", "\u0661", "9" * 19, "9" * 20],
    )
    def test_is_not_found(self, editor: FlaskClient, version: str) -> None:
        problem(editor.get(f"{VERSIONS}/{quote(version)}"), 404, "customer-not-found")

    @pytest.mark.parametrize("version", [2**63 - 1, -(2**63) + 1, -1])
    def test_is_found_by_any_integer_that_another_program_stored(
        self, service: Service, editor: FlaskClient, version: int
    ) -> None:
        set_directly(service, version=version)
        assert editor.get(f"{VERSIONS}/{version}").get_json() == EXAMPLE


class TestAsOf:
    """GET /customers/{id}?asOf=."""

    def test_is_the_customer_at_that_time(self, editor: FlaskClient) -> None:
        seen = [editor.get(url(base=""))]
        for phone in (None, "6474010102"):
            patch(editor, url(), phone=phone)
            seen.append(editor.get(url()))
        times = [each.get_json()["updatedAt"] for each in seen]
        for number, (moment, then) in enumerate(zip(times, seen, strict=True), 1):
            answer = editor.get(f"{url()}?asOf={moment}")
            assert (answer.status_code, answer.data) == (200, then.data)
            assert answer.headers["ETag"] == then.headers["ETag"]
            assert answer.headers["Content-Location"] == f"{url()}/versions/{number}"
            assert editor.get(answer.headers["Content-Location"]).data == then.data
            assert "Content-Location" not in then.headers
            before = editor.get(f"{url(base='')}?asOf={quote(shifted(moment, -1))}")
            if number == 1:
                problem(before, 404, "customer-not-found")
            else:
                assert before.data == seen[number - 2].data
                assert before.headers["Content-Location"] == f"{VERSIONS}/{number - 1}"

    @pytest.mark.parametrize(
        "moment", ["9999-12-31T23:59:59.999Z", "2999-01-01T00:00:00%2B06:00", "2025-01-26T10:00:00.0009Z"]
    )
    def test_is_the_present_in_the_future_and_within_a_millisecond(self, editor: FlaskClient, moment: str) -> None:
        assert editor.get(f"{url()}?asOf={moment}").get_json() == EXAMPLE

    def test_is_not_sent_again_to_who_has_it(self, editor: FlaskClient) -> None:
        etag = editor.get(url()).headers["ETag"]
        patch(editor, url(), phone=None)
        again = editor.get(f"{url()}?asOf={EXAMPLE['updatedAt']}", headers={"If-None-Match": etag})
        assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", etag)
        assert again.headers["Content-Location"] == f"{url()}/versions/1"

    def test_is_not_found_while_the_customer_was_deleted(self, service: Service, editor: FlaskClient) -> None:
        before = editor.get(url()).data
        editor.delete(url())
        deleted = service.database.customers.find_one({"_id": ObjectId(CUSTOMER_ID)}) or {}
        editor.post(f"{url()}/restore")
        at = deleted["updatedAt"].replace(tzinfo=UTC).isoformat()
        problem(editor.get(f"{url()}?asOf={quote(at)}"), 404, "customer-not-found")
        assert editor.get(f"{url()}?asOf={quote(shifted(at, -1))}").data == before
        assert editor.get(f"{url()}?asOf=2999-01-01T00:00:00Z").data == editor.get(url()).data

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ("asOf=2026-03-01", "invalid-instant"),
            ("asOf=", "invalid-instant"),
            ("asOf=2026-03-01T00:00:00", "invalid-instant"),
            ("asOf=2026-02-30T00:00:00Z", "invalid-instant"),
            ("asOf=0000-01-01T00:00:00Z", "invalid-instant"),
            ("asOf=2026-03-01T00:00:00+06:00", "invalid-instant"),
            ("asOf=2026-03-01T00:00:00Z&asOf=2026-03-01T00:00:00Z", "repeated-parameter"),
        ],
    )
    def test_refuses_what_is_no_time(self, editor: FlaskClient, query: str, code: str) -> None:
        assert findings(editor.get(f"{url()}?{query}")) == [("/asOf", code)]
        problem(editor.get(f"{url(customer=MISSING_CUSTOMER_ID)}?{query}"), 404, "customer-not-found")

    def test_another_parameter_changes_nothing(self, editor: FlaskClient) -> None:
        assert editor.get(f"{url()}?x=1").data == editor.get(url()).data
        assert editor.get(f"{url()}?x=1&asOf=2999-01-01T00:00:00Z").get_json() == EXAMPLE


def shifted(moment: str, milliseconds: int) -> str:
    return (datetime.fromisoformat(moment) + timedelta(milliseconds=milliseconds)).isoformat()


PATHS = ("/versions", "/versions/1", "?asOf=2025-01-26T10:00:00Z")


@pytest.mark.parametrize("suffix", PATHS)
class TestAccess:
    """The history is for members, that of a deleted customer for those who may restore it."""

    def test_answers_in_the_order_of_the_contract(self, service: Service, suffix: str) -> None:
        for customer in (CUSTOMER_ID, MISSING_CUSTOMER_ID, OTHER_CUSTOMER_ID, "x"):
            path = url(customer=customer) + suffix
            problem(service.client.get(path), 401, "authentication-required")
            problem(service.client.get(path, headers=bearer(STRANGER)), 403, "not-a-member")
            theirs = url(OTHER_ORGANIZATION, customer) + suffix
            problem(service.client.get(theirs, headers=bearer(MEMBER)), 403, "not-a-member")
            if customer != CUSTOMER_ID:
                problem(service.client.get(path, headers=bearer(MEMBER)), 404, "customer-not-found")
        assert service.client.get(url() + suffix, headers=bearer(MEMBER)).status_code == 200

    def test_of_a_deleted_customer(
        self, service: Service, editor: FlaskClient, admin: FlaskClient, suffix: str
    ) -> None:
        assert editor.delete(url()).status_code == 204
        problem(service.client.get(url() + suffix, headers=bearer(MEMBER)), 404, "customer-not-found")
        for client in (editor, admin):
            assert client.get(url() + suffix).status_code == 200

    @pytest.mark.parametrize(
        "mark", [{"blockedAt": datetime.now(UTC), "deletedAt": datetime.now(UTC)}, {"erasedAt": 1}]
    )
    def test_of_a_blocked_or_an_erased_customer(
        self, service: Service, admin: FlaskClient, suffix: str, mark: dict[str, Any]
    ) -> None:
        patch(admin, url(), phone=None)
        set_directly(service, **mark)
        problem(admin.get(url() + suffix), 404, "customer-not-found")

    def test_of_another_organization(self, service: Service, admin: FlaskClient, suffix: str) -> None:
        service.database.memberships.insert_one(
            {"userId": "theirs", "organizationId": OTHER_ORGANIZATION, "role": "admin"}
        )
        own = client_of(service, "theirs")
        path = url(OTHER_ORGANIZATION, OTHER_CUSTOMER_ID)
        patch(own, path, phone=None)
        assert own.get(path + suffix).status_code == 200
        problem(admin.get(url(ORGANIZATION, OTHER_CUSTOMER_ID) + suffix), 404, "customer-not-found")
        problem(admin.get(path + suffix), 403, "not-a-member")


def test_the_entries_of_no_documents_are_none() -> None:
    assert history.entries([], 5) == []
