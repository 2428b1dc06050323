"""The round trip with the SAT's bulk validator: what is asked, and each answer with the customer that it is about."""

from __future__ import annotations

import os
import random
import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from bson import ObjectId

from customer_service.cli import console
from customer_service.cli.sat import commands, exporting
from customer_service.cli.transfer import exporting as transfer_exporting
from customer_service.cli.transfer import importing
from customer_service.errors import DatabaseError, DocumentRefused, MalformedDocument, VersionMismatch
from customer_service.repository import CustomerBatchRepository, CustomerRepository, backfill_search_fields
from customer_service.repository.memberships import OrganizationScope
from customer_service.repository.search import CustomerQuery
from customer_service.services import validation
from tests.support import ORGANIZATION, OTHER_ORGANIZATION, WRITER, fill, new_customer
from tests.support.command_line import CommandRun

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymongo.database import Database

    from customer_service.repository.database import Document

    Shell = Callable[..., CommandRun]

VALID = "RFC válido, y susceptible de recibir facturas"
OTHER_NAME = "El nombre, denominación o razón social no coincide con el registrado en el RFC"
OTHER_ZIP = "El Código Postal no coincide con el registrado en el RFC"
NOT_FOUND = "RFC no registrado en el padrón de contribuyentes"
NAMES = ["MUÑOZ E HIJOS", "SABRE", "PANADERÍA LA Ñ"]
NEVER = datetime(1970, 1, 1)  # noqa: DTZ001 - as the repository has it


def rfc(number: int) -> str:
    return f"AAA0101{number % 28 + 1:02}{number // 28:03}"


def numbered(number: int, **changes: Any) -> dict[str, Any]:
    own = {"taxId": rfc(number), "legalName": NAMES[number % len(NAMES)], "externalId": f"crm-{number}"}
    return new_customer(**own | {"address": {"zip": "06600", "state": None}} | changes)


@pytest.fixture
def filled(
    database: Database[Document], kind: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Database[Document]:
    """An organization without customers, in a database that the environment names."""
    fill(database)
    if kind == "mongomock":
        monkeypatch.setenv("MONGODB_URI", "mongomock://")
        monkeypatch.setattr(console, "connect", lambda _: database)
    else:
        monkeypatch.setenv("MONGODB_URI", request.getfixturevalue("mongodb_uri"))
    monkeypatch.setenv("MONGODB_DATABASE", database.name)
    database.customers.delete_many({})
    return database


@pytest.fixture
def customers(filled: Database[Document]) -> CustomerBatchRepository:
    """The customers of the organization, three of them."""
    repository = CustomerBatchRepository(filled, OrganizationScope(ORGANIZATION), WRITER)
    store(repository, *(numbered(number) for number in range(3)))
    return repository


@pytest.fixture
def shell(
    filled: Database[Document], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Shell:
    """A shell in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importing, "IMPORT_BATCH_LENGTH", 10)
    monkeypatch.setattr(transfer_exporting, "EXPORT_PAGE_LENGTH", 10)
    return lambda *arguments: CommandRun(monkeypatch, capsys, "sat", *arguments)


def store(repository: CustomerBatchRepository, *bodies: dict[str, Any]) -> list[Document]:
    documents = repository.add_many([validation.validate(body) for body in bodies])
    assert all(documents)
    return [document for document in documents if document]


def answered(legend: str = VALID, number: int = 0, **changes: str) -> str:
    """Return the row that the validator answers about a customer."""
    cells = {"rfc": rfc(number), "name": NAMES[number % len(NAMES)], "zip": "06600"} | changes
    return f"1|{cells['rfc']}|{cells['name']}|{cells['zip']}|{legend}\n"


def found(database: Database[Document]) -> dict[str, Any]:
    """Return what each customer that was checked has, without the time."""
    checked = database.customers.find({"satValidation": {"$exists": True}})
    return {
        each["externalId"]: {name: value for name, value in each["satValidation"].items() if name != "checkedAt"}
        for each in checked
    }


def state(database: Database[Document]) -> list[Document]:
    return list(database.customers.find().sort("_id"))


MATCHED = {"status": "matched", "source": "sat-file"}


class TestExport:
    @pytest.mark.usefixtures("customers")
    def test_unchecked_customers_of_mexico(self, shell: Shell, filled: Database[Document], tmp_path: Path) -> None:
        repository = CustomerBatchRepository(filled, OrganizationScope(ORGANIZATION), WRITER)
        abroad = {"zip": None, "state": None, "municipality": None, "country": "USA"}
        store(
            repository,
            numbered(3, taxId="XAXX010101000", taxSystem="616", defaultInvoiceUse="S01"),
            numbered(4, taxId="123456789", taxSystem="616", defaultInvoiceUse="S01", address=abroad),
        )
        store(CustomerBatchRepository(filled, OrganizationScope(OTHER_ORGANIZATION), WRITER), numbered(5))
        checked, deleted = store(repository, numbered(6), numbered(7))
        repository.set_sat_validation(checked, MATCHED | {"checkedAt": NEVER})
        repository.remove(deleted)
        done = shell("export", ORGANIZATION, "sat.txt")
        assert (done.code, done.out) == (0, "")
        assert done.err.splitlines() == ["sat.txt: 3 rows", "rows 3  files 1  skipped 0"]
        rows = [f"{number + 1}|{rfc(number)}|{NAMES[number]}|06600\n" for number in range(3)]
        assert (tmp_path / "sat.txt").read_bytes() == "".join(rows).encode()
        assert (tmp_path / "sat.txt").stat().st_mode & 0o777 == 0o600
        older = shell("export", ORGANIZATION, "sat.txt", "--older-than", "30")
        assert older.err.splitlines()[-1] == "rows 4  files 1  skipped 0"

    def test_only_older_ones(
        self, shell: Shell, filled: Database[Document], customers: CustomerBatchRepository
    ) -> None:
        now = datetime.now(UTC).replace(tzinfo=None)
        ages = (1, 29, 31)
        for days, document in zip(ages, state(filled), strict=True):
            customers.set_sat_validation(document, MATCHED | {"checkedAt": now - timedelta(days=days)})
        assert shell("export", ORGANIZATION, "sat.txt").err == "rows 0  files 0  skipped 0\n"
        for limit, count in (("2", 2), ("30", 1), ("32", 0)):
            done = shell("export", ORGANIZATION, "sat.txt", "--older-than", limit)
            assert done.err.splitlines()[-1].startswith(f"rows {count}  ")

    @pytest.mark.parametrize("odd", [5, {"status": "matched"}, {"status": "matched", "checkedAt": "now"}])
    def test_one_that_cannot_be_read_is_reported(
        self, shell: Shell, filled: Database[Document], customers: CustomerBatchRepository, odd: object
    ) -> None:
        document, *_ = state(filled)
        filled.customers.update_one(
            {"_id": document["_id"]}, {"$set": {"satValidation": odd}, "$unset": {"search": ""}}
        )
        backfill_search_fields(filled)
        done = shell("export", ORGANIZATION, "sat.txt", "--older-than", "1")
        assert done.code == 1
        assert done.err.splitlines()[0].startswith(f"customer {document['_id']}: ")
        assert done.err.splitlines()[-1] == "rows 2  files 1  skipped 1"
        assert customers.count(CustomerQuery()) == 3

    @pytest.mark.usefixtures("customers")
    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"address.zip": None}, "/address/zip required"),
            ({"address.zip": "6600"}, "/address/zip invalid-zip"),
            ({"legalName": "A|B"}, "/legalName invalid-character"),
            ({"legalName": "A\nB"}, "/legalName invalid-character"),
            ({"taxId": "N/A"}, "/taxId invalid-rfc"),
        ],
    )
    def test_one_that_the_validator_cannot_be_asked_about(
        self, shell: Shell, filled: Database[Document], tmp_path: Path, change: dict[str, Any], code: str
    ) -> None:
        document, *_ = state(filled)
        filled.customers.update_one({"_id": document["_id"]}, {"$set": change})
        done = shell("export", ORGANIZATION, "sat.txt")
        assert done.code == 1
        assert done.err.startswith(f"customer {document['_id']}: {code} ")
        assert (tmp_path / "sat.txt").read_text().startswith(f"1|{rfc(1)}|")

    @pytest.mark.usefixtures("customers")
    def test_one_with_more_faults_is_counted_once(self, shell: Shell, filled: Database[Document]) -> None:
        document, *_ = state(filled)
        wrong = {"address.zip": "6600", "legalName": "A|B", "taxId": "N/A"}
        filled.customers.update_one({"_id": document["_id"]}, {"$set": wrong})
        line, *_, counts = shell("export", ORGANIZATION, "sat.txt").err.splitlines()
        assert all(f"{path} invalid-" in line for path in ("/address/zip", "/legalName", "/taxId"))
        assert counts == "rows 2  files 1  skipped 1"

    @pytest.mark.usefixtures("customers")
    def test_files_of_a_longer_export_are_not_mixed_with_new_ones(self, shell: Shell, tmp_path: Path) -> None:
        for name in ("sat.txt", "sat-3.txt", "sat-12.txt", "sat-2025.txt", "sat-2.csv", "other-2.txt"):
            (tmp_path / name).write_text("earlier")
        done = shell("export", ORGANIZATION, "sat.txt")
        assert (done.code, (tmp_path / "sat.txt").read_text()) == (2, "earlier")
        assert "remove the files of an earlier export first: sat-12.txt, sat-3.txt" in done.err
        for name in ("sat-3.txt", "sat-12.txt"):
            (tmp_path / name).unlink()
        assert shell("export", ORGANIZATION, "sat.txt").code == 0

    def test_an_earlier_file_does_not_stay_if_no_customer_is_due(
        self, shell: Shell, filled: Database[Document], tmp_path: Path
    ) -> None:
        (tmp_path / "sat.txt").write_text("earlier")
        filled.customers.delete_many({})
        done = shell("export", ORGANIZATION, "sat.txt")
        assert (done.code, (tmp_path / "sat.txt").exists()) == (0, False)
        assert done.err.splitlines()[0] == "sat.txt: removed, since no customer is due"

    def test_as_many_files_as_it_takes(
        self, shell: Shell, customers: CustomerBatchRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store(customers, *(numbered(number) for number in range(3, 12)))
        monkeypatch.setattr(exporting, "FILE_ROWS", 4)
        done = shell("export", ORGANIZATION, "sat.txt")
        names = ["sat.txt", "sat-2.txt", "sat-3.txt"]
        assert done.err.splitlines() == [*(f"{name}: 4 rows" for name in names), "rows 12  files 3  skipped 0"]
        rows = [row.split("|") for name in names for row in (tmp_path / name).read_text().splitlines()]
        assert [cells[0] for cells in rows] == ["1", "2", "3", "4"] * 3
        assert [cells[1] for cells in rows] == [rfc(number) for number in range(12)]
        assert {path.name for path in tmp_path.iterdir()} == set(names)

    @pytest.mark.usefixtures("customers")
    def test_names_in_one_unicode_form(self, shell: Shell, filled: Database[Document], tmp_path: Path) -> None:
        document, *_ = state(filled)
        decomposed = {"legalName": unicodedata.normalize("NFD", NAMES[0])}
        filled.customers.update_one({"_id": document["_id"]}, {"$set": decomposed})
        shell("export", ORGANIZATION, "sat.txt")
        assert NAMES[0] in (tmp_path / "sat.txt").read_text()
        (tmp_path / "answer.txt").write_text(answered())
        assert shell("import", ORGANIZATION, "answer.txt").code == 0
        assert found(filled) == {"crm-0": MATCHED}

    @pytest.mark.usefixtures("customers")
    def test_wrong_usage(self, shell: Shell) -> None:
        for arguments, message in (
            (("sat.txt.gz",), "the validator takes no compressed file"),
            (("sat.txt.GZ",), "the validator takes no compressed file"),
            (("sat.txt", "--older-than", "0"), "--older-than"),
            (("missing/sat.txt",), "missing/sat.txt: No such file or directory"),
            (("-",), "name a file"),
            (("/dev/stdout",), "name a file"),
        ):
            done = shell("export", ORGANIZATION, *arguments)
            assert done.code
            assert message in done.err
        assert "has no members" in shell("export", "unknown", "sat.txt").err

    @pytest.mark.usefixtures("customers")
    def test_the_progress_is_in_customers(self, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        shown: list[int] = []
        lengths: list[int] = []

        class Bar:
            def __enter__(self) -> Bar:
                return self

            def __exit__(self, *_: object) -> None:
                """Nothing to end."""

            def update(self, steps: int) -> None:
                shown.append(steps)

        def progressbar(length: int, **_: object) -> Bar:
            lengths.append(length)
            return Bar()

        monkeypatch.setattr(console, "is_terminal", lambda: True)
        monkeypatch.setattr(click, "progressbar", progressbar)
        monkeypatch.setattr(commands, "EXPORT_PAGE_LENGTH", 2)
        done = shell("export", ORGANIZATION, "sat.txt", "--older-than", "1")
        assert (lengths, shown) == ([3], [2])
        assert done.err.startswith("\rsat.txt: 3 rows\n")
        shown.clear()
        text = answered() + "x\n"
        Path("answer.txt").write_text(text)
        assert shell("import", ORGANIZATION, "answer.txt").err.startswith("\ranswer.txt:2: Give 5 cells")
        assert (lengths[1:], shown) == ([len(text.encode())], [len(text.encode())])


@pytest.mark.usefixtures("customers")
class TestImport:
    @pytest.mark.parametrize(
        ("legend", "expected"),
        [
            (VALID, MATCHED),
            ("rfc valido y susceptible de recibir facturas.", MATCHED),
            (OTHER_NAME, MATCHED | {"status": "mismatched", "mismatches": ["/legalName"]}),
            (OTHER_ZIP, MATCHED | {"status": "mismatched", "mismatches": ["/address/zip"]}),
            (NOT_FOUND, MATCHED | {"status": "not-found"}),
        ],
    )
    def test_each_legend(
        self, shell: Shell, filled: Database[Document], tmp_path: Path, legend: str, expected: dict[str, Any]
    ) -> None:
        (tmp_path / "answer.txt").write_text(answered(legend))
        os.utime("answer.txt", (1_700_000_000.1234, 1_700_000_000.1234))
        done = shell("import", ORGANIZATION, "answer.txt")
        assert (done.code, done.err) == (0, "rows 1  stored 1  unchanged 0  skipped 0\n")
        assert found(filled) == {"crm-0": expected}
        document = filled.customers.find_one({"externalId": "crm-0"})
        assert document is not None
        assert document["satValidation"]["checkedAt"] == datetime(2023, 11, 14, 22, 13, 20, 123_000)  # noqa: DTZ001
        before = state(filled)
        again = shell("import", ORGANIZATION, "answer.txt")
        assert (again.code, again.err) == (0, "rows 1  stored 0  unchanged 1  skipped 0\n")
        assert state(filled) == before

    def test_the_command_is_the_writer(self, shell: Shell, filled: Database[Document], tmp_path: Path) -> None:
        (tmp_path / "answer.txt").write_text(answered())
        assert shell("import", ORGANIZATION, "answer.txt").code == 0
        writers = {(each["updatedBy"], each["requestId"]) for each in filled.customers.find({"version": 2})}
        assert writers == {("cli:sat-import", None)}

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_encodings_and_line_ends(self, shell: Shell, filled: Database[Document], encoding: str, end: str) -> None:
        text = "".join(answered(number=number) + "\n" for number in range(3)).replace("\n", end).rstrip()
        Path("answer.txt").write_bytes(text.encode(encoding))
        done = shell("import", ORGANIZATION, "answer.txt")
        assert (done.code, done.err) == (0, "rows 3  stored 3  unchanged 0  skipped 0\n")
        assert found(filled) == dict.fromkeys(("crm-0", "crm-1", "crm-2"), MATCHED)

    @pytest.mark.parametrize(
        ("line", "reason"),
        [
            (answered("RFC \x07cancelado"), 'The legend is not known: "RFC ?cancelado". If'),
            (answered(""), "The legend is not known"),
            (answered(rfc="AAA010101AA1"), "No customer has this RFC."),
            (answered(rfc="xaxx010101000"), "A generic RFC is not in the SAT's register."),
            (answered(name="SABRE"), "The customer with this RFC has another name or zip now"),
            (answered(name="Muñoz E Hijos"), "The customer with this RFC has another name or zip now"),
            (answered(zip="06601"), "The customer with this RFC has another name or zip now"),
            (answered(zip=""), "The customer with this RFC has another name or zip now"),
            (answered(rfc="N/A"), "The second cell is no RFC."),
            ("1|2|3|4\n", "Give 5 cells"),
            (f"{answered()[:-1]}|\n", "Give 5 cells"),
            ("consecutivo|RFC|nombre|CP|leyenda\n", "The second cell is no RFC."),
            ("\x01\x02\xff\n", "Give 5 cells"),
            (answered(name="x" * 2000), "Keep each line within 2,000 characters"),
            ("x" * 10_000_000 + "\n", "Keep each line within 2,000 characters"),
        ],
    )
    def test_a_row_that_is_skipped(
        self, shell: Shell, filled: Database[Document], tmp_path: Path, line: str, reason: str
    ) -> None:
        """The rows around it are stored."""
        (tmp_path / "answer.txt").write_text(answered(number=1) + line + answered(number=2))
        done = shell("import", ORGANIZATION, "answer.txt")
        assert done.code == 1
        assert done.err.startswith(f"answer.txt:2: {reason}")
        assert done.err.splitlines()[1:] == ["rows 3  stored 2  unchanged 0  skipped 1"]
        assert found(filled) == {"crm-1": MATCHED, "crm-2": MATCHED}

    def test_a_file_that_is_no_text(self, shell: Shell, filled: Database[Document], tmp_path: Path) -> None:
        """What stands before is stored, and so are the other files."""
        (tmp_path / "answer.txt").write_bytes(answered(number=1).encode() + b"\x00\x01\n" + answered(number=0).encode())
        (tmp_path / "other.txt").write_text(answered(number=2))
        done = shell("import", ORGANIZATION, "answer.txt", "other.txt")
        assert done.code == 1
        assert done.err.splitlines()[0].startswith("answer.txt: Line 2 is no text")
        assert done.err.splitlines()[1:] == ["rows 2  stored 2  unchanged 0  skipped 1"]
        assert found(filled) == {"crm-1": MATCHED, "crm-2": MATCHED}

    def test_an_empty_file(self, shell: Shell, tmp_path: Path) -> None:
        (tmp_path / "answer.txt").write_bytes(b"\xef\xbb\xbf\r\n\r\n")
        done = shell("import", ORGANIZATION, "answer.txt")
        assert (done.code, done.err) == (1, "answer.txt: has no row\nrows 0  stored 0  unchanged 0  skipped 1\n")

    def test_another_organizations_file(self, shell: Shell, filled: Database[Document], tmp_path: Path) -> None:
        filled.memberships.insert_one({"userId": "x", "organizationId": OTHER_ORGANIZATION, "role": "admin"})
        before = state(filled)
        (tmp_path / "answer.txt").write_text("".join(answered(number=number) for number in range(3)))
        done = shell("import", OTHER_ORGANIZATION, "answer.txt")
        assert done.code == 1
        assert done.err.splitlines() == [
            *(f"answer.txt:{line}: No customer has this RFC." for line in (1, 2, 3)),
            "rows 3  stored 0  unchanged 0  skipped 3",
        ]
        assert state(filled) == before

    def test_legends_and_a_time_of_ones_own(self, shell: Shell, filled: Database[Document], tmp_path: Path) -> None:
        (tmp_path / "answer.txt").write_text(answered("RFC = cancelado") + answered("Otra", number=1))
        legends = ("--legend", "rfc = CANCELADO=not-found", "--legend", "otra=mismatched")
        time = ("--checked-at", "2025-01-26T04:00:00-06:00")
        done = shell("import", ORGANIZATION, "answer.txt", *legends, *time)
        assert (done.code, done.err) == (0, "rows 2  stored 2  unchanged 0  skipped 0\n")
        statuses = {"crm-0": "not-found", "crm-1": "mismatched"}
        assert found(filled) == {key: MATCHED | {"status": status} for key, status in statuses.items()}
        moment = datetime(2025, 1, 26, 10)  # noqa: DTZ001
        assert [each.get("satValidation", {}).get("checkedAt") for each in state(filled)] == [moment, moment, None]

    @pytest.mark.parametrize(
        "error",
        [
            MalformedDocument("version"),
            DocumentRefused("WriteError 121"),
            DatabaseError("OperationFailure 13"),
        ],
    )
    def test_a_customer_that_cannot_be_written(
        self, shell: Shell, filled: Database[Document], monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        real = CustomerBatchRepository.set_sat_validation

        def refusing(customers: CustomerBatchRepository, document: Document, *arguments: Any) -> Document:
            if document["externalId"] == "crm-0":
                raise error
            return real(customers, document, *arguments)

        monkeypatch.setattr(CustomerBatchRepository, "set_sat_validation", refusing)
        Path("answer.txt").write_text(answered() + answered(number=1))
        done = shell("import", ORGANIZATION, "answer.txt")
        is_final = "OperationFailure" in str(error)
        assert (done.code, found(filled)) == (1, {} if is_final else {"crm-1": MATCHED})
        assert ("answer.txt:1: The customer with this RFC cannot be written: " in done.err) is not is_final

    def test_a_tax_id_with_spaces_of_another_program(self, shell: Shell, filled: Database[Document]) -> None:
        filled.customers.update_one(
            {"externalId": "crm-0"}, {"$set": {"taxId": f" {rfc(0).lower()} "}, "$unset": {"search": 1}}
        )
        backfill_search_fields(filled)
        assert "rows 3 " in shell("export", ORGANIZATION, "sat.txt").err
        Path("answer.txt").write_text(answered())
        assert shell("import", ORGANIZATION, "answer.txt").code == 0
        assert found(filled) == {"crm-0": MATCHED}

    def test_a_pipe(self, shell: Shell, filled: Database[Document]) -> None:
        """It has no position, and more rows than a batch."""
        receiver, sender = os.pipe()
        with os.fdopen(receiver), os.fdopen(sender, "w") as stream:
            stream.write("".join(answered(number=number % 3) for number in range(25)))
            stream.close()
            done = shell("import", ORGANIZATION, f"/dev/fd/{receiver}", "--checked-at", "2025-01-26T10:00:00Z")
        assert (done.code, done.err) == (0, "rows 25  stored 3  unchanged 22  skipped 0\n")
        assert len(found(filled)) == 3

    def test_an_older_answer_changes_nothing(self, shell: Shell, filled: Database[Document], tmp_path: Path) -> None:
        (tmp_path / "old.txt").write_text(answered(NOT_FOUND))
        (tmp_path / "new.txt").write_text(answered())
        os.utime("old.txt", (1_600_000_000, 1_600_000_000))
        done = shell("import", ORGANIZATION, "new.txt", "old.txt")
        assert (done.code, done.err) == (0, "rows 2  stored 1  unchanged 1  skipped 0\n")
        assert found(filled) == {"crm-0": MATCHED}
        newer = shell("import", ORGANIZATION, "old.txt", "--checked-at", datetime.now(UTC).isoformat())
        assert newer.err == "rows 1  stored 1  unchanged 0  skipped 0\n"

    def test_rows_that_contradict_each_other(self, shell: Shell, filled: Database[Document], tmp_path: Path) -> None:
        (tmp_path / "answer.txt").write_text(answered() + answered() + answered(NOT_FOUND))
        done = shell("import", ORGANIZATION, "answer.txt")
        assert done.err.startswith("answer.txt:3: Another line of this file answers differently")
        assert done.err.splitlines()[1:] == ["rows 3  stored 1  unchanged 1  skipped 1"]
        assert found(filled) == {"crm-0": MATCHED}

    def test_twins_of_another_program(self, shell: Shell, filled: Database[Document], tmp_path: Path) -> None:
        document, *_ = state(filled)
        twin = {**document, "_id": ObjectId(), "externalId": "crm-twin", "unique": {}}
        other = {**twin, "_id": ObjectId(), "externalId": "crm-other", "legalName": "SABRE"}
        odd = {**twin, "_id": ObjectId(), "externalId": "crm-odd", "phone": 5}
        filled.customers.insert_many([twin, other, odd])
        (tmp_path / "answer.txt").write_text(answered())
        assert shell("import", ORGANIZATION, "answer.txt").err == "rows 1  stored 1  unchanged 0  skipped 0\n"
        assert found(filled) == {"crm-0": MATCHED, "crm-twin": MATCHED}

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--checked-at", "yesterday"), "give a past time of RFC 3339"),
            (("--checked-at", ""), "give a past time of RFC 3339"),
            (("--checked-at", "2999-01-01T00:00:00Z"), "give a past time of RFC 3339"),
            (("--legend", "RFC cancelado"), 'write it as "the legend=STATUS"'),
            (("--legend", "RFC cancelado=unchecked"), 'write it as "the legend=STATUS"'),
            (("--legend", " - =matched"), 'write it as "the legend=STATUS"'),
            (("missing.txt",), "missing.txt"),
        ],
    )
    def test_wrong_usage(self, shell: Shell, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
        (tmp_path / "answer.txt").write_text(answered())
        done = shell("import", ORGANIZATION, "answer.txt", *arguments)
        assert done.code == 2
        assert message in done.err

    def test_a_file_of_the_future(self, shell: Shell, filled: Database[Document], tmp_path: Path) -> None:
        (tmp_path / "answer.txt").write_text(answered())
        os.utime("answer.txt", (4_000_000_000, 4_000_000_000))
        done = shell("import", ORGANIZATION, "answer.txt")
        assert done.code == 1
        assert done.err.splitlines()[0].startswith("answer.txt: its time of change is in the future")
        assert found(filled) == {}

    @pytest.mark.parametrize(
        ("change", "stored"),
        [
            ({"phone": "1"}, True),
            ({"legalName": "SABRE"}, False),
            ({"deletedAt": NEVER}, False),
        ],
    )
    def test_a_customer_that_another_caller_writes_meanwhile(
        self,
        shell: Shell,
        filled: Database[Document],
        monkeypatch: pytest.MonkeyPatch,
        change: dict[str, Any],
        stored: bool,
    ) -> None:
        set_sat_validation = CustomerRepository.set_sat_validation
        changes = [change]

        def interrupted(repository: CustomerRepository, document: Document, answer: Any) -> Document:
            if changes:
                filled.customers.update_one({"_id": document["_id"]}, {"$set": changes.pop(), "$inc": {"version": 1}})
                with pytest.raises(VersionMismatch):
                    return set_sat_validation(repository, document, answer)
                raise VersionMismatch
            return set_sat_validation(repository, document, answer)

        monkeypatch.setattr(CustomerRepository, "set_sat_validation", interrupted)
        Path("answer.txt").write_text(answered())
        done = shell("import", ORGANIZATION, "answer.txt")
        assert (done.code, found(filled)) == ((0, {"crm-0": MATCHED}) if stored else (1, {}))
        assert ("answer.txt:1: The customer with this RFC" in done.err) is not stored


ROUND_TRIP = int(os.environ.get("SAT_CUSTOMERS", "1200"))
"""The number of customers that make the round trip."""


def test_a_round_trip_through_three_files(
    mongodb: Database[Document],
    mongodb_uri: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Three files whose answers are shuffled, one in twenty with an unknown legend; one in sixty changes meanwhile."""
    fill(mongodb)
    mongodb.customers.delete_many({})
    monkeypatch.setenv("MONGODB_URI", mongodb_uri)
    monkeypatch.setenv("MONGODB_DATABASE", mongodb.name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(exporting, "FILE_ROWS", ROUND_TRIP // 3)
    customers = CustomerBatchRepository(mongodb, OrganizationScope(ORGANIZATION), WRITER)
    store(customers, *(numbered(number) for number in range(ROUND_TRIP)))
    exported = CommandRun(monkeypatch, capsys, "sat", "export", ORGANIZATION, "sat.txt")
    assert exported.err.splitlines()[-1] == f"rows {ROUND_TRIP}  files 3  skipped 0"
    spread = random.Random(15)  # noqa: S311 - the same answers in every run
    legends = [VALID, OTHER_NAME, OTHER_ZIP, NOT_FOUND]
    statuses = dict(zip(legends, ("matched", "mismatched", "mismatched", "not-found"), strict=True))
    expected: dict[str, str] = {}
    files = ["sat.txt", "sat-2.txt", "sat-3.txt"]
    unknown = 0
    for name in files:
        rows = (tmp_path / name).read_text().splitlines()
        spread.shuffle(rows)
        answers = []
        for place, row in enumerate(rows, 1):
            legend = "Servicio no disponible" if place % 20 == 0 else spread.choice(legends)
            unknown += place % 20 == 0
            if legend in statuses:
                expected[row.split("|")[1]] = statuses[legend]
            answers.append(f"{place}|{row.split('|', 1)[1]}|{legend}\r\n")
        (tmp_path / name).write_bytes("".join(answers).encode("cp1252"))
    for number in range(0, ROUND_TRIP, 60):
        expected.pop(rfc(number), None)
        change = {"legalName": "OTRO NOMBRE"} if number % 120 else {"address.zip": "06700"}
        mongodb.customers.update_one({"taxId": rfc(number)}, {"$set": change, "$inc": {"version": 1}})
    done = CommandRun(monkeypatch, capsys, "sat", "import", ORGANIZATION, *files)
    assert (done.code, unknown) == (1, ROUND_TRIP // 20)
    skipped = ROUND_TRIP - len(expected)
    assert done.err.splitlines()[-1] == f"rows {ROUND_TRIP}  stored {len(expected)}  unchanged 0  skipped {skipped}"
    assert ROUND_TRIP // 20 < skipped <= ROUND_TRIP // 15
    checked = mongodb.customers.find({"satValidation": {"$exists": True}})
    assert {each["taxId"]: each["satValidation"]["status"] for each in checked} == expected
    for status in ("matched", "mismatched", "not-found"):
        assert customers.count(CustomerQuery(sat_status=status)) == list(expected.values()).count(status)
    before = state(mongodb)
    again = CommandRun(monkeypatch, capsys, "sat", "import", ORGANIZATION, *files)
    assert again.err.splitlines()[-1] == f"rows {ROUND_TRIP}  stored 0  unchanged {len(expected)}  skipped {skipped}"
    assert state(mongodb) == before
    rest = CommandRun(monkeypatch, capsys, "sat", "export", ORGANIZATION, "rest.txt")
    assert rest.err.splitlines()[-1] == f"rows {skipped}  files 1  skipped 0"
