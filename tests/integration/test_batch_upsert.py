"""batch-upsert writes up to a hundred customers as PUTs by external id, each with its own result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from bson import ObjectId

from customer_service.errors import DatabaseError, DocumentRefused
from customer_service.repository import CustomerBatchRepository, OrganizationScope, ensure_indexes
from customer_service.services import validation
from tests.support import (
    CUSTOMER_ID,
    ORGANIZATION,
    WRITER,
    Service,
    caller,
    customers_url,
    new_customer,
    problem,
    serve,
    stored,
)
from tests.support.interleaving import Process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flask.testing import FlaskClient
    from pymongo.database import Database

    from customer_service.repository.database import Document

Changes: TypeAlias = "Sequence[tuple[Document, Mapping[str, Any]]]"
BATCH_UPSERT = customers_url("/batch-upsert")


def numbered(number: int, **changes: Any) -> dict[str, Any]:
    """Return a customer to send whose keys are its number's."""
    keys = {"externalId": f"crm-{number}", "taxId": f"AAA010101{number:03}"}
    return new_customer(**keys | {"email": f"box{number}@example.com"} | changes)


def repository(database: Database[Document]) -> CustomerBatchRepository:
    return CustomerBatchRepository(database, OrganizationScope(ORGANIZATION), WRITER)


def find_stored(database: Database[Document], number: int) -> Document:
    (document,) = database.customers.find({"externalId": f"crm-{number}"})
    return document


def send(client: FlaskClient, *bodies: object) -> list[dict[str, Any]]:
    response = client.post(BATCH_UPSERT, json={"customers": bodies})
    assert response.status_code == 200, response.text
    results: list[dict[str, Any]] = response.get_json()["results"]
    assert [each["index"] for each in results] == list(range(len(bodies)))
    return results


def statuses(results: list[dict[str, Any]]) -> list[str]:
    return [each["status"] for each in results]


def problems(results: list[dict[str, Any]]) -> list[object]:
    """Return of each result its problem's status and findings, or None."""
    problems = (each.get("problem") for each in results)
    return [
        each and (each["status"], *((finding["path"], finding["code"]) for finding in each.get("errors", [])))
        for each in problems
    ]


def test_no_other_method_takes_it_for_a_customer(editor: FlaskClient) -> None:
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        response = editor.open(BATCH_UPSERT, method=method)
        assert (response.status_code, response.headers["Allow"]) == (405, "POST")


class TestResults:
    """One for each customer, in their order."""

    def test_none(self, editor: FlaskClient) -> None:
        assert send(editor) == []

    def test_a_hundred_created_and_then_unchanged(self, service: Service, editor: FlaskClient) -> None:
        bodies = [numbered(number) for number in range(100)]
        first = send(editor, *bodies)
        assert set(statuses(first)) == {"created"}
        before = stored(service)
        again = send(editor, *bodies)
        assert set(statuses(again)) == {"unchanged"}
        assert [(each["id"], each["etag"]) for each in again] == [(each["id"], each["etag"]) for each in first]
        assert stored(service) == before

    @pytest.mark.parametrize("unique", [{"externalId": ["crm-1", "x"]}, [{"externalId": "crm-1"}, 1]], ids=str)
    def test_keys_in_an_array_of_another_program(self, service: Service, editor: FlaskClient, unique: object) -> None:
        (first,) = send(editor, numbered(1))
        service.database.customers.update_one({"externalId": "crm-1"}, {"$set": {"unique": unique}})
        results = send(editor, numbered(1, phone=None), numbered(2))
        assert statuses(results) == ["changed", "created"]
        assert results[0]["id"] == first["id"]
        assert find_stored(service.database, 1)["unique"]["externalId"] == "crm-1"

    def test_a_customer_that_mongodb_refuses(self, mongodb: Database[Document]) -> None:
        """Another program's unique index refuses it, and the others are stored."""
        editor, same = caller(serve(mongodb), "editor"), {"email": "same@example.com"}
        send(editor, numbered(4))
        mongodb.customers.create_index([("organizationId", 1), ("email", 1)], unique=True, name="another's")
        try:
            batch = (numbered(1), numbered(2, **same), numbered(3, **same), numbered(4, **same), numbered(5))
            results = send(editor, *batch)
        finally:
            mongodb.customers.drop_index("another's")
        assert statuses(results) == ["created", "created", "failed", "failed", "created"]
        assert [each["problem"]["type"] for each in results[2:4]] == ["urn:problem-type:database-error"] * 2

    @pytest.mark.parametrize("step", ["update_many", "update"])
    @pytest.mark.parametrize("error", [DatabaseError, DocumentRefused])
    def test_only_a_failure_of_one_document_is_a_result(
        self, editor: FlaskClient, monkeypatch: pytest.MonkeyPatch, step: str, error: type[DatabaseError]
    ) -> None:
        def fail(*_: object) -> None:
            raise error("a failure")

        send(editor, numbered(1))
        monkeypatch.setattr(CustomerBatchRepository, "update_many", lambda _, changes: [None] * len(changes))
        monkeypatch.setattr(CustomerBatchRepository, step, fail)
        answer = editor.post(BATCH_UPSERT, json={"customers": [numbered(1, phone=None)]})
        if error is DocumentRefused:
            assert statuses(answer.get_json()["results"]) == ["changed" if step == "update_many" else "failed"]
        else:
            problem(answer, 500, "database-error")

    def test_each_status_with_the_etag_of_a_read(self, editor: FlaskClient) -> None:
        send(editor, numbered(1), numbered(2))
        results = send(editor, numbered(3), numbered(2, phone=None), {}, numbered(1))
        assert statuses(results) == ["created", "changed", "failed", "unchanged"]
        for number, result in ((3, results[0]), (2, results[1]), (1, results[3])):
            read = editor.get(customers_url(f"/{result['id']}"))
            assert read.headers["ETag"] == result["etag"]
            assert read.get_json()["externalId"] == f"crm-{number}"
        assert set(results[2]) == {"index", "status", "problem"}

    def test_what_a_put_stores(self, service: Service, editor: FlaskClient) -> None:
        body = numbered(1, legalName=" Sabre ", taxId="aaa010101001", metadata={"a": "b"})
        send(editor, body)
        put = editor.put(customers_url("/by-external-id/crm-1"), json=body)
        assert put.status_code == 200
        assert put.get_json()["legalName"] == "Sabre"
        document = service.database.customers.find_one({"_id": ObjectId(put.get_json()["id"])}) or {}
        assert document["version"] == 1
        assert statuses(send(editor, numbered(1))) == ["changed"]
        assert "metadata" not in editor.get(customers_url("/by-external-id/crm-1")).get_json()


class TestFailures:
    """Each is the problem that a PUT would be answered with; none keeps another back."""

    def test_shapes_and_rules(self, editor: FlaskClient) -> None:
        bad_zip = numbered(3, address={"zip": "1"}, email="x")
        results = send(editor, None, 1, "x", [], numbered(1), bad_zip, numbered(2) | {"id": CUSTOMER_ID})
        assert problems(results) == [
            *[(422, ("", "invalid-type"))] * 4,
            None,
            (422, ("/email", "invalid-email"), ("/address/zip", "invalid-zip")),
            (422, ("/id", "unknown-field")),
        ]
        put = editor.put(customers_url("/by-external-id/crm-3"), json=bad_zip).get_json()
        del put["requestId"]
        assert results[5]["problem"] == put

    @pytest.mark.parametrize(
        ("external_id", "code"),
        [(None, "required"), ("", "invalid-length"), (1, "invalid-type"), ("a\n", "invalid-character")],
    )
    def test_the_external_id(self, editor: FlaskClient, external_id: object, code: str) -> None:
        assert problems(send(editor, numbered(1, externalId=external_id))) == [(422, ("/externalId", code))]

    def test_without_any_external_id(self, editor: FlaskClient) -> None:
        body = numbered(1)
        del body["externalId"]
        assert problems(send(editor, body)) == [(422, ("/externalId", "required"))]

    def test_a_repeated_customer_fails_at_its_later_index(self, editor: FlaskClient) -> None:
        results = send(editor, numbered(1), numbered(1, phone=None), numbered(2, email="x"), numbered(2))
        assert statuses(results) == ["created", "failed", "failed", "failed"]
        assert problems(results)[1:] == [
            (422, ("/externalId", "repeated")),
            (422, ("/email", "invalid-email")),
            (422, ("/externalId", "repeated")),
        ]

    def test_a_tax_id_of_another(self, editor: FlaskClient) -> None:
        first = send(editor, numbered(1), numbered(2))
        results = send(editor, numbered(3, taxId="AAA010101001"), numbered(2, taxId="AAA010101001"), numbered(4))
        assert statuses(results) == ["failed", "failed", "created"]
        for failed in results[:2]:
            assert failed["problem"]["type"] == "urn:problem-type:duplicate-tax-id"
            assert failed["problem"]["existing"] == customers_url("/" + first[0]["id"])

    def test_two_of_a_batch_with_one_tax_id(self, editor: FlaskClient) -> None:
        results = send(editor, numbered(1), numbered(2, taxId="AAA010101001"))
        assert statuses(results) == ["created", "failed"]
        assert results[1]["problem"]["status"] == 409

    def test_a_tax_id_that_the_batch_sets_free(self, editor: FlaskClient) -> None:
        send(editor, numbered(1))
        results = send(editor, numbered(1, taxId="AAA010101009"), numbered(2, taxId="AAA010101001"))
        assert statuses(results) == ["changed", "created"]

    def test_a_stored_customer_that_cannot_be_serialized(self, service: Service, editor: FlaskClient) -> None:
        (one,) = send(editor, numbered(1))
        service.database.customers.update_one({"_id": ObjectId(one["id"])}, {"$set": {"phone": 7}})
        results = send(editor, numbered(1), numbered(2))
        assert statuses(results) == ["failed", "created"]
        assert results[0]["problem"]["type"] == "urn:problem-type:malformed-document"


class TestMeanwhile:
    """Another request writes first."""

    def test_it_is_created(self, service: Service, editor: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
        add_many = CustomerBatchRepository.add_many

        def slow(self: CustomerBatchRepository, customers: Sequence[dict[str, Any]]) -> list[Document | None]:
            monkeypatch.setattr(CustomerBatchRepository, "add_many", add_many)
            editor.put(customers_url("/by-external-id/crm-1"), json=numbered(1))
            editor.put(customers_url("/by-external-id/crm-2"), json=numbered(2))
            return add_many(self, customers)

        monkeypatch.setattr(CustomerBatchRepository, "add_many", slow)
        results = send(editor, numbered(1), numbered(2, phone=None), numbered(3))
        assert statuses(results) == ["unchanged", "changed", "created"]
        assert len(stored(service)) == 5

    def test_some_are_changed(self, editor: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
        send(editor, *map(numbered, (1, 2, 3, 4)))
        update_many = CustomerBatchRepository.update_many

        def slow(self: CustomerBatchRepository, changes: Changes) -> list[Document | None]:
            monkeypatch.setattr(CustomerBatchRepository, "update_many", update_many)
            editor.put(customers_url("/by-external-id/crm-1"), json=numbered(1, legalName="Theirs"))
            editor.put(customers_url("/by-external-id/crm-2"), json=numbered(2, legalName="Ours"))
            return update_many(self, changes)

        monkeypatch.setattr(CustomerBatchRepository, "update_many", slow)
        other = numbered(4, taxId=numbered(1)["taxId"])
        results = send(editor, *(numbered(number, legalName="Ours") for number in (1, 2, 3)), other)
        assert statuses(results) == ["changed", "unchanged", "changed", "failed"]
        assert problems(results)[3] == (409,)
        for number, result in enumerate(results[:3], 1):
            read = editor.get(customers_url(f"/by-external-id/crm-{number}"))
            assert (read.get_json()["legalName"], read.headers["ETag"]) == ("Ours", result["etag"])

    def test_a_change_that_is_replaced_at_once_is_written_once(self, mongodb: Database[Document]) -> None:
        editor = caller(serve(mongodb), "editor")
        send(editor, numbered(1), numbered(2))
        changes = [
            (find_stored(mongodb, each), validation.validate(numbered(each, legalName="Ours"))) for each in (1, 2)
        ]
        bulk = Process(mongodb, lambda database: repository(database).update_many(changes))
        bulk.go_on()  # insert the copies
        editor.put(customers_url("/by-external-id/crm-2"), json=numbered(2, legalName="Theirs"))
        bulk.go_on()  # update the customers
        editor.put(customers_url("/by-external-id/crm-1"), json=numbered(1, legalName="Theirs"))
        while not bulk.is_done:
            bulk.go_on()
        written: Any = bulk.outcome
        assert [each and each["legalName"] for each in written] == ["Ours", None]


@pytest.mark.parametrize("update", [{"$set": {"taxId": 5}}, {"$unset": {"taxId": ""}}])
def test_a_tax_id_that_another_program_changed_is_not_found(mongodb: Database[Document], update: Document) -> None:
    send(caller(serve(mongodb), "editor"), numbered(1), numbered(2))
    mongodb.customers.update_one({"externalId": "crm-1"}, update)
    tax_ids = [numbered(number)["taxId"] for number in (1, 2)]
    assert repository(mongodb).find_by_tax_ids(tax_ids).keys() == {tax_ids[1]}


def test_a_change_is_answered_as_it_is_stored(editor: FlaskClient) -> None:
    given = {"metadata": {"a": "1"}, "phone": "6474010101"}
    (created,) = send(editor, numbered(1, **given))
    validation = {"status": "matched", "checkedAt": "2025-01-26T10:00:00Z", "source": "my-pac"}
    editor.put(f"{customers_url('/')}{created['id']}/sat-validation", json=validation)
    for change in ({"legalName": "Other"}, {"metadata": {"b": "2"}}, {}):
        (result,) = send(editor, numbered(1, **change))
        read = editor.get(customers_url("/by-external-id/crm-1"))
        assert (result["status"], result["etag"]) == ("changed", read.headers["ETag"])


def test_a_bulk_update_that_fails_invalidates_the_caches(mongodb: Database[Document]) -> None:
    invalidated: list[ObjectId] = []
    customers = CustomerBatchRepository(mongodb, OrganizationScope(ORGANIZATION), WRITER, invalidated.append)
    document, _ = customers.add(validation.validate(numbered(1)))
    mongodb.command("collMod", "customers", validator={"phone": {"$ne": "1234567890"}})
    try:
        changed = validation.validate(numbered(1, phone="1234567890"))
        assert customers.update_many([(document, changed)]) == [None]
    finally:
        mongodb.command("collMod", "customers", validator={})
    assert invalidated == [document["_id"]]


def test_a_unique_index_of_another_program_is_an_error(mongodb: Database[Document]) -> None:
    editor = caller(serve(mongodb), "editor")
    send(editor, numbered(1), numbered(2))
    mongodb.customers.create_index(
        "email", unique=True, name="theirs", partialFilterExpression={"externalId": {"$exists": True}}
    )
    taken = numbered(1)["email"]
    try:
        problem(editor.post(customers_url(), json=numbered(3, email=taken)), 500, "database-error")
        assert problems(send(editor, numbered(3, email=taken))) == [(500,)]
    finally:
        mongodb.customers.drop_index("theirs")
    assert statuses(send(editor, numbered(3, email=taken))) == ["created"]


def test_a_duplicate_is_one_although_another_programs_index_finds_it_first(mongodb: Database[Document]) -> None:
    editor = caller(serve(mongodb), "editor")
    send(editor, numbered(1))
    mongodb.customers.drop_index("customer-service.unique.taxId")
    partial = {"externalId": {"$exists": True}}
    mongodb.customers.create_index(
        [("organizationId", 1), ("taxId", 1)], unique=True, name="theirs", partialFilterExpression=partial
    )
    try:
        ensure_indexes(mongodb)
        taken = numbered(2, taxId=numbered(1)["taxId"])
        problem(editor.post(customers_url(), json=taken), 409, "duplicate-tax-id")
        assert problems(send(editor, taken, numbered(3))) == [(409,), None]
    finally:
        mongodb.customers.drop_index("theirs")


def test_what_a_validator_of_another_program_refuses_is_an_error(
    mongodb: Database[Document], capsys: pytest.CaptureFixture[str]
) -> None:
    service = serve(mongodb)
    editor = caller(service, "editor")
    send(editor, numbered(1), numbered(2))
    mongodb.command("collMod", "customers", validator={"phone": {"$ne": "1234567890"}})
    refused = {"phone": "1234567890"}
    try:
        results = send(editor, numbered(1, **refused), numbered(2, phone=None), numbered(3), numbered(4, **refused))
    finally:
        mongodb.command("collMod", "customers", validator={})
    assert statuses(results) == ["failed", "changed", "created", "failed"]
    assert problems(results) == [(500,), None, None, (500,)]
    logged = capsys.readouterr().out
    assert '"refused":["DocumentRefused OperationFailure 121","DocumentRefused WriteError 121"]' in logged
