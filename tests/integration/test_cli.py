"""The command `customer-service` on a real mongod."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import jwt
import pytest
from bson import ObjectId

from customer_service import __version__
from customer_service.cli import main
from customer_service.cli.demo import EXAMPLE_CUSTOMER
from customer_service.repository import backfill, backfill_unique_keys, ensure_indexes
from customer_service.repository.customers import search_and_unique_fields
from tests.support import MEMBER, ORGANIZATION, SECRET
from tests.support.command_line import CommandRun
from tests.support.command_recorder import INDEXES
from tests.support.failpoints import ONCE, failing

if TYPE_CHECKING:
    from pymongo.database import Database

    from customer_service.repository.database import Document

PATH_NOT_VIABLE = 28
"""A server's error code that one document causes."""

PUBLIC_KEY = (
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
    "-----END PUBLIC KEY-----\n"
)


@pytest.fixture
def configured(mongodb: Database[Document], mongodb_uri: str, monkeypatch: pytest.MonkeyPatch) -> Database[Document]:
    """An empty database that the environment names."""
    monkeypatch.setenv("MONGODB_URI", mongodb_uri)
    monkeypatch.setenv("MONGODB_DATABASE", mongodb.name)
    return mongodb


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["demo"],
        ["serve"],
        ["check"],
        ["indexes"],
        ["token"],
        ["members"],
        ["members", "add"],
        ["import"],
        ["export"],
        ["sat"],
        ["sat", "export"],
        ["sat", "import"],
        ["erase-due"],
    ],
)
def test_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    done = CommandRun(monkeypatch, capsys, *arguments, "--help")
    assert done.code == 0
    assert "Usage: customer-service" in done.out
    assert "Example" in done.out


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert __version__ in CommandRun(monkeypatch, capsys, "--version").out


def test_indexes_say_what_they_did(
    configured: Database[Document], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("memberships", "customers", "customer_versions", "idempotencyKeys", "requestCounts"):
        configured[name].drop()
    first, second = (CommandRun(monkeypatch, capsys, "indexes") for _ in range(2))
    assert (first.code, second.code) == (0, 0)
    *created, completed = first.out.splitlines()
    assert created == [f"created  {name}" for name in INDEXES]
    assert completed == "completed  0 customers, 0 of which share a tax id or external id with another"
    assert second.out == first.out.replace("created  ", "present  ")


def test_the_keys_of_an_earlier_release_are_stored_as_long_as_those_of_this_one(
    configured: Database[Document], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = configured.idempotencyKeys
    keys.drop()
    keys.create_index("claimedAt", expireAfterSeconds=24 * 3600)
    for done in ("created", "present"):
        assert f"{done}  idempotencyKeys.claimedAt_1\n" in CommandRun(monkeypatch, capsys, "indexes").out
        assert keys.index_information()["claimedAt_1"]["expireAfterSeconds"] == 72 * 3600


def test_the_history_is_stored_for_some_days(
    configured: Database[Document], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    index = "customer_versions.customer-service.replacedAt"
    configured.customer_versions.drop()
    for days, done, seconds in (
        ("", [], None),
        ("365", ["created"], 365 * 86_400 + 3600),
        ("365", ["present"], 365 * 86_400 + 3600),
        ("24000", ["dropped", "created"], 24_000 * 86_400 + 3600),
        ("", ["dropped"], None),
        ("", [], None),
    ):
        monkeypatch.setenv("HISTORY_DAYS", days)
        lines = CommandRun(monkeypatch, capsys, "indexes").out.splitlines()
        assert [line for line in lines if index in line] == [f"{each}  {index}" for each in done]
        options = configured.customer_versions.index_information().get("customer-service.replacedAt", {})
        assert options.get("expireAfterSeconds") == seconds
        assert not options or [tuple(each) for each in options["key"]] == [("replacedAt", 1)]
    monkeypatch.setenv("HISTORY_DAYS", "0")
    assert CommandRun(monkeypatch, capsys, "indexes").code == 2


def test_customers_of_other_programs_are_completed(
    configured: Database[Document], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    CommandRun(monkeypatch, capsys, "indexes")
    bare = EXAMPLE_CUSTOMER | {"externalId": "crm-1"}
    generic = EXAMPLE_CUSTOMER | {"_id": ObjectId(), "taxId": "XAXX010101000"}
    configured.customers.insert_many(
        [
            bare,
            generic | {"_id": ObjectId(), "taxId": "xaxx010101000"},
            generic | {"_id": ObjectId(), "taxId": "xaxx010101000"},
            EXAMPLE_CUSTOMER | {"_id": ObjectId(), "taxId": "dum901231ab3"},
            generic | {"_id": ObjectId(), "externalId": 4711},
            EXAMPLE_CUSTOMER | {"_id": ObjectId(), "legalName": None},
            EXAMPLE_CUSTOMER | {"_id": ObjectId(), "deletedAt": EXAMPLE_CUSTOMER["updatedAt"]},
        ]
    )
    done = CommandRun(monkeypatch, capsys, "indexes")
    *_, twins, completion = done.out.splitlines()
    assert completion == "completed  5 customers, 1 of which share a tax id or external id with another"
    twin = configured.customers.find_one({"taxId": "dum901231ab3"})
    assert twin is not None
    assert twins == f"twins  {twin['_id']} and {bare['_id']} of {ORGANIZATION} have the same taxId"
    assert configured.customers.count_documents({"search": "dunder"}) == 5
    assert configured.customers.count_documents({"unique": {}}) == 4
    completed = configured.customers.find_one({"_id": bare["_id"]})
    assert completed is not None
    assert completed["unique"] == {"taxId": "DUM901231AB3", "externalId": "crm-1"}
    assert (completed["version"], completed["updatedAt"]) == (1, datetime(2025, 1, 26, 10))  # noqa: DTZ001 - as BSON has it
    again = CommandRun(monkeypatch, capsys, "indexes")
    assert "completed  0 customers" in again.out


def test_indexes_name_a_customer_that_mongodb_refuses(
    configured: Database[Document], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    CommandRun(monkeypatch, capsys, "indexes")
    configured.customers.insert_one(dict(EXAMPLE_CUSTOMER))
    namespace = f"{configured.name}.customers"
    with failing(configured, "update", mode=ONCE, errorCode=PATH_NOT_VIABLE, namespace=namespace):
        refused = CommandRun(monkeypatch, capsys, "indexes")
    assert refused.code == 0
    assert f"refused  {EXAMPLE_CUSTOMER['_id']}: MongoDB refused to change this customer" in refused.out
    with failing(configured, "update", errorCode=13, namespace=namespace):
        unauthorized = CommandRun(monkeypatch, capsys, "indexes")
    assert unauthorized.code == 1
    assert "refused" not in unauthorized.out
    assert "completed  1 customers" in CommandRun(monkeypatch, capsys, "indexes").out


def test_customers_of_an_earlier_release_are_found_by_phone(
    configured: Database[Document], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    customers = configured.customers
    phones = ("6474010101", "no number", None, ["6474010101"])
    customers.insert_many([EXAMPLE_CUSTOMER | {"_id": ObjectId(), "phone": phone} for phone in phones])
    CommandRun(monkeypatch, capsys, "indexes")
    customers.update_many({}, {"$pull": {"search": "phone 6474010101"}})
    assert "completed  1 customers" in CommandRun(monkeypatch, capsys, "indexes").out
    assert [each["phone"] for each in customers.find({"search": "phone 6474010101"})] == ["6474010101"]
    assert "completed  0 customers" in CommandRun(monkeypatch, capsys, "indexes").out


def test_unique_keys_of_an_earlier_release_are_changed(
    configured: Database[Document], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It compared tax ids without the country, and external ids as they are sent."""
    CommandRun(monkeypatch, capsys, "indexes")

    def store(country: str, external_id: str, **changes: object) -> ObjectId:
        customer_id = ObjectId()
        given = EXAMPLE_CUSTOMER | {"_id": customer_id, "externalId": external_id, **changes}
        given["address"] = EXAMPLE_CUSTOMER["address"] | {"country": country}
        earlier = {"externalId": external_id, "taxId": given["taxId"]}
        configured.customers.insert_one({**given, **search_and_unique_fields(given), "unique": earlier})
        return customer_id

    american = store("USA", "crm-é", taxId="123456789")
    placeholder = store("CAN", "crm-e\u0301", taxId="N/A")
    unchanged = store("MEX", "crm-1", taxId="SAT970701NN3")
    first = CommandRun(monkeypatch, capsys, "indexes").out.splitlines()
    assert first[-3:-1] == [
        "changed  the unique keys of 2 customers",
        f"twins  {placeholder} and {american} of {ORGANIZATION} have the same externalId",
    ]
    keys = {each["_id"]: each["unique"] for each in configured.customers.find()}
    assert keys == {
        american: {"externalId": "crm-é", "taxId": "USA:123456789"},
        placeholder: {},
        unchanged: {"externalId": "crm-1", "taxId": "SAT970701NN3"},
    }
    second = CommandRun(monkeypatch, capsys, "indexes").out.splitlines()
    assert (second[-2], "changed" in second[-3]) == (first[-2], False)
    configured.customers.update_one({"_id": american}, {"$set": {"deletedAt": 1}, "$unset": {"unique": ""}})
    third = CommandRun(monkeypatch, capsys, "indexes").out.splitlines()
    assert (third[-2], "twins" in str(third)) == ("changed  the unique keys of 1 customers", False)


def test_a_twin_that_comes_meanwhile_is_left_to_the_next_run(
    configured: Database[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_indexes(configured)
    one, other = (EXAMPLE_CUSTOMER | {"_id": ObjectId()} for _ in range(2))
    configured.customers.insert_many([{**one, **search_and_unique_fields(one)}, {**other, "search": {}, "unique": {}}])
    monkeypatch.setattr(backfill, "_conflicts_of", lambda *_: [])
    assert backfill_unique_keys(configured) == (0, [])
    monkeypatch.undo()
    twins = [(ORGANIZATION, str(other["_id"]), "taxId", str(one["_id"]))]
    assert backfill_unique_keys(configured) == (0, twins)


def test_indexes_of_no_more_use_are_dropped(
    configured: Database[Document], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configured.customers.create_index("legalName", name="customer-service.legalName")
    configured.customers.create_index("phone", name="of another program")
    printed = CommandRun(monkeypatch, capsys, "indexes").out.splitlines()
    assert printed[-2] == "dropped  customers.customer-service.legalName"
    assert "dropped" not in CommandRun(monkeypatch, capsys, "indexes").out
    assert "of another program" in configured.customers.index_information()
    configured.customers.drop_index("of another program")


def test_an_index_that_cannot_be_made_is_a_failure(
    configured: Database[Document], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configured.memberships.drop()
    twice = {"organizationId": ORGANIZATION, "userId": MEMBER}
    configured.memberships.insert_many([dict(twice), dict(twice)])
    done = CommandRun(monkeypatch, capsys, "indexes")
    configured.memberships.drop()
    ensure_indexes(configured)
    assert done.code == 1
    assert done.err == "customer-service: DocumentRefused: DuplicateKeyError 11000\n"


def test_members_come_change_and_go(
    configured: Database[Document], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def members(*arguments: str) -> CommandRun:
        return CommandRun(monkeypatch, capsys, "members", *arguments)

    assert members("add", ORGANIZATION, "zoe").out == "added  zoe  viewer\n"
    assert members("add", ORGANIZATION, "adam", "--role", "admin").out == "added  adam  admin\n"
    assert members("add", ORGANIZATION, "zoe", "--role", "editor").out == "already a member, now  zoe  editor\n"
    assert members("list", ORGANIZATION).out == "adam\tadmin\nzoe\teditor\n"
    assert members("remove", ORGANIZATION, "zoe").out == "removed  zoe\n"
    gone = members("remove", ORGANIZATION, "zoe")
    assert (gone.code, gone.err) == (1, f"customer-service: zoe is not a member of {ORGANIZATION}\n")
    assert members("list", ORGANIZATION).out == "adam\tadmin\n"


@pytest.mark.usefixtures("configured")
def test_the_members_of_a_misspelt_organization(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = CommandRun(monkeypatch, capsys, "members", "list", "a-slip-of-the-pen")
    assert (done.code, done.out) == (2, "")
    assert "ORGANIZATION: has no members" in done.err


def test_the_last_admin_stays(
    configured: Database[Document], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    CommandRun(monkeypatch, capsys, "members", "add", ORGANIZATION, "adam", "--role", "admin")
    CommandRun(monkeypatch, capsys, "members", "add", ORGANIZATION, "zoe")
    for arguments in (("remove", ORGANIZATION, "adam"), ("add", ORGANIZATION, "adam", "--role", "editor")):
        done = CommandRun(monkeypatch, capsys, "members", *arguments)
        assert (done.code, done.out) == (1, "")
        assert done.err == "customer-service: An organization keeps at least one admin. Appoint another first.\n"
    assert CommandRun(monkeypatch, capsys, "members", "list", ORGANIZATION).out == "adam\tadmin\nzoe\tviewer\n"
    CommandRun(monkeypatch, capsys, "members", "add", ORGANIZATION, "zoe", "--role", "admin")
    assert CommandRun(monkeypatch, capsys, "members", "remove", ORGANIZATION, "adam").code == 0


def test_ctrl_c_ends_a_command_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "open_database", interrupted)
    done = CommandRun(monkeypatch, capsys, "indexes")
    assert (done.code, done.out) == (130, "")
    assert done.err == "customer-service: interrupted; run the same command again\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["", "user"],
        ["x" * 129, "user"],
        ["acme/mx", "user"],
        ["jos\udce9", "user"],
        ["org", ""],
        ["org", "x" * 257],
        ["org", "jos\udce9"],
        ["o", "user", "--role", "owner"],
    ],
)
def test_members_of_wrong_form_are_refused(
    configured: Database[Document],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    done = CommandRun(monkeypatch, capsys, "members", "add", *arguments)
    assert (done.code, done.out) == (2, "")
    assert configured.memberships.count_documents({}) == 0


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["members", "list", "M\udce9xico"], "ORGANIZATION"),
        (["members", "remove", "M\udce9xico", "user"], "ORGANIZATION"),
        (["members", "remove", ORGANIZATION, "jos\udce9"], "USER"),
        (["export", "M\udce9xico"], "ORGANIZATION"),
        (["import", "M\udce9xico", "-", "--format", "csv"], "ORGANIZATION"),
        (["sat", "export", "M\udce9xico", "sat.txt"], "ORGANIZATION"),
        (["sat", "import", "M\udce9xico", __file__], "ORGANIZATION"),
    ],
)
def test_a_name_in_another_encoding_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], name: str
) -> None:
    done = CommandRun(monkeypatch, capsys, *arguments)
    assert (done.code, done.out) == (2, "")
    assert f"Invalid value for '{name}': is not in UTF-8" in done.err


def test_a_token_is_printed_alone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("JWT_SECRET", SECRET)
    monkeypatch.setenv("JWT_ISSUER", "me")
    monkeypatch.setenv("JWT_AUDIENCE", "them")
    done = CommandRun(monkeypatch, capsys, "token", MEMBER, "--expires-in", "60")
    claims = jwt.decode(done.out.strip(), SECRET, ["HS256"], issuer="me", audience="them")
    assert claims["sub"] == MEMBER


def test_a_token_needs_the_secret(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("JWT_PUBLIC_KEY", PUBLIC_KEY)
    done = CommandRun(monkeypatch, capsys, "token", MEMBER)
    assert (done.code, done.out) == (2, "")
    assert "JWT_SECRET" in done.err


def test_a_token_needs_a_subject(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("JWT_SECRET", SECRET)
    done = CommandRun(monkeypatch, capsys, "token", "")
    assert (done.code, done.out) == (1, "")
    assert "InvalidToken: sub is empty" in done.err
