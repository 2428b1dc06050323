"""The client against the real service over TCP, through the fixture that consumers use."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
import typing
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx2
import jwt
import pytest

from customer_service import pytest_plugin
from customer_service.client import (
    Address,
    AsyncCustomerClient,
    BadRequest,
    Code,
    CustomerClient,
    CustomerNotFound,
    DuplicateExternalId,
    DuplicateTaxId,
    Erasure,
    Filters,
    Finding,
    InsufficientRole,
    InvoiceUse,
    KeyReused,
    LastAdmin,
    Member,
    MemberNotFound,
    NotAMember,
    NotFound,
    ProblemError,
    Retention,
    SatValidation,
    TaxSystem,
    Unauthorized,
    UpsertResult,
    ValidationFailed,
    VersionMismatch,
    ZipCode,
    ZipCodeNotFound,
    errors,
    models,
    operations,
)
from customer_service.repository import idempotency
from customer_service.schemas import inputs
from customer_service.schemas.outputs import (
    AddressSchema,
    ChangePageSchema,
    ChangeSchema,
    CodeSchema,
    CustomerBatchSchema,
    CustomerPageSchema,
    CustomerSchema,
    ErasureSchema,
    FindingSchema,
    InvoiceUseSchema,
    MemberSchema,
    RetentionSchema,
    SatValidationSchema,
    TaxInfoSchema,
    TaxSystemSchema,
    UpsertSchema,
    ZipCodeSchema,
)
from customer_service.web.problems import ALL_PROBLEMS
from customer_service.web.query_parameters import FILTERS, LIST_PARAMETERS, NOT_FILTERS
from tests.support import INVOICED_ON, RETAIN_UNTIL, new_customer, own_records

if TYPE_CHECKING:
    from pathlib import Path

    from customer_service.client import CustomerInput
    from customer_service.testing import CustomerService

MISSING = "0123456789abcdef01234567"


def new(**changes: Any) -> CustomerInput:
    customer: CustomerInput = new_customer(**{"taxId": "SAB010203AB1", **changes})  # type: ignore[assignment]
    return customer


class TestNames:
    """The client's names are the contract's: a field that one of them gains fails here."""

    @pytest.mark.parametrize(
        ("model", "schema"),
        [
            (models.Address, AddressSchema),
            (models.Customer, CustomerSchema),
            (models.Page, CustomerPageSchema),
            (models.Batch, CustomerBatchSchema),
            (models.Change, ChangeSchema),
            (models.ChangePage, ChangePageSchema),
            (models.Finding, FindingSchema),
            (models.TaxInfo, TaxInfoSchema),
            (models.Member, MemberSchema),
            (models.Code, CodeSchema),
            (models.SatValidation, SatValidationSchema),
            (models.Retention, RetentionSchema),
            (models.Erasure, ErasureSchema),
            (models.TaxSystem, TaxSystemSchema),
            (models.InvoiceUse, InvoiceUseSchema),
            (models.ZipCode, ZipCodeSchema),
        ],
    )
    def test_of_answers(self, model: Any, schema: Any) -> None:
        assert set(model.__dataclass_fields__) - {"etag"} == set(schema().fields)

    def test_of_upserts(self) -> None:
        assert set(UpsertResult.__dataclass_fields__) == set(UpsertSchema().fields)

    @pytest.mark.parametrize(
        ("sent", "schema"),
        [
            (models.AddressInput, inputs.AddressInputSchema),
            (models.CustomerInput, inputs.CustomerInputSchema),
            (models.CustomerPatch, inputs.CustomerPatchSchema),
            (models.SatValidationInput, inputs.SatValidationInputSchema),
        ],
    )
    def test_of_requests(self, sent: Any, schema: Any) -> None:
        fields = schema().fields
        assert set(sent.__annotations__) == set(fields)
        if sent in (models.CustomerInput, models.SatValidationInput):
            assert sent.__required_keys__ == {name for name, field in fields.items() if field.required}

    def test_of_filters(self) -> None:
        assert set(Filters.__annotations__) == set(LIST_PARAMETERS) - set(NOT_FILTERS)
        assert set(FILTERS) < set(Filters.__annotations__)

    def test_of_problems(self) -> None:
        statuses = {problem.slug: problem.status for problem in ALL_PROBLEMS}
        for slug, kind in errors.BY_SLUG.items():
            assert issubclass(kind, errors.BY_STATUS[statuses[slug]]), slug

    def test_the_time_of_a_creation_covers_that_of_an_abandoned_one(self) -> None:
        assert operations.TIMEOUT_SECONDS > idempotency.TAKEOVER_SECONDS + 2

    def test_every_room_of_the_server_is_left_alone(self) -> None:
        code = "import sys, customer_service.client; print(*sys.modules)"
        modules = set(
            subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        )
        assert "httpx2" in modules
        assert {each for each in modules if each.startswith("customer_service.")} == {
            "customer_service.client",
            "customer_service.roles",
            *(
                f"customer_service.client.{name}"
                for name in (
                    "async_client",
                    "calls",
                    "connections",
                    "customer_cache",
                    "errors",
                    "following",
                    "models",
                    "operations",
                    "sync_client",
                    "upsert_results",
                )
            ),
        }


class TestCustomers:
    """Every method, as a consumer would use it."""

    def test_the_whole_life_of_one(self, customer_service: CustomerService) -> None:
        client = customer_service.client()
        created = client.create(new(externalId="crm/1", metadata={"segment": "paper"}))
        assert created.address == Address(**new()["address"])
        assert (created.organizationId, created.externalId) == (customer_service.organization_id, "crm/1")
        assert created.createdAt.utcoffset() == timedelta(0)
        assert client.get(created.id) == client.get_by_external_id("crm/1") == created
        changed = client.update(created.id, {"phone": None, "metadata": {"segment": None}}, if_match=created.etag)
        assert (changed.phone, changed.metadata) == (None, {})
        deleted = client.delete(created.id, if_match=changed.etag)
        with pytest.raises(CustomerNotFound):
            client.get(created.id)
        restored = client.restore(created.id, if_match=deleted)
        assert restored.phone is None
        assert client.get(created.id).etag == restored.etag

    def test_what_others_changed_is_seen(self, customer_service: CustomerService) -> None:
        known = customer_service.customer(externalId="1")
        reader, writer = customer_service.client("viewer"), customer_service.client()
        assert reader.get(known.id) == reader.get(known.id)
        writer.update(known.id, {"legalName": "Sabre"})
        assert reader.get(known.id).legalName == "Sabre"
        with pytest.raises(VersionMismatch):
            writer.update(known.id, {"legalName": "Dunder"}, if_match=known.etag)
        with pytest.raises(VersionMismatch):
            writer.put_by_external_id("1", new(), if_match=known.etag)

    @pytest.mark.parametrize("external_id", ["a/b", "..", ".", "a b?c#d", "%2F", "ñ", "x" * 255, "batch-get"])
    def test_any_id_of_the_callers(self, customer_service: CustomerService, external_id: str) -> None:
        client = customer_service.client()
        put = client.put_by_external_id(external_id, new())
        assert put.externalId == external_id
        assert client.get_by_external_id(external_id) == put
        assert client.put_by_external_id(external_id, new()).etag == put.etag

    def test_a_list_of_any_length(self, customer_service: CustomerService) -> None:
        stored = [customer_service.customer(legalName=f"Dunder {number}") for number in range(5)]
        client = customer_service.client("viewer")
        assert list(client.search()) == stored
        pages = list(client.pages({"q": "dunder"}, limit=2, total=True))
        assert [len(page.data) for page in pages] == [2, 2, 1]
        assert {page.total for page in pages} == {5}
        since = {"createdAt[gte]": stored[2].createdAt, "createdAt[lte]": stored[2].createdAt}
        assert stored[2] in client.search(typing.cast("Filters", since))
        assert list(client.search({"q": "sabre"})) == []
        assert list(client.search({"q": "dunder", "taxId": None, "metadata": None, "createdAt[gte]": None})) == stored

    def test_a_customer_that_is_read_can_be_sent(self, customer_service: CustomerService) -> None:
        client, metadata = customer_service.client(), {"segment": "paper"}
        known = customer_service.customer(externalId="crm-4711", phone="6474010101", metadata=metadata)
        assert client.put_by_external_id("crm-4711", known.to_input()) == known
        changed = client.put_by_external_id("crm-4711", {**known.to_input(), "legalName": "SABRE"})
        assert changed.to_input() == {**known.to_input(), "legalName": "SABRE"}
        assert set(known.to_input()) == set(models.CustomerInput.__annotations__)
        plain = customer_service.customer()
        assert client.create({**plain.to_input(), "taxId": "SAB010203AB1"}).metadata == {}

    def test_a_list_by_metadata(self, customer_service: CustomerService) -> None:
        stored = [customer_service.customer(metadata={"a b": "ñ&=", "of": of}) for of in ("one", "two")]
        client = customer_service.client("viewer")
        assert list(client.search({"metadata": {"a b": "ñ&="}})) == stored
        assert list(client.search({"q": "dunder", "metadata": {"a b": "ñ&=", "of": "two"}})) == stored[1:]

    def test_a_batch_of_any_length(self, customer_service: CustomerService, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(operations, "BATCH_LENGTH", 2)
        first, second = customer_service.customer(), customer_service.customer()
        client = customer_service.client("viewer")
        batch = client.batch_get(iter([second.id, MISSING, "x", first.id, second.id.upper()]))
        assert (batch.data, batch.notFound, batch.unreadable) == ((second, first), (MISSING, "x"), ())
        assert client.batch_get([]) == models.Batch((), (), ())

    def test_a_batch_is_as_long_as_the_service_allows(self, customer_service: CustomerService) -> None:
        assert operations.BATCH_LENGTH == inputs.MAXIMUM_IDS == inputs.MAXIMUM_BATCH_LENGTH
        assert len(customer_service.client("viewer").batch_get(f"{n:024x}" for n in range(201)).notFound) == 201

    def test_an_upsert_of_a_batch(self, customer_service: CustomerService) -> None:
        client = customer_service.client()
        known = customer_service.customer(externalId="1")
        given = [new(externalId="2"), new(externalId="3"), new(externalId="1", taxId=known.taxId, phone=None)]
        created, refused, changed = client.batch_upsert(given)
        assert (created.index, created.status, created.problem) == (0, "created", None)
        assert client.get(str(created.id)).etag == created.etag
        assert (refused.index, refused.status, type(refused.problem)) == (1, "failed", DuplicateTaxId)
        assert (changed.index, changed.status, changed.id) == (2, "changed", known.id)
        assert [each.status for each in client.batch_upsert(given)] == ["unchanged", "failed", "unchanged"]
        (invalid,) = client.batch_upsert([new(externalId="4", taxId="SAB")])
        assert isinstance(invalid.problem, ValidationFailed)
        assert [(each.path, each.code) for each in invalid.problem.errors] == [("/taxId", "invalid-rfc")]

    def test_an_upsert_of_any_length(self, customer_service: CustomerService, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(operations, "BATCH_LENGTH", 2)
        given = [new(externalId=str(number), taxId=f"SAB010203AB{number}") for number in range(5)]
        results = customer_service.client().batch_upsert(iter(given))
        assert [(each.index, each.status) for each in results] == [(index, "created") for index in range(5)]

    def test_awaited(self, customer_service: CustomerService) -> None:
        token, organization = customer_service.token(customer_service.member()), customer_service.organization_id

        async def main() -> None:
            async with AsyncCustomerClient(customer_service.url, token, organization) as client:
                created = await client.create(new(externalId="1"))
                found = await asyncio.gather(client.get(created.id), client.get_by_external_id("1"))
                assert tuple(found) == (created, created)
                assert [each async for each in client.search({"q": "dunder"})] == [created]
                assert [page.total async for page in client.pages(total=True)] == [1]
                (result,) = await client.batch_upsert([new(externalId="1")])
                assert (result.status, result.etag) == ("unchanged", created.etag)
                await client.delete(created.id)
                with pytest.raises(CustomerNotFound):
                    await client.get(created.id)

        asyncio.run(main())

    def test_what_the_tax_authority_would_say(self, customer_service: CustomerService) -> None:
        client = customer_service.client()
        customers = [customer_service.customer() for _ in range(120)]
        judged = client.validate_tax_info(customers[-1].id)
        assert (judged.isValid, judged.errors, judged.warnings) == (True, (), ())
        wrong = client.validate_tax_info(new(taxId="SAB"))
        assert [(each.path, each.code) for each in wrong.errors] == [("/taxId", "invalid-rfc")]
        assert [each.suggestion for each in client.validate_tax_info(new(legalName="Sabre")).warnings][:1] == ["SABRE"]
        assert wrong.errors[0].suggestion is None

    def test_what_the_sat_answered(self, customer_service: CustomerService) -> None:
        client = customer_service.client()
        customer = customer_service.customer()
        assert customer.satValidation is None
        checked_at = datetime(2025, 1, 26, 10, tzinfo=UTC)
        stored = client.put_sat_validation(
            customer.id,
            {"status": "mismatched", "mismatches": ["/address/zip"], "checkedAt": checked_at, "source": "my-pac"},
            if_match=customer.etag,
        )
        assert stored.satValidation == SatValidation("mismatched", checked_at, "my-pac", ("/address/zip",))
        assert client.get(customer.id) == stored
        with pytest.raises(VersionMismatch):
            client.delete_sat_validation(customer.id, if_match=customer.etag)
        client.delete_sat_validation(customer.id, if_match=stored.etag)
        assert client.get(customer.id).satValidation is None
        matched = client.put_sat_validation(
            customer.id, {"status": "matched", "checkedAt": checked_at, "source": "my-pac"}
        )
        assert matched.satValidation == SatValidation("matched", checked_at, "my-pac")

    def test_retention_and_erasure(self, customer_service: CustomerService) -> None:
        editor, admin = customer_service.client(), customer_service.client("admin")
        customer_id = editor.get(customer_service.customer().id).id
        until = date.fromisoformat(RETAIN_UNTIL)
        dated = editor.put_retention(customer_id, last_invoiced_on=INVOICED_ON)
        assert dated == Retention(INVOICED_ON, until, hold=False, reason=None)
        with pytest.raises(InsufficientRole):
            editor.put_retention(customer_id, hold=True, reason="audit")
        held = admin.put_retention(customer_id, hold=True, reason="audit")
        assert held == Retention(INVOICED_ON, until, hold=True, reason="audit") == admin.get_retention(customer_id)
        assert admin.get_erasure(customer_id) == Erasure("none")
        assert (admin.erase(customer_id).basis, admin.erase(customer_id).retainUntil) == ("hold", None)
        assert admin.put_retention(customer_id, hold=False) == dated
        blocked = admin.erase(customer_id)
        assert (blocked.state, blocked.retainUntil, blocked.erased[0]) == ("blocked", until, "/email")
        assert admin.get_erasure(customer_id) == blocked
        with pytest.raises(CustomerNotFound):
            editor.get(customer_id)

    def test_an_erased_customer_leaves_the_cache_of_the_client(self, customer_service: CustomerService) -> None:
        admin = customer_service.client("admin")
        erased, other = (admin.get(customer_service.customer().id) for _ in range(2))
        cached = admin._operations._cache._customers
        admin.get_by_external_id(admin.update(erased.id, {"externalId": "crm-1"}).externalId or "")
        assert {each.id for each in cached.values()} == {erased.id, other.id}
        assert admin.erase(erased.id.upper()) == Erasure("erased")
        assert [each.id for each in cached.values()] == [other.id]

    def test_what_it_was_and_who_changed_it(self, customer_service: CustomerService) -> None:
        user_id = customer_service.member()
        with CustomerClient(
            customer_service.url, customer_service.token(user_id), customer_service.organization_id
        ) as client:
            first = client.create(new(phone=None))
            last = first
            for number in range(101):
                last = client.update(first.id, {"phone": f"64740101{number % 90 + 10}"})
            assert [each.version for each in client.versions(first.id)] == [*range(102, 0, -1)]
            newest = next(client.versions(first.id))
            assert (newest.change, newest.changed, newest.updatedBy) == ("changed", ("/phone",), user_id)
            assert (newest.updatedAt, bool(newest.requestId)) == (last.updatedAt, True)
            then = client.get(first.id, as_of=first.updatedAt)
            assert (then, then.etag) == (first, first.etag)
            assert client.get(first.id) == client.get(first.id, as_of=datetime.now(UTC) + timedelta(days=1)) == last
            for _ in range(2):
                assert client.get_version(first.id, 1) == first
            with pytest.raises(ValueError, match="offset"):
                client.get(first.id, as_of=datetime(2026, 1, 1))  # noqa: DTZ001 - it is refused for that
            with pytest.raises(CustomerNotFound):
                client.get_version(first.id, 103)
            client.delete(first.id)
            assert next(client.versions(first.id)).change == "deleted"

    def test_the_catalogues(self, customer_service: CustomerService) -> None:
        client = customer_service.client()
        assert client.list_tax_systems()[0] == TaxSystem("601", "General de Ley Personas Morales", True, False)
        assert client.list_invoice_uses("605", "GODE561231GR8")[0] == InvoiceUse("CN01", "Nómina", ("605",))
        assert len(client.list_invoice_uses()) == 24
        assert Code("MEX", "México") in client.list_countries()
        assert Code("CMX", "Ciudad de México") in client.list_states()
        cardenas = Code("002", "Cárdenas")
        assert client.get_zip_code("86500") == ZipCode(
            "86500", Code("TAB", "Tabasco"), cardenas, Code("01", "Cárdenas")
        )
        assert client.get_zip_code("01001").municipality is None
        with pytest.raises(ValidationFailed, match="/taxSystem unknown-tax-system"):
            client.list_invoice_uses("999")
        for none in ("8650", "../tax-systems", ".", "a/b"):
            with pytest.raises(NotFound):
                client.get_zip_code(none)
        with pytest.raises(ZipCodeNotFound):
            client.get_zip_code("17000")

    def test_members(self, customer_service: CustomerService) -> None:
        admin = customer_service.client("admin")
        (only,) = admin.list_members()
        assert admin.put_member("a/b", "viewer") == Member("a/b", "viewer")
        assert set(admin.list_members()) == {only, Member("a/b", "viewer")}
        admin.delete_member("a/b")
        with pytest.raises(MemberNotFound):
            admin.delete_member("a/b")
        with pytest.raises(LastAdmin):
            admin.delete_member(only.userId)


class TestErrors:
    """Each of the service's, as the exception that it is."""

    def test_of_values(self, customer_service: CustomerService) -> None:
        with pytest.raises(ValidationFailed) as raised:
            customer_service.client().create(new(taxId="SAB"))
        (finding,) = raised.value.errors
        assert (type(finding), finding.path, finding.code) == (Finding, "/taxId", "invalid-rfc")
        assert len(raised.value.request_id) == 32

    def test_of_duplicates(self, customer_service: CustomerService) -> None:
        known, client = customer_service.customer(externalId="1"), customer_service.client()
        with pytest.raises(DuplicateTaxId) as raised:
            client.create(new(taxId=known.taxId))
        assert raised.value.existing == f"/organizations/{known.organizationId}/customers/{known.id}"
        with pytest.raises(DuplicateExternalId):
            client.create(new(externalId="1"))

    def test_of_keys(self, customer_service: CustomerService) -> None:
        client = customer_service.client()
        created = client.create(new(), idempotency_key="1")
        assert client.create(new(), idempotency_key="1").id == created.id
        with pytest.raises(KeyReused):
            client.create(new(legalName="Other"), idempotency_key="1")
        with pytest.raises(BadRequest):
            client.create(new(), idempotency_key="a" * 256)

    def test_of_callers(self, customer_service: CustomerService) -> None:
        with pytest.raises(InsufficientRole):
            customer_service.client("viewer").create(new())
        url, organization = customer_service.url, customer_service.organization_id
        for token, kind in ((customer_service.token("stranger"), NotAMember), ("x", Unauthorized)):
            with CustomerClient(url, token, organization) as client, pytest.raises(kind):
                client.get(MISSING)

    def test_nothing_of_a_customer_is_logged(
        self, customer_service: CustomerService, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        client = customer_service.client()
        client.create(new(externalId="private-id"))
        assert client.get_by_external_id("private-id") in client.search({"email": new()["email"]})
        assert own_records(caplog.records) == []

    def test_of_tokens_for_some_seconds(self, customer_service: CustomerService) -> None:
        token = customer_service.token("a user", expires_in=60)
        expires = jwt.decode(token, options={"verify_signature": False})["exp"]
        assert 0 < expires - time.time() <= 60

    def test_of_methods(self, customer_service: CustomerService) -> None:
        with pytest.raises(ProblemError, match="405 method-not-allowed"):
            customer_service.client().get("batch-get")

    def test_of_answers_that_are_lost_after_the_deed(self, customer_service: CustomerService) -> None:
        """Each first response is lost; the request takes effect once, and its result is returned."""
        organization = customer_service.organization_id
        token = customer_service.token(customer_service.member())
        with CustomerClient(customer_service.url, token, organization, transport=Lossy()) as client:
            created = client.create(new())
            assert [each.id for each in client.search()] == [created.id]
            with pytest.raises(VersionMismatch):  # its own change is in the way
                client.update(created.id, {"legalName": "Sabre"}, if_match=created.etag)
            assert client.get(created.id).legalName == "Sabre"
            assert client.delete(created.id) is None
            assert list(client.search()) == []


class Lossy(httpx2.HTTPTransport):
    """Loses the answer to every other request."""

    loses = False

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = super().handle_request(request)
        self.loses = not self.loses
        if self.loses:
            response.read()
            raise httpx2.ReadError("lost")
        return response


def test_threads_share_a_client(customer_service: CustomerService) -> None:
    known = [customer_service.customer() for _ in range(3)]
    client = customer_service.client()
    together = threading.Barrier(4)

    def work(number: int) -> list[str]:
        together.wait()
        client.update(known[0].id, {"metadata": {str(number): "done"}})
        return [client.get(known[turn % 3].id).id for turn in range(30)]

    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(work, range(4)))
    assert read == [[known[turn % 3].id for turn in range(30)]] * 4
    assert client.get(known[0].id).metadata == {str(number): "done" for number in range(4)}


class TestPlugin:
    """What the fixture promises its users."""

    @pytest.mark.parametrize("_", range(2))
    def test_each_test_begins_with_nothing(self, customer_service: CustomerService, _: int) -> None:
        admin = customer_service.client("admin", organization_id="the same in each")
        assert list(admin.search()) == []
        assert len(admin.list_members()) == 1
        customer_service.customer(taxId="SAB010203AB1", organization_id="the same in each")
        assert len(admin.list_members()) == 1

    def test_organizations_are_apart(self, customer_service: CustomerService) -> None:
        other = customer_service.organization()
        theirs = customer_service.customer(organization_id=other)
        assert theirs.organizationId == other
        assert customer_service.client("viewer", organization_id=other).get(theirs.id) == theirs
        with pytest.raises(CustomerNotFound):
            customer_service.client().get(theirs.id)

    def test_a_proxy_of_the_environment_is_not_asked(
        self, customer_service: CustomerService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        assert list(customer_service.client().search()) == []

    def test_the_plugin_imports_no_library_until_its_fixture_is_used(self, tmp_path: Any) -> None:
        (tmp_path / "test_other.py").write_text(
            "import sys\n"
            "def test_other():\n"
            "    big = {'flask', 'pymongo', 'mongomock', 'httpx2', 'customer_service.client', 'customer_service.app'}\n"
            "    assert 'customer_service.pytest_plugin' in sys.modules\n"
            "    assert not big & set(sys.modules)\n"
        )
        run = self.run(tmp_path)
        assert run.returncode == 0, run.stdout

    def test_the_fixture_names_the_extra_that_it_needs(self, tmp_path: Path) -> None:
        (tmp_path / "conftest.py").write_text("import sys\nsys.modules['customer_service.testing'] = None\n")
        (tmp_path / "test_other.py").write_text("def test_other(customer_service):\n    pass\n")
        run = self.run(tmp_path)
        assert (run.returncode, "Install the extra: customer-service[testing]" in run.stdout) == (1, True)

    def run(self, directory: Path) -> subprocess.CompletedProcess[str]:
        plugins = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "-p customer_service.pytest_plugin"}
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, str(directory)],
            capture_output=True,
            text=True,
            env=os.environ | plugins,
            check=False,
        )

    def test_it_is_installed(self, pytestconfig: pytest.Config) -> None:
        assert pytestconfig.pluginmanager.get_plugin("customer-service") is pytest_plugin

    def test_a_token_that_has_expired(self, customer_service: CustomerService) -> None:
        token = customer_service.token(customer_service.member(), expires_in=-1)
        with (
            CustomerClient(customer_service.url, token, customer_service.organization_id) as client,
            pytest.raises(Unauthorized),
        ):
            client.get("0" * 24)

    def test_a_role_that_is_none(self, customer_service: CustomerService) -> None:
        with pytest.raises(ValueError, match="viewer, editor, admin"):
            customer_service.client("boss")  # type: ignore[arg-type]
