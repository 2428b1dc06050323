"""Before a write replaces a customer's document, a copy of it is in the history, and the history reads as it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pymongo
import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect, BulkWriteError

from customer_service.errors import CustomerNotFound, DatabaseError, VersionMismatch
from customer_service.repository import (
    CustomerBatchRepository,
    OrganizationScope,
    VersionRepository,
    backfill_search_fields,
    customers,
)
from customer_service.repository import versions as versions_module
from customer_service.repository.database import connect, primary_of
from customer_service.repository.versions import version_of
from customer_service.services import validation
from customer_service.services.upserts import to_upsert, upsert_many, validate_many
from customer_service.settings import MongoSettings
from tests.support import (
    CUSTOMER_ID,
    ORGANIZATION,
    OTHER_CUSTOMER_ID,
    OTHER_ORGANIZATION,
    PATIENT_MS,
    WRITER,
    Service,
    new_customer,
    stored,
)
from tests.support.command_recorder import CommandRecorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymongo.database import Database

    from customer_service.repository.database import Document

MILLISECOND = timedelta(milliseconds=1)
FIRST = datetime(2025, 1, 26, 10)  # noqa: DTZ001 - as BSON has it


@pytest.fixture
def repository(service: Service) -> CustomerBatchRepository:
    backfill_search_fields(service.database)
    return CustomerBatchRepository(service.database, OrganizationScope(ORGANIZATION), WRITER)


@pytest.fixture
def versions(service: Service) -> VersionRepository:
    return VersionRepository(service.database, OrganizationScope(ORGANIZATION))


def copies(service: Service) -> list[Document]:
    return list(service.database.customer_versions.find().sort("_id.updatedAt"))


def current(repository: CustomerBatchRepository) -> Document:
    return repository.get_including_deleted(CUSTOMER_ID)


def change(repository: CustomerBatchRepository, phone: str) -> Document:
    document = repository.get(CUSTOMER_ID)
    return repository.update(document, validation.to_input(document) | {"phone": phone})


def changed_thrice(repository: CustomerBatchRepository) -> list[Document]:
    """Change the customer three times; return its four documents, the newest first."""
    documents = [current(repository), *(change(repository, str(number)) for number in range(3))]
    return documents[::-1]


def numbered(number: int) -> dict[str, Any]:
    return new_customer(externalId=f"crm-{number}", taxId=f"AAA0101{number + 1:02}000")


def set_directly(service: Service, **values: Any) -> None:
    """Change the customer as another program does."""
    service.database.customers.update_one({"_id": ObjectId(CUSTOMER_ID)}, {"$set": values})


class TestArchive:
    """What a write stores in the history."""

    @pytest.mark.parametrize(
        "write",
        [
            lambda customers, document: customers.update(document, validation.to_input(document) | {"phone": "1"}),
            lambda customers, document: customers.set_sat_validation(document, {"status": "matched"}),
            lambda customers, document: customers.remove(document),
        ],
        ids=["update", "set_sat_validation", "remove"],
    )
    def test_has_the_replaced_document(
        self, service: Service, repository: CustomerBatchRepository, write: Callable[..., object]
    ) -> None:
        document = current(repository)
        began = datetime.now(UTC).replace(tzinfo=None) - MILLISECOND
        write(repository, document)
        (copy,) = copies(service)
        assert began <= copy.pop("replacedAt") <= current(repository)["updatedAt"]
        key = {"customer": document["_id"], "version": 1, "updatedAt": document["updatedAt"]}
        assert copy == {"_id": key, "organizationId": ORGANIZATION, "document": document}
        assert list(copy["_id"]) == list(key)

    def test_has_the_deleted_document_after_a_restore(
        self, service: Service, repository: CustomerBatchRepository
    ) -> None:
        document = current(repository)
        removed = repository.remove(document)
        repository.restore(removed, validation.for_restore(removed))
        assert [copy["document"] for copy in copies(service)] == [document, removed]

    def test_has_nothing_of_a_creation_or_a_write_of_what_is_stored(
        self, service: Service, repository: CustomerBatchRepository
    ) -> None:
        document, _ = repository.add(validation.validate(new_customer(taxId="SAB010203AB1", externalId="crm-1")))
        repository.set_sat_validation(document, None)
        (outcome,) = upsert_many(repository, validate_many([validation.to_input(document)], to_upsert))
        assert getattr(outcome, "status", None) == "unchanged"
        assert copies(service) == []

    def test_has_nothing_of_a_backfill(self, service: Service) -> None:
        assert backfill_search_fields(service.database)[0] == 2
        assert copies(service) == []

    def test_has_one_copy_of_a_document_that_two_writers_replace(
        self, service: Service, repository: CustomerBatchRepository
    ) -> None:
        document = current(repository)
        repository.remove(document)
        with pytest.raises(VersionMismatch):
            repository.remove(document)
        assert [copy["document"] for copy in copies(service)] == [document]

    def test_counts_a_repeated_copy_from_its_replacement(
        self, service: Service, repository: CustomerBatchRepository, versions: VersionRepository
    ) -> None:
        versions.archive([current(repository)])
        service.database.customer_versions.update_one({}, {"$set": {"replacedAt": FIRST}})
        change(repository, "1")
        (copy,) = copies(service)
        assert copy["replacedAt"] > FIRST + timedelta(days=1)

    def test_replaces_nothing_if_the_copy_fails(
        self, service: Service, repository: CustomerBatchRepository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = stored(service)

        def fail(*_: object, **__: object) -> None:
            raise BulkWriteError({"writeErrors": [{"index": 0, "code": 8000}]})

        monkeypatch.setattr(type(service.database.customer_versions), "insert_many", fail)
        with pytest.raises(DatabaseError):
            repository.remove(current(repository))
        assert stored(service) == before

    @pytest.mark.parametrize("version", ["two", None, {"a": 1}, 2**62, 2**63 - 1, 1.5, True, -3])
    @pytest.mark.parametrize("updated_at", [None, "yesterday", 5, FIRST])
    def test_of_a_document_that_another_program_stored(
        self,
        service: Service,
        repository: CustomerBatchRepository,
        versions: VersionRepository,
        version: object,
        updated_at: object,
    ) -> None:
        set_directly(service, version=version, updatedAt=updated_at)
        document = current(repository)
        versions.archive([document])
        assert versions.page(document, 9) == [document]
        removed = repository.remove(document)
        (copy,) = copies(service)
        assert copy["_id"]["version"] == (version if isinstance(version, int) else 0)
        assert copy["document"] == document
        assert versions.page(removed, 9) == [removed, document]
        assert versions.get(removed, version_of(document)) == document

    def test_of_no_documents_is_no_command(self, versions: VersionRepository, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(versions, "_collection")
        versions.archive([])


class TestBatch:
    """The outgoing documents of a batch are one command."""

    def test_archives_what_changes_once(self, service: Service, repository: CustomerBatchRepository) -> None:
        bodies = [numbered(number) for number in range(4)]
        created = upsert_many(repository, validate_many(bodies, to_upsert))
        assert [getattr(each, "status", None) for each in created] == ["created"] * 4
        before = {each["externalId"]: each for each in stored(service) if "externalId" in each}
        changes = [bodies[0], *({**body, "phone": None} for body in bodies[1:3])]
        again = upsert_many(repository, validate_many([*changes, numbered(9)], to_upsert))
        assert [getattr(each, "status", None) for each in again] == ["unchanged", "changed", "changed", "created"]
        expected = [before[f"crm-{number}"] for number in (1, 2)]
        assert sorted((copy["document"] for copy in copies(service)), key=lambda each: each["externalId"]) == expected

    def test_sends_one_insert_and_one_update(self, mongodb: Database[Document], mongodb_uri: str) -> None:
        recorder = CommandRecorder()
        with pymongo.MongoClient[dict[str, Any]](mongodb_uri, event_listeners=[recorder]) as client:
            repository = CustomerBatchRepository(client[mongodb.name], OrganizationScope(ORGANIZATION), WRITER)
            bodies = [numbered(number) for number in range(5)]
            for phone in ("6474010101", None):
                upsert_many(repository, validate_many([{**body, "phone": phone} for body in bodies], to_upsert))
        inserts = [command["insert"] for command in recorder.commands if "insert" in command]
        assert inserts == ["customers", "customer_versions"]
        assert sum("update" in command for command in recorder.commands) == 1
        assert mongodb.customer_versions.count_documents({}) == 5


class TestElection:
    """If another primary takes the write than took the copy, the copy is inserted again."""

    @pytest.fixture
    def primaries(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        """Let the driver name these primaries, one after the other."""

        def set_primaries(*names: object) -> None:
            following = iter(names)
            monkeypatch.setattr(versions_module, "primary_of", lambda _: next(following))

        return set_primaries

    def write_losing_the_copy(self, service: Service, versions: VersionRepository, error: Exception | None) -> None:
        with versions.archiving(stored(service)[0]):
            assert service.database.customer_versions.delete_many({}).deleted_count == 1
            if error:
                raise error

    @pytest.mark.parametrize("later", [("a", 2), ("b", 2), None])
    def test_of_another_primary(
        self, service: Service, versions: VersionRepository, primaries: Callable[..., None], later: object
    ) -> None:
        primaries(("a", 1), later)
        self.write_losing_the_copy(service, versions, None)
        assert [copy["document"] for copy in copies(service)] == stored(service)[:1]

    def test_also_if_the_write_fails(
        self, service: Service, versions: VersionRepository, primaries: Callable[..., None]
    ) -> None:
        primaries(("a", 1), ("b", 2))
        with pytest.raises(AutoReconnect):
            self.write_losing_the_copy(service, versions, AutoReconnect())
        assert len(copies(service)) == 1

    @pytest.mark.parametrize("primary", [("a", 1), None])
    def test_not_with_the_same_primary(
        self, service: Service, versions: VersionRepository, primaries: Callable[..., None], primary: object
    ) -> None:
        primaries(primary, primary)
        self.write_losing_the_copy(service, versions, None)
        assert copies(service) == []

    def test_the_copy_waits_for_a_majority_only_without_a_primary(
        self, mongodb: Database[Document], mongodb_uri: str, primaries: Callable[..., None]
    ) -> None:
        recorder = CommandRecorder()
        database = connect(MongoSettings(mongodb_uri, mongodb.name, PATIENT_MS), [recorder])
        customers = CustomerBatchRepository(database, OrganizationScope(ORGANIZATION), WRITER)
        document, _ = customers.add(validation.validate(new_customer()))
        document = customers.remove(document)
        primaries(None)
        document = customers.restore(document, validation.for_restore(document))
        customers.update_many([(document, validation.validate(new_customer(phone=None)))])
        database.client.close()
        inserts = [command for command in recorder.commands if command.get("insert") == "customer_versions"]
        assert [command["writeConcern"]["w"] for command in inserts] == [1, "majority", "majority"]


def test_the_primary_of_a_database_is_known_by_its_election(mongodb: Database[Document]) -> None:
    mongodb.command("ping")
    primary = primary_of(mongodb)
    assert primary is not None
    assert primary[0] == mongodb.client.address
    assert isinstance(primary[1], ObjectId)
    unconnected: pymongo.MongoClient[Document] = pymongo.MongoClient("mongodb://127.0.0.1:9", connect=False)
    with unconnected:
        assert primary_of(unconnected.tests) is None


class TestPage:
    """The customer's documents, the newest first."""

    def test_has_the_current_document_first(
        self, repository: CustomerBatchRepository, versions: VersionRepository
    ) -> None:
        documents = changed_thrice(repository)
        assert versions.page(documents[0], 9) == documents
        assert versions.page(documents[0], 2) == documents[:2]
        assert versions.page(documents[0], 1) == documents[:1]

    @pytest.mark.parametrize("place", range(4))
    def test_begins_before_a_time(
        self, repository: CustomerBatchRepository, versions: VersionRepository, place: int
    ) -> None:
        documents = changed_thrice(repository)
        assert versions.page(documents[0], 9, documents[place]["updatedAt"]) == documents[place + 1 :]
        assert versions.page(documents[0], 9, documents[place]["updatedAt"] + MILLISECOND) == documents[place:]
        assert versions.page(documents[0], 1, documents[place]["updatedAt"] + MILLISECOND) == [documents[place]]

    def test_leaves_out_a_copy_of_the_current_document(
        self, service: Service, repository: CustomerBatchRepository, versions: VersionRepository
    ) -> None:
        documents = changed_thrice(repository)
        versions.archive(documents[:1])
        assert versions.page(documents[0], 9) == documents
        assert len(copies(service)) == 4

    def test_leaves_out_what_was_written_after_the_current_document_was_read(
        self, repository: CustomerBatchRepository, versions: VersionRepository
    ) -> None:
        documents = changed_thrice(repository)
        assert versions.page(documents[2], 9) == documents[2:]
        assert versions.as_of(documents[2], documents[0]["updatedAt"]) == documents[2]

    def test_has_no_other_customer(
        self, service: Service, repository: CustomerBatchRepository, versions: VersionRepository
    ) -> None:
        other, _ = repository.add(validation.validate(new_customer(taxId="SAB010203AB1")))
        repository.remove(other)
        theirs = VersionRepository(service.database, OrganizationScope(OTHER_ORGANIZATION))
        theirs.archive(
            [{**current(repository), "organizationId": OTHER_ORGANIZATION, "updatedAt": FIRST - MILLISECOND}]
        )
        document = current(repository)
        assert versions.page(document, 9) == [document]
        with pytest.raises(CustomerNotFound):
            versions.as_of(document, FIRST - MILLISECOND)


class TestOneVersion:
    def test_is_found_by_its_number(self, repository: CustomerBatchRepository, versions: VersionRepository) -> None:
        documents = changed_thrice(repository)
        assert [versions.get(documents[0], number) for number in range(1, 5)] == documents[::-1]

    @pytest.mark.parametrize("number", [-1, 0, 5, 2**63 - 1])
    def test_is_not_found(self, repository: CustomerBatchRepository, versions: VersionRepository, number: int) -> None:
        newest, *_ = changed_thrice(repository)
        with pytest.raises(CustomerNotFound):
            versions.get(newest, number)

    def test_is_not_found_if_it_is_a_deletion(
        self, repository: CustomerBatchRepository, versions: VersionRepository
    ) -> None:
        document = current(repository)
        removed = repository.remove(document)
        assert versions.get(removed, 1) == document
        with pytest.raises(CustomerNotFound):
            versions.get(removed, 2)
        restored = repository.restore(removed, validation.for_restore(removed))
        with pytest.raises(CustomerNotFound):
            versions.get(restored, 2)
        assert versions.get(restored, 3) == restored

    def test_is_the_newest_of_its_number(
        self, service: Service, repository: CustomerBatchRepository, versions: VersionRepository
    ) -> None:
        """Another program may take the version back."""
        changed_thrice(repository)
        set_directly(service, version=1)
        newest = changed_thrice(repository)
        assert versions.get(newest[0], 2) == newest[2]


class TestAsOf:
    """The customer as it was at a moment."""

    def test_is_the_new_document_from_its_own_time_on(
        self, repository: CustomerBatchRepository, versions: VersionRepository
    ) -> None:
        documents = changed_thrice(repository)
        for place, document in enumerate(documents):
            assert versions.as_of(documents[0], document["updatedAt"]) == document
            if place:
                assert versions.as_of(documents[0], documents[place - 1]["updatedAt"] - MILLISECOND) == document

    def test_is_the_current_document_in_the_future(
        self, repository: CustomerBatchRepository, versions: VersionRepository
    ) -> None:
        newest, *_ = changed_thrice(repository)
        assert versions.as_of(newest, datetime(9999, 12, 31)) == newest  # noqa: DTZ001 - as BSON has it

    def test_is_not_found_before_the_first_document(
        self, repository: CustomerBatchRepository, versions: VersionRepository
    ) -> None:
        newest, *_, first = changed_thrice(repository)
        for document in (newest, first):
            with pytest.raises(CustomerNotFound):
                versions.as_of(document, first["updatedAt"] - MILLISECOND)

    def test_is_not_found_while_it_was_deleted(
        self, repository: CustomerBatchRepository, versions: VersionRepository
    ) -> None:
        document = current(repository)
        removed = repository.remove(document)
        restored = repository.restore(removed, validation.for_restore(removed))
        for newest in (removed, restored):
            assert versions.as_of(newest, removed["updatedAt"] - MILLISECOND) == document
            with pytest.raises(CustomerNotFound):
                versions.as_of(newest, removed["updatedAt"])
        assert versions.as_of(restored, restored["updatedAt"]) == restored

    def test_is_the_document_that_another_program_stored_without_a_time(
        self, service: Service, repository: CustomerBatchRepository, versions: VersionRepository
    ) -> None:
        set_directly(service, updatedAt=None)
        document = current(repository)
        removed = repository.remove(document)
        assert versions.as_of(document, FIRST) == versions.as_of(removed, FIRST) == document


class TestErasure:
    def test_removes_every_copy_of_the_customer(
        self, service: Service, repository: CustomerBatchRepository, versions: VersionRepository
    ) -> None:
        other, _ = repository.add(validation.validate(new_customer(taxId="SAB010203AB1")))
        repository.remove(other)
        changed_thrice(repository)
        versions.remove_all(ObjectId(CUSTOMER_ID))
        assert [copy["document"]["_id"] for copy in copies(service)] == [other["_id"]]

    def test_redacts_every_copy_of_the_customer(
        self, service: Service, repository: CustomerBatchRepository, versions: VersionRepository
    ) -> None:
        other, _ = repository.add(validation.validate(new_customer(taxId="SAB010203AB1")))
        repository.remove(other)
        documents = changed_thrice(repository)
        for _ in range(2):
            versions.redact(ObjectId(CUSTOMER_ID))
        for document in documents[1:]:
            for name in ("email", "phone", "search", "unique"):
                document.pop(name, None)
            document["address"] = {name: document["address"][name] for name in ("zip", "state", "country")}
        own = [copy["document"] for copy in copies(service) if copy["_id"]["customer"] != other["_id"]]
        assert own == documents[:0:-1]
        assert [copy["document"] for copy in copies(service) if copy["_id"]["customer"] == other["_id"]] == [other]

    def test_leaves_another_organization_alone(self, service: Service, versions: VersionRepository) -> None:
        theirs = VersionRepository(service.database, OrganizationScope(OTHER_ORGANIZATION))
        theirs.archive([each for each in stored(service) if each["organizationId"] == OTHER_ORGANIZATION])
        before = copies(service)
        versions.redact(ObjectId(OTHER_CUSTOMER_ID))
        versions.remove_all(ObjectId(OTHER_CUSTOMER_ID))
        assert copies(service) == before


def test_every_query_is_one_index_scan(mongodb: Database[Document], mongodb_uri: str) -> None:
    recorder = CommandRecorder()
    with pymongo.MongoClient[dict[str, Any]](mongodb_uri, event_listeners=[recorder]) as client:
        repository = CustomerBatchRepository(client[mongodb.name], OrganizationScope(ORGANIZATION), WRITER)
        versions = VersionRepository(client[mongodb.name], OrganizationScope(ORGANIZATION))
        document, _ = repository.add(validation.validate(new_customer()))
        newest = repository.remove(document)
        versions.page(newest, 3)
        versions.page(newest, 3, newest["updatedAt"])
        versions.get(newest, 1)
        versions.as_of(newest, document["updatedAt"])
        finds = [command for command in recorder.commands if command.get("find") == "customer_versions"]
        assert len(finds) == 4
        for command in finds:
            assert command["filter"]["organizationId"] == ORGANIZATION
            query = {name: command[name] for name in ("find", "filter", "sort", "limit")}
            plan = str(mongodb.command("explain", query, verbosity="queryPlanner")["queryPlanner"]["winningPlan"])
            assert "'customer-service.history'" in plan
            assert "SORT" not in plan


def test_the_time_of_a_document_is_that_of_its_version(repository: CustomerBatchRepository) -> None:
    times = [document["updatedAt"] for document in changed_thrice(repository)]
    assert times == sorted(set(times), reverse=True)
    assert customers.MILLISECOND == MILLISECOND
