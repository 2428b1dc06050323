"""Import and export: each row is stored or reported, a second import changes nothing, and a stopped one resumes."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import signal
import sys
import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
import pytest
from bson import ObjectId

from customer_service.cli import console
from customer_service.cli.transfer import commands, exporting, formats, importing
from customer_service.cli.transfer.columns import COLUMNS
from customer_service.cli.transfer.importing import Importer
from customer_service.cli.transfer.rejects import Rejects
from customer_service.errors import DatabaseUnavailable
from customer_service.fiscal import rules
from customer_service.repository import CustomerBatchRepository
from customer_service.repository.memberships import OrganizationScope
from customer_service.repository.search import CustomerQuery
from customer_service.services import validation
from tests.support import MEMBER, ORGANIZATION, OTHER_ORGANIZATION, WRITER, fill, new_customer
from tests.support.command_line import CommandRun
from tests.support.spreadsheets import CUSTOMERS, FILES, SPANISH, changed, table, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from pymongo.database import Database

    from customer_service.cli.transfer.importing import Refused
    from customer_service.cli.transfer.rows import Row
    from customer_service.errors import InvalidRequest
    from customer_service.repository.database import Document
    from customer_service.services.upserts import Outcome, Upsert

    Shell = Callable[..., CommandRun]


@pytest.fixture
def filled(
    database: Database[Document], kind: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Database[Document]:
    """The specification's example, in a database that the environment names."""
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
def shell(
    filled: Database[Document], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Shell:
    """A shell in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importing, "IMPORT_BATCH_LENGTH", 10)
    monkeypatch.setattr(exporting, "EXPORT_PAGE_LENGTH", 10)
    return lambda *arguments: CommandRun(monkeypatch, capsys, *arguments)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Make SIGINT a KeyboardInterrupt: a shell ignores it for what it starts in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def numbered(number: int, **changes: Any) -> dict[str, Any]:
    keys = {"externalId": f"crm-{number}", "taxId": f"AAA0101{number % 28 + 1:02}{number // 28:03}"}
    return new_customer(**keys | {"email": f"box{number}@example.com"} | changes)


def body_of(row: dict[str, str]) -> dict[str, Any]:
    """Return what the API has of a row."""
    body: dict[str, Any] = {"address": {}}
    for column, cell in row.items():
        part, _, name = column.rpartition(".")
        (body[part] if part else body)[name] = cell or None
    return body


def numbered_row(number: int) -> dict[str, str]:
    """Return the cells of `numbered`."""
    body = numbered(number)
    flat = body | {f"address.{name}": value for name, value in body["address"].items()}
    return {column: flat[column] or "" for column in COLUMNS}


def ndjson(bodies: Sequence[object]) -> bytes:
    return b"".join(json.dumps(body).encode() + b"\n" for body in bodies)


def write(file: Path, bodies: Sequence[dict[str, Any]]) -> Path:
    """Write the customers in the format of the file's name."""
    with file.open("wb") as stream:
        formats.write(bodies, stream, "csv" if file.suffix == ".csv" else "ndjson", [])
    return file


def failing_at_the_second_batch(error: BaseException) -> Callable[..., list[Document | None]]:
    """Return an `add_many` that raises the error for the batch that begins with the tenth customer."""
    add_many = CustomerBatchRepository.add_many

    def failing(self: CustomerBatchRepository, customers: Sequence[dict[str, Any]]) -> list[Document | None]:
        if customers[0]["externalId"] == "crm-10":
            raise error
        return add_many(self, customers)

    return failing


def position(file: Path) -> Path:
    """Return the file that holds how far the import of this one came."""
    (found,) = file.parent.glob(f"{file.name}.*.progress")
    return found


def stored(database: Database[Document]) -> list[Document]:
    return list(database.customers.find({"organizationId": ORGANIZATION}).sort("_id"))


def summary(run: CommandRun) -> str:
    return run.err.splitlines()[-1]


class TestImport:
    """Good rows are stored, bad ones reported."""

    def test_created_changed_and_unchanged(self, shell: Shell, filled: Database[Document], tmp_path: Path) -> None:
        file = tmp_path / "customers.ndjson"
        file.write_bytes(ndjson([numbered(number) for number in range(25)]))
        first = shell("import", ORGANIZATION, "customers.ndjson")
        assert (first.code, first.out) == (0, "")
        assert first.err == "rows 25  created 25  changed 0  unchanged 0  failed 0\n"
        before = stored(filled)
        assert len(before) == 25
        again = shell("import", ORGANIZATION, "customers.ndjson")
        assert again.err == "rows 25  created 0  changed 0  unchanged 25  failed 0\n"
        assert stored(filled) == before
        file.write_bytes(ndjson([numbered(1, phone=None), numbered(2), numbered(200)]))
        changed = shell("import", ORGANIZATION, "customers.ndjson")
        assert changed.err == "rows 3  created 1  changed 1  unchanged 1  failed 0\n"
        assert {each["version"] for each in stored(filled)} == {1, 2}
        assert {(each["updatedBy"], each["requestId"]) for each in stored(filled)} == {("cli:import", None)}
        assert [each.name for each in tmp_path.iterdir()] == ["customers.ndjson"]

    def test_a_tax_id_that_an_earlier_row_takes_from_its_customer_is_of_a_new_one(
        self, shell: Shell, filled: Database[Document], tmp_path: Path
    ) -> None:
        file = tmp_path / "customers.ndjson"
        file.write_bytes(ndjson([numbered(1)]))
        shell("import", ORGANIZATION, file.name)
        corrected, other = numbered(1, taxId=numbered(2)["taxId"]), numbered(1, externalId=None)
        file.write_bytes(ndjson([corrected, other]))
        done, again = (shell("import", ORGANIZATION, file.name) for _ in range(2))
        assert done.err == "rows 2  created 1  changed 1  unchanged 0  failed 0\n"
        assert again.err == "rows 2  created 0  changed 0  unchanged 2  failed 0\n"
        assert [each["taxId"] for each in stored(filled)] == [corrected["taxId"], other["taxId"]]

    @pytest.mark.parametrize("form", ["ndjson", "csv"])
    def test_a_dry_run_says_what_the_import_would_do(
        self, shell: Shell, filled: Database[Document], tmp_path: Path, form: str
    ) -> None:
        file = tmp_path / f"customers.{form}"
        shell("import", ORGANIZATION, str(write(file, [numbered(number) for number in range(30)])))
        filled.customers.update_one({"externalId": "crm-9"}, {"$set": {"email": None}})
        own = {"externalId": None}
        rows = [
            *(numbered(number) for number in range(3)),
            *(numbered(number, email="new@example.com") for number in range(3, 6)),
            *(numbered(number) for number in range(40, 43)),
            numbered(6, **own),
            numbered(7, **own, phone=None),
            numbered(50, taxId=numbered(8)["taxId"]),
            numbered(51, **own, taxId=numbered(9)["taxId"]),
            numbered(9),
            numbered(10, email="no address"),
            numbered(11, taxId="XAXX010101000", taxSystem="616", defaultInvoiceUse="S01"),
            numbered(52, **own, taxId="XAXX010101000", taxSystem="616", defaultInvoiceUse="S01"),
            numbered(40),
        ]
        write(file, rows)
        before = stored(filled)
        preview = shell("import", ORGANIZATION, file.name, "--dry-run")
        assert stored(filled) == before
        assert [each.name for each in tmp_path.iterdir()] == [file.name]
        done = shell("import", ORGANIZATION, file.name)
        assert preview.code == done.code == 1
        assert preview.err == done.err.replace(f"\n{summary(done)}", f"\ndry run, nothing is stored:  {summary(done)}")
        assert "failed 0" not in summary(done)

    def test_an_interrupted_dry_run(
        self, shell: Shell, filled: Database[Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        write(tmp_path / "customers.csv", [numbered(1)])
        monkeypatch.setattr(Importer, "_validate", killed)
        run = shell("import", ORGANIZATION, "customers.csv", "--dry-run")
        assert (run.code, summary(run)) == (130, "customer-service: interrupted; nothing was stored")
        assert [each.name for each in tmp_path.iterdir()] == ["customers.csv"]
        assert stored(filled) == []

    def test_a_dry_run_writes_no_rejects(self, shell: Shell, tmp_path: Path) -> None:
        write(tmp_path / "customers.csv", [numbered(1)])
        run = shell("import", ORGANIZATION, "customers.csv", "--dry-run", "--rejects", "rejects.csv")
        assert (run.code, (tmp_path / "rejects.csv").exists()) == (2, False)
        assert "--rejects is not for --dry-run" in run.err

    def test_a_dry_run_of_a_stream(
        self, shell: Shell, filled: Database[Document], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(ndjson([numbered(1)]))))
        run = shell("import", ORGANIZATION, "-", "--format", "ndjson", "--dry-run")
        assert (run.code, run.err) == (
            0,
            "dry run, nothing is stored:  rows 1  created 1  changed 0  unchanged 0  failed 0\n",
        )
        assert stored(filled) == []

    def test_what_the_sat_answered_is_gone_with_what_it_is_about(
        self, shell: Shell, filled: Database[Document], tmp_path: Path
    ) -> None:
        file = tmp_path / "customers.ndjson"
        file.write_bytes(ndjson([numbered(number) for number in range(3)]))
        shell("import", ORGANIZATION, "customers.ndjson")
        repository = CustomerBatchRepository(filled, OrganizationScope(ORGANIZATION), WRITER)
        validation = {"status": "matched", "checkedAt": datetime(2025, 1, 1), "source": "my-pac"}  # noqa: DTZ001
        for document in stored(filled):
            repository.set_sat_validation(document, validation)
        file.write_bytes(ndjson([numbered(0), numbered(1, phone=None), numbered(2, legalName="Sabre")]))
        assert shell("import", ORGANIZATION, "customers.ndjson").code == 0
        found = [each.get("satValidation") for each in stored(filled)]
        assert found == [validation, validation, None]
        for status, count in (("matched", 2), ("unchecked", 1)):
            assert repository.count(CustomerQuery(sat_status=status)) == count

    def test_bad_rows_are_reported_without_their_values(
        self, shell: Shell, filled: Database[Document], tmp_path: Path
    ) -> None:
        bad = [
            numbered(2, address={"zip": "Secret"}, email="Secret"),
            numbered(3) | {"Secret": "Secret"},
            numbered(1, phone="6474010102"),
            numbered(4, taxId="aaa010102000"),
            numbered(5, externalId=None, taxId="XAXX010101000", taxSystem="616", defaultInvoiceUse="S01"),
            "Secret",
            numbered(6, metadata={"a\x1b[31m": "Secret"}),
        ]
        text = ndjson([numbered(1), *bad, numbered(7)]) + b"{Secret\n"
        (tmp_path / "c.ndjson").write_bytes(text)
        run = shell("import", ORGANIZATION, "c.ndjson")
        assert run.code == 1
        assert [line.split(" ")[:4] for line in run.err.splitlines()] == [
            ["line", "2:", "/email", "invalid-email"],
            ["line", "2:", "/address/zip", "invalid-zip"],
            ["line", "3:", "/Secret", "unknown-field"],
            ["line", "4:", "/externalId", "repeated"],
            ["line", "5:", "/taxId", "repeated"],
            ["line", "6:", "/externalId", "required"],
            ["line", "7:", "/", "invalid-type"],
            ["line", "8:", "/metadata/a?[31m", "invalid-character"],
            ["line", "10:", "/", "invalid-json"],
            ["rows", "10", "", "created"],
        ]
        assert summary(run) == "rows 10  created 2  changed 0  unchanged 0  failed 8"
        assert run.err.count("Secret") == 1
        assert [each["externalId"] for each in stored(filled)] == ["crm-1", "crm-7"]

    def test_conflicts_are_reported(self, shell: Shell, filled: Database[Document], tmp_path: Path) -> None:
        (tmp_path / "c.ndjson").write_bytes(ndjson([numbered(1), numbered(2)]))
        shell("import", ORGANIZATION, "c.ndjson")
        one, two = stored(filled)
        filled.customers.update_one({"_id": two["_id"]}, {"$set": {"phone": 7}})
        (tmp_path / "c.ndjson").write_bytes(
            ndjson([numbered(3, taxId=one["taxId"]), numbered(2), numbered(4, externalId="crm-1", taxId=two["taxId"])])
        )
        run = shell("import", ORGANIZATION, "c.ndjson")
        assert run.code == 1
        assert run.err.splitlines()[:3] == [
            f"line 1: /taxId duplicate-tax-id Customer {one['_id']} has it.",
            "line 2: / malformed-document field phone",
            "line 3: /taxId repeated Give each customer once: an earlier one has the same key.",
        ]

    def test_a_row_without_an_external_id_is_known_by_its_tax_id(
        self, shell: Shell, filled: Database[Document], tmp_path: Path
    ) -> None:
        own = numbered(1)
        del own["externalId"]
        (tmp_path / "c.ndjson").write_bytes(ndjson([own, numbered(2)]))
        shell("import", ORGANIZATION, "c.ndjson")
        changed = [own | {"phone": None}, numbered(2, externalId=None, phone=None)]
        (tmp_path / "c.ndjson").write_bytes(ndjson(changed))
        run = shell("import", ORGANIZATION, "c.ndjson")
        assert summary(run) == "rows 2  created 0  changed 2  unchanged 0  failed 0"
        assert [each.get("externalId") for each in stored(filled)] == [None, "crm-2"]
        assert summary(shell("import", ORGANIZATION, "c.ndjson")).endswith("unchanged 2  failed 0")

    def test_csv_from_the_standard_input(
        self, shell: Shell, filled: Database[Document], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        header = "legalName,taxId,taxSystem,email,defaultInvoiceUse,address.zip,phone,metadata.segment"
        row = "DUNDER MIFFLIN,DUM901231AB3,601,billing@dundermifflin.com,G01,86500,+526474010101,'=1"
        text = io.TextIOWrapper(io.BytesIO(f"{header}\n{row}\n".encode()))
        monkeypatch.setattr(sys, "stdin", text)
        run = shell("import", ORGANIZATION, "-", "--format", "csv")
        assert (run.code, summary(run)) == (0, "rows 1  created 1  changed 0  unchanged 0  failed 0")
        (customer,) = stored(filled)
        assert (customer["phone"], customer["metadata"]) == ("+526474010101", {"segment": "=1"})
        assert customer["address"]["country"] == "MEX"

    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            ("c.csv", b"Secret\nx\n", "Column 1 of the header is none of"),
            ("c.ndjson.gz", b"no gzip", "Not a gzipped file"),
            ("c.ndjson.gz", gzip.compress(ndjson([numbered(1)]))[:-20], "end-of-stream"),
            ("c.ndjson.gz", gzip.compress(b"{}")[:10] + b"\xff" * 20, "invalid"),
            ("c.csv.gz", gzip.compress(b"legalName\nx\n")[:-20], "end-of-stream"),
            ("c.csv.gz", gzip.compress(b"{}")[:10] + b"\xff" * 20, "invalid"),
            ("c.csv", b"legalName,metadata.regi\xa2n\nSecret,x\n", "The header is in another encoding"),
        ],
        ids=["a column", "no gzip", "cut off", "no deflate", "a cut CSV", "a CSV of no deflate", "a header in cp850"],
    )
    def test_a_file_that_cannot_be_read(
        self, shell: Shell, tmp_path: Path, name: str, text: bytes, message: str
    ) -> None:
        (tmp_path / name).write_bytes(text)
        run = shell("import", ORGANIZATION, name)
        assert run.code == 1
        assert run.err.startswith(f"customer-service: {name}: ")
        assert message in run.err
        assert "Secret" not in run.err

    def test_nothing_is_stored_if_the_position_cannot_be_saved(
        self, shell: Shell, filled: Database[Document], tmp_path: Path
    ) -> None:
        name = f"{'c' * 240}.ndjson"  # with the suffix, the name of the position is too long
        (tmp_path / name).write_bytes(ndjson([numbered(1)]))
        run = shell("import", ORGANIZATION, name)
        assert run.code == 1
        assert run.err.startswith(f"customer-service: {name}: the position of the import cannot be saved beside it")
        assert stored(filled) == []

    def test_what_stands_before_a_cut_is_kept(
        self, shell: Shell, filled: Database[Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(importing, "IMPORT_BATCH_LENGTH", 1000)
        text = gzip.compress(ndjson([numbered(number) for number in range(200)]))
        (tmp_path / "c.ndjson.gz").write_bytes(text[: len(text) // 2])
        run = shell("import", ORGANIZATION, "c.ndjson.gz")
        (line,) = run.err.splitlines()
        match = re.match(r"customer-service: c\.ndjson\.gz: After line (\d+): ", line)
        assert match
        assert len(stored(filled)) == int(match[1]) > 0

    def test_wrong_usage(self, shell: Shell, tmp_path: Path) -> None:
        (tmp_path / "c.txt").write_text("")
        (tmp_path / "c.csv").write_text("")
        assert shell("import", ORGANIZATION, "none.csv").code == 2
        assert shell("import", ORGANIZATION, "c.txt").code == 2
        assert shell("import", ORGANIZATION, "-").code == 2
        run = shell("import", "a-slip-of-the-pen", "c.csv")
        assert (run.code, "has no members" in run.err) == (2, True)
        assert shell("import", ORGANIZATION, "c.csv").code == 0


class TestCutOff:
    """An import resumes at the row where it stopped."""

    @pytest.fixture
    def cut(self, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A file of 25 rows, two of them bad, whose import was killed in its third batch of ten."""
        file = tmp_path / "c.ndjson"
        rows = [numbered(number) for number in range(25)]
        rows[3] = numbered(3, email="x")
        rows[22] = numbered(5)
        file.write_bytes(ndjson(rows))
        add_many = CustomerBatchRepository.add_many

        def killed(self: CustomerBatchRepository, customers: Sequence[dict[str, Any]]) -> list[Document | None]:
            if any(customer["externalId"] == "crm-20" for customer in customers):
                add_many(self, customers[:2])
                raise KeyboardInterrupt
            return add_many(self, customers)

        monkeypatch.setattr(CustomerBatchRepository, "add_many", killed)
        run = shell("import", ORGANIZATION, "c.ndjson")
        assert run.code == 130
        assert (
            summary(run) == "customer-service: interrupted after row 20; run the same command again to continue there"
        )
        monkeypatch.setattr(CustomerBatchRepository, "add_many", add_many)
        return file

    def test_it_goes_on(self, shell: Shell, filled: Database[Document], cut: Path) -> None:
        assert len(stored(filled)) == 21
        filled.customers.delete_one({"externalId": "crm-0"})
        run = shell("import", ORGANIZATION, "c.ndjson")
        assert run.code == 1
        assert run.err.splitlines() == [
            "continuing after row 20",
            "line 23: /externalId repeated Give each customer once: an earlier one has the same key.",
            "rows 25  created 21  changed 0  unchanged 2  failed 2",
        ]
        assert len(stored(filled)) == 22
        assert [each.name for each in cut.parent.iterdir()] == ["c.ndjson"]
        assert (
            summary(shell("import", ORGANIZATION, "c.ndjson"))
            == "rows 25  created 1  changed 0  unchanged 22  failed 2"
        )

    def test_another_file_begins_anew(self, shell: Shell, cut: Path) -> None:
        cut.write_bytes(cut.read_bytes() + b"\n")
        run = shell("import", ORGANIZATION, "c.ndjson")
        assert summary(run) == "rows 25  created 2  changed 0  unchanged 21  failed 2"

    def test_the_standard_input_begins_anew(
        self, shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(CustomerBatchRepository, "add_many", killed)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(ndjson([numbered(1)]))))
        run = shell("import", ORGANIZATION, "-", "--format", "ndjson")
        assert run.code == 130
        assert run.err == (
            "customer-service: interrupted; import it again from the beginning: nothing is stored twice\n"
        )
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(("patience", "said"), [(30, []), (0, [importing.LAST_BATCH])])
    def test_a_batch_that_is_being_stored_is_counted(
        self, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience: float, said: list[str]
    ) -> None:
        validate, add_many = Importer._validate, CustomerBatchRepository.add_many

        def killed(self: Importer, row: Row) -> Upsert:
            if row.line == 25:
                raise KeyboardInterrupt
            return validate(self, row)

        def slow(self: CustomerBatchRepository, customers: Sequence[dict[str, Any]]) -> list[Document | None]:
            time.sleep(0.2)
            return add_many(self, customers)

        (tmp_path / "c.ndjson").write_bytes(ndjson([numbered(number) for number in range(30)]))
        monkeypatch.setattr(Importer, "_validate", killed)
        monkeypatch.setattr(CustomerBatchRepository, "add_many", slow)
        monkeypatch.setattr(importing, "PATIENCE_SECONDS", patience)
        run = shell("import", ORGANIZATION, "c.ndjson")
        assert run.err.splitlines() == [
            *said,
            "customer-service: interrupted after row 20; run the same command again to continue there",
        ]
        monkeypatch.setattr(Importer, "_validate", validate)
        run = shell("import", ORGANIZATION, "c.ndjson")
        assert summary(run) == "rows 30  created 30  changed 0  unchanged 0  failed 0"

    @pytest.mark.usefixtures("interruptible")
    @pytest.mark.parametrize("rest", [b"", b"\xff" * 20], ids=["whole", "damaged"])
    def test_the_only_batch_is_counted(
        self, shell: Shell, filled: Database[Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rest: bytes
    ) -> None:
        add_many = CustomerBatchRepository.add_many

        def interrupted(self: CustomerBatchRepository, customers: Sequence[dict[str, Any]]) -> list[Document | None]:
            reached.wait(30)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)
            return add_many(self, customers)

        count_stored, reached = Importer._count_stored, threading.Event()

        def counting(self: Importer) -> None:
            if self._storing:
                reached.set()
            count_stored(self)

        (tmp_path / "c.ndjson.gz").write_bytes(gzip.compress(ndjson([numbered(number) for number in range(5)])) + rest)
        monkeypatch.setattr(CustomerBatchRepository, "add_many", interrupted)
        monkeypatch.setattr(Importer, "_count_stored", counting)
        run = shell("import", ORGANIZATION, "c.ndjson.gz")
        assert (run.code, len(stored(filled))) == (130, 5)
        assert summary(run).startswith("customer-service: interrupted after row 5; ")

    def test_after_a_batch_that_failed_no_later_one_is_stored(
        self, shell: Shell, filled: Database[Document], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add_many = CustomerBatchRepository.add_many
        (tmp_path / "c.ndjson").write_bytes(ndjson([numbered(number) for number in range(35)]))
        monkeypatch.setattr(CustomerBatchRepository, "add_many", failing_at_the_second_batch(DatabaseUnavailable()))
        assert shell("import", ORGANIZATION, "c.ndjson").code == 1
        assert len(stored(filled)) == 10
        monkeypatch.setattr(CustomerBatchRepository, "add_many", add_many)
        run = shell("import", ORGANIZATION, "c.ndjson")
        assert run.err.splitlines()[0] == "continuing after row 10"
        assert summary(run) == "rows 35  created 35  changed 0  unchanged 0  failed 0"

    @pytest.mark.usefixtures("cut")
    def test_another_organization_begins_anew(self, shell: Shell, filled: Database[Document]) -> None:
        filled.memberships.insert_one({"userId": MEMBER, "organizationId": OTHER_ORGANIZATION, "role": "admin"})
        run = shell("import", OTHER_ORGANIZATION, "c.ndjson")
        assert summary(run) == "rows 25  created 23  changed 0  unchanged 0  failed 2"
        assert shell("import", ORGANIZATION, "c.ndjson").err.startswith("continuing after row 20\n")

    def test_an_import_with_other_options_ends_it(
        self, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add_many = CustomerBatchRepository.add_many
        file = write(tmp_path / "c.csv", [numbered(number) for number in range(15)])
        monkeypatch.setattr(CustomerBatchRepository, "add_many", failing_at_the_second_batch(KeyboardInterrupt()))
        assert shell("import", ORGANIZATION, "c.csv").code == 130
        assert json.loads(position(file).read_bytes())["counts"]["rows"] == 10
        monkeypatch.setattr(CustomerBatchRepository, "add_many", add_many)
        assert shell("import", ORGANIZATION, "c.csv", "--column", "email=email").code == 0
        assert list(tmp_path.iterdir()) == [file]

    @pytest.mark.parametrize("kept", [b"", b"[]", b"{}", b'{"fingerprint": 1, "counts": {"x": 1}}', b"\xff"])
    def test_what_is_no_checkpoint_is_none(self, shell: Shell, cut: Path, kept: bytes) -> None:
        position(cut).write_bytes(kept)
        run = shell("import", ORGANIZATION, "c.ndjson")
        assert summary(run) == "rows 25  created 2  changed 0  unchanged 21  failed 2"

    def test_it_holds_no_customers_data(self, cut: Path) -> None:
        kept = json.loads(position(cut).read_bytes())
        assert kept["counts"] == {"rows": 20, "created": 19, "changed": 0, "unchanged": 0, "failed": 1}
        assert set(kept) == {"fingerprint", "counts"}


class TestSpreadsheets:
    """A file is imported whole or the import says what to do, and no value changes in silence."""

    @pytest.mark.parametrize("name", FILES)
    def test_a_file(self, shell: Shell, filled: Database[Document], tmp_path: Path, name: str) -> None:
        file = FILES[name]()
        (tmp_path / "c.csv").write_bytes(file.data)
        run = shell("import", ORGANIZATION, "c.csv", *file.options)
        true = {row["externalId"]: rules.with_place(body_of(row)) for row in CUSTOMERS}
        here = {document["externalId"]: validation.to_input(document) for document in stored(filled)}
        assert here == {key: true[key] for key in here}
        assert (run.code, len(here) == len(true)) == ((0, True) if file.said is None else (1, False))
        assert (file.said or "created 3") in run.err

    def test_what_is_assumed_is_said_in_one_line(self, shell: Shell, tmp_path: Path) -> None:
        (tmp_path / "c.csv").write_bytes(b"RFC;Raz\xf3n social;metadata.segment\r\n;x\r\n")
        assert shell("import", ORGANIZATION, "c.csv").err.splitlines()[0] == (
            "read as Windows-1252, separated by semicolons: taxId, legalName, metadata.segment"
        )

    def test_columns_of_ones_own(self, shell: Shell, tmp_path: Path) -> None:
        (tmp_path / "c.csv").write_text("Mi = nombre,Grupo\nx,y\n")
        for options, said in (
            (["--column", "mi =  NOMBRE=Razón social"], "Column 2 of the header is none of these"),
            (["--column", "Otro=taxId"], "The header has no column of --column: otro."),
            (["--column", "Mi = nombre=legalName", "--column", "Grupo=metadata.Grupo"], "legalName, metadata.Grupo\n"),
            (
                ["--column", "Grupo=legalName", "--column", "Mi = nombre=Nombre"],
                "Column 2 of the header is a duplicate",
            ),
        ):
            run = shell("import", ORGANIZATION, "c.csv", *options)
            assert (run.code, said in run.err) == (1, True)

    def test_a_column_in_another_encoding(self, shell: Shell, tmp_path: Path) -> None:
        (tmp_path / "c.csv").write_text("Grupo\nx\n")
        run = shell("import", ORGANIZATION, "c.csv", "--column", "Raz\udcf3n=legalName")
        assert (run.code, "Invalid value for '--column': one of the values is not in UTF-8" in run.err) == (2, True)

    @pytest.mark.parametrize("value", ["Grupo", "Grupo=grupo", "Grupo=", "Grupo=reason", "=taxId", "Grupo=metadata."])
    def test_a_column_that_is_given_wrong(self, shell: Shell, tmp_path: Path, value: str) -> None:
        (tmp_path / "c.csv").write_text("Grupo\nx\n")
        run = shell("import", ORGANIZATION, "c.csv", "--column", value)
        assert (run.code, 'write it as "My header=taxId"' in run.err) == (2, True)
        twice = shell("import", ORGANIZATION, "c.csv", "--column", "Grupo=taxId", "--column", "GRUPO=email")
        assert twice.code == 2

    def test_a_letter_far_below_says_the_encoding(self, shell: Shell, tmp_path: Path) -> None:
        rows = [["legalName"], *([f"N{number}"] for number in range(12)), ["PEÑA"]]
        (tmp_path / "c.csv").write_bytes(text(rows).encode("cp1252"))
        said = "from line 14 read as Windows-1252; the lines before have only ASCII, which is the same in both"
        assert shell("import", ORGANIZATION, "c.csv").err.splitlines().count(said) == 1

    def test_a_bad_row_has_all_its_findings(self, shell: Shell, tmp_path: Path) -> None:
        row = changed(0, address__zip="6600", phone="5.51235E+09", email="x", externalId="1002")[0]
        (tmp_path / "c.csv").write_bytes(text(table([CUSTOMERS[1], row])).encode())
        lines = shell("import", ORGANIZATION, "c.csv").err.splitlines()
        assert [line.split(" ")[2:4] for line in lines[:-1]] == [
            ["/phone", "shortened-number"],
            ["/address/zip", "lost-zero"],
            ["/email", "invalid-email"],
            ["/externalId", "repeated"],
        ]

    def test_a_key_of_many_customers_needs_an_external_id(self, shell: Shell, tmp_path: Path) -> None:
        row = changed(0, taxId="XAXX010101000", taxSystem="616", defaultInvoiceUse="S01", externalId="")[0]
        (tmp_path / "c.csv").write_bytes(text(table([row])).encode())
        run = shell("import", ORGANIZATION, "c.csv")
        assert run.err.splitlines()[0] == (
            "line 2: /externalId required Give an externalId: many customers may have this taxId."
        )


class TestRejects:
    """The refused rows, to correct and import again."""

    @pytest.fixture
    def bad(self, tmp_path: Path) -> Path:
        """A file with a good row, one to correct, one to run, and one that cannot be read."""
        rows = changed(0, address__zip="6600", email="x")
        rows[2] |= {"legalName": "=1+1", "address.country": "XXX"}
        lines = table(rows, SPANISH)
        lines[0][4:4] = [""]
        lines[1:] = [[*line[:4], "", *line[4:]] for line in lines[1:]]
        lines.append([*lines[1], "lost?"])
        file = tmp_path / "c.csv"
        file.write_bytes(text(lines, ";").encode("cp1252"))
        return file

    @pytest.mark.usefixtures("bad")
    def test_they_can_be_corrected_and_imported(self, shell: Shell, filled: Database[Document], tmp_path: Path) -> None:
        run = shell("import", ORGANIZATION, "c.csv", "--rejects", "r.csv")
        assert summary(run) == "rows 4  created 1  changed 0  unchanged 0  failed 3"
        written = (tmp_path / "r.csv").read_bytes()
        assert written.startswith(b"\xef\xbb\xbf")
        assert (tmp_path / "r.csv").stat().st_mode & 0o777 == 0o600
        header, zip_lost, country, unread = csv.reader(io.StringIO(written.decode("utf-8-sig")), delimiter=";")
        assert header == [*table([], SPANISH)[0], "reason"]
        assert zip_lost[:-1] == list(changed(0, address__zip="6600", email="x")[0].values())
        assert zip_lost[-1].startswith("line 2: /address/zip lost-zero A leading zero was lost: 06600? ")
        assert "; /email invalid-email " in zip_lost[-1]
        assert (country[0], country[-1][:40]) == ("'=1+1", "line 5: /address/country unknown-country")
        assert (set(unread[:-1]), unread[-1][:22]) == ({""}, "line 6: / column-count")

        mended = written.replace(b"6600", b"06600").replace(b";x;", b";caja@example.com;").replace(b"XXX", b"MEX")
        (tmp_path / "m.csv").write_bytes(mended)
        again = shell("import", ORGANIZATION, "m.csv", "--rejects", "n.csv")
        assert again.err.splitlines()[0].endswith("; reason is ignored")
        assert summary(again) == "rows 2  created 2  changed 0  unchanged 0  failed 0"
        assert {document["legalName"] for document in stored(filled)} == {"PEÑA Y MUÑOZ", "JESÚS GARCÍA LÓPEZ", "=1+1"}
        assert sorted(each.name for each in tmp_path.iterdir()) == ["c.csv", "m.csv", "r.csv"]

    @pytest.mark.usefixtures("bad")
    @pytest.mark.parametrize("link", [False, True])
    def test_a_file_that_is_there_is_kept(self, shell: Shell, tmp_path: Path, link: bool) -> None:
        (tmp_path / "theirs").write_text("theirs")
        if link:
            (tmp_path / "r.csv").symlink_to("theirs")
        else:
            (tmp_path / "theirs").rename(tmp_path / "r.csv")
        run = shell("import", ORGANIZATION, "c.csv", "--rejects", "r.csv")
        assert (run.code, "r.csv exists already" in run.err) == (2, True)
        assert (tmp_path / "r.csv").read_text() == "theirs"

    def test_an_empty_file_is_of_a_run_that_was_killed(self, shell: Shell, tmp_path: Path) -> None:
        (tmp_path / "r.csv").touch(0o666)
        (tmp_path / "c.csv").write_text("taxId\nx\n")
        run = shell("import", ORGANIZATION, "c.csv", "--rejects", "r.csv")
        assert (run.code, "invalid-rfc" in (tmp_path / "r.csv").read_text()) == (1, True)
        assert (tmp_path / "r.csv").stat().st_mode & 0o777 == 0o600

    @pytest.mark.usefixtures("interruptible")
    @pytest.mark.parametrize("line", [1, 4])
    def test_ctrl_c_while_they_are_printed_repeats_and_loses_none(
        self, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: int
    ) -> None:
        (tmp_path / "c.csv").write_text("=id,taxId\n" + "".join(f"x{number},x\n" for number in range(25)))
        command = ("import", ORGANIZATION, "c.csv", "--rejects", "r.csv", "--column", "=id=externalId")
        printed: list[str] = []

        def interrupting(text: str, _: object) -> None:
            printed.append(text)
            if text.startswith("line") and len(printed) % 5 == line and len(printed) < 200:
                raise KeyboardInterrupt

        monkeypatch.setattr(commands, "print_line", interrupting)
        codes = []
        while 1 not in codes:
            codes.append(shell(*command).code)
            assert codes[-1] in {1, 130}
        assert len(codes) > 2
        header, *rows = csv.reader(io.StringIO((tmp_path / "r.csv").read_text("utf-8-sig")))
        assert header == ["'=id", "taxId", "reason"]
        assert [row[0] for row in rows] == [f"x{number}" for number in range(25)]

    @pytest.mark.usefixtures("interruptible")
    def test_ctrl_c_while_a_batch_is_saved_waits(
        self, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write, interrupts = Rejects.write, iter([True])

        def interrupted(self: Rejects, refused: Iterable[Refused]) -> None:
            if next(interrupts, False):
                signal.raise_signal(signal.SIGINT)
            write(self, refused)

        monkeypatch.setattr(Rejects, "write", interrupted)
        (tmp_path / "c.csv").write_text("externalId,taxId\n" + "".join(f"x{number},x\n" for number in range(25)))
        run = shell("import", ORGANIZATION, "c.csv", "--rejects", "r.csv")
        assert (run.code, summary(run).split(";")[0]) == (130, "customer-service: interrupted after row 10")
        run = shell("import", ORGANIZATION, "c.csv", "--rejects", "r.csv")
        assert (run.code, run.err.splitlines()[0]) == (1, "continuing after row 10")
        assert len((tmp_path / "r.csv").read_text().splitlines()) == 26

    def test_they_go_on_with_the_import(self, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        rows = [numbered_row(number) for number in range(25)]
        for place in (3, 15, 22):
            rows[place] = rows[place] | {"email": "x"}
        (tmp_path / "c.csv").write_bytes(text(table(rows)).encode())
        add_many = CustomerBatchRepository.add_many
        stops = {"crm-0", "crm-20"}
        written: list[int] = []

        def killed(self: CustomerBatchRepository, customers: Sequence[dict[str, Any]]) -> list[Document | None]:
            for customer in customers:
                if customer["externalId"] in stops:
                    stops.remove(customer["externalId"])
                    written.append((tmp_path / "r.csv").read_bytes().count(b"line "))
                    raise KeyboardInterrupt
            return add_many(self, customers)

        monkeypatch.setattr(CustomerBatchRepository, "add_many", killed)
        runs = [shell("import", ORGANIZATION, "c.csv", "--rejects", "r.csv") for _ in range(3)]
        assert ([run.code for run in runs], written) == ([130, 130, 1], [0, 2])
        assert summary(runs[2]) == "rows 25  created 22  changed 0  unchanged 0  failed 3"
        header, *rejected = csv.reader(io.StringIO((tmp_path / "r.csv").read_text("utf-8-sig")))
        assert (header[-1], [line[-2] for line in rejected]) == ("reason", ["crm-3", "crm-15", "crm-22"])

    def test_another_file_has_all_of_them(self, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        rows = [numbered_row(number) | {"email": "x"} for number in range(11)]
        (tmp_path / "c.csv").write_bytes(text(table(rows)).encode())
        store = Importer._store

        def killed(self: Importer, validated: Sequence[Upsert | InvalidRequest]) -> list[Outcome]:
            if len(validated) == 1:  # the second batch
                raise KeyboardInterrupt
            return store(self, validated)

        monkeypatch.setattr(Importer, "_store", killed)
        assert shell("import", ORGANIZATION, "c.csv", "--rejects", "r.csv").code == 130
        monkeypatch.setattr(Importer, "_store", store)
        assert summary(shell("import", ORGANIZATION, "c.csv", "--rejects", "s.csv")).endswith("failed 11")
        assert [(tmp_path / name).read_bytes().count(b"line ") for name in ("r.csv", "s.csv")] == [10, 11]

    def test_from_the_standard_input(self, shell: Shell, bad: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(bad.read_bytes())))
        shell("import", ORGANIZATION, "-", "--format", "csv", "--rejects", "r.csv")
        assert bad.with_name("r.csv").read_bytes().count(b"line ") == 3

    def test_wrong_usage(self, shell: Shell, bad: Path) -> None:
        (bad.parent / "c.ndjson").write_text("")
        for arguments, said in (
            (["c.ndjson", "--rejects", "r.csv"], "--column and --rejects are for a CSV."),
            (["c.ndjson", "--column", "x=taxId"], "--column and --rejects are for a CSV."),
            (["c.csv", "--rejects", "r.csv.gz"], "must end in .csv"),
            (["c.csv", "--rejects", "none/r.csv"], "No such file or directory"),
        ):
            run = shell("import", ORGANIZATION, *arguments)
            assert (run.code, said in run.err) == (1 if "none/r.csv" in arguments else 2, True)


class TestExport:
    """What is exported can be imported, and changes nothing."""

    @pytest.fixture
    def customers(self, shell: Shell, filled: Database[Document], tmp_path: Path) -> list[Document]:
        """Some customers as they are stored, two of them deleted or another's."""
        dangerous = {f"k{place}": f"{mark}1" for place, mark in enumerate("=+-@\t\r'")}
        bodies = [numbered(number) for number in range(30)]
        bodies[1] |= {"metadata": dangerous, "legalName": "=SUM(1)"}
        bodies[2] |= {"metadata": {"a, b": "", "\u2028": "\x00\n"}, "phone": None}
        del bodies[3]["externalId"]
        (tmp_path / "in.ndjson").write_bytes(ndjson(bodies))
        assert shell("import", ORGANIZATION, "in.ndjson").code == 0
        filled.customers.insert_one({"organizationId": OTHER_ORGANIZATION, "legalName": "Theirs"})
        filled.customers.update_one(
            {"externalId": "crm-4"}, {"$set": {"deletedAt": 1}, "$unset": {"search": "", "unique": ""}}
        )
        return stored(filled)

    @pytest.mark.parametrize("name", ["c.csv", "c.csv.gz", "c.ndjson", "c.jsonl.gz"])
    def test_there_and_back(
        self, shell: Shell, filled: Database[Document], customers: list[Document], tmp_path: Path, name: str
    ) -> None:
        run = shell("export", ORGANIZATION, name)
        assert (run.code, run.out, run.err) == (0, "", "")
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        assert shell("import", ORGANIZATION, name).err == "rows 29  created 0  changed 0  unchanged 29  failed 0\n"
        assert stored(filled) == customers
        filled.customers.delete_many({"organizationId": ORGANIZATION})
        assert summary(shell("import", ORGANIZATION, name)).startswith("rows 29  created 29")
        shell("export", ORGANIZATION, f"again-{name}")
        assert (tmp_path / f"again-{name}").read_bytes() == (tmp_path / name).read_bytes()
        assert sorted(each.name for each in tmp_path.iterdir()) == sorted([f"again-{name}", name, "in.ndjson"])

    @pytest.mark.usefixtures("customers")
    def test_to_the_standard_output(self, shell: Shell) -> None:
        run = shell("export", ORGANIZATION)
        assert run.out.count("\n") == 29
        assert set(json.loads(run.out.partition("\n")[0])) == set(numbered(0))

    @pytest.mark.usefixtures("customers")
    def test_a_metadata_name_that_comes_meanwhile_is_not_lost(
        self, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names = exporting.metadata_names
        monkeypatch.setattr(commands, "metadata_names", lambda customers: names(customers)[1:])
        run = shell("export", ORGANIZATION, "c.csv")
        assert run.code == 1
        assert (
            run.err == "customer-service: c.csv: a customer got a new metadata name during the export: export again\n"
        )
        assert [each.name for each in tmp_path.iterdir()] == ["in.ndjson"]

    @pytest.mark.usefixtures("customers")
    def test_one_that_cannot_be_serialized(self, shell: Shell, filled: Database[Document]) -> None:
        (one, *_) = stored(filled)
        filled.customers.update_one({"_id": ObjectId(one["_id"])}, {"$set": {"phone": 7}})
        for name in ("c.csv", "c.ndjson"):
            run = shell("export", ORGANIZATION, name)
            assert (run.code, run.err) == (1, f"customer {one['_id']}: field phone\n")
            assert summary(shell("import", ORGANIZATION, name)).startswith("rows 28 ")

    def test_a_file_that_cannot_be_written(self, shell: Shell) -> None:
        run = shell("export", ORGANIZATION, "none/c.csv")
        assert (run.code, run.err) == (1, "customer-service: none/c.csv: No such file or directory\n")

    @pytest.mark.usefixtures("customers")
    def test_its_file_is_new(self, shell: Shell, tmp_path: Path) -> None:
        theirs = tmp_path / "theirs"
        theirs.write_text("theirs")
        theirs.chmod(0o644)
        (tmp_path / "a.csv.part").symlink_to(theirs)
        (tmp_path / "b.csv").symlink_to(theirs)
        for name in ("a.csv", "b.csv"):
            assert shell("export", ORGANIZATION, name).code == 0
            assert not (tmp_path / name).is_symlink()
            assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        assert (theirs.read_text(), theirs.stat().st_mode & 0o777) == ("theirs", 0o644)

    @pytest.mark.usefixtures("customers")
    def test_half_a_file_is_none(self, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "c.csv").write_text("the one before")

        def cut(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(formats, "write", cut)
        run = shell("export", ORGANIZATION, "c.csv")
        assert (run.code, run.err) == (130, "customer-service: interrupted; run the same command again\n")
        assert (tmp_path / "c.csv").read_text() == "the one before"
        assert sorted(each.name for each in tmp_path.iterdir()) == ["c.csv", "in.ndjson"]


class Bar:
    """A progress bar that records its positions."""

    def __init__(self) -> None:
        self.pos = 0
        self.shown: list[int] = []
        self.length = 0

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""

    def update(self, steps: int) -> None:
        self.pos += steps
        self.shown.append(self.pos)


class TestTerminal:
    """What a person sees."""

    @pytest.fixture
    def bar(self, monkeypatch: pytest.MonkeyPatch) -> Bar:
        """A bar in a terminal."""
        bar = Bar()

        def progressbar(length: int, **_: object) -> Bar:
            bar.length = length
            return bar

        monkeypatch.setattr(click, "progressbar", progressbar)
        monkeypatch.setattr(console, "is_terminal", lambda: True)
        monkeypatch.setattr(commands, "EXPORT_PAGE_LENGTH", 10)
        return bar

    def test_the_progress_of_an_import_is_in_bytes_of_the_file(self, shell: Shell, tmp_path: Path, bar: Bar) -> None:
        (tmp_path / "c.csv.gz").write_bytes(gzip.compress(b"legalName\nx\n"))
        run = shell("import", ORGANIZATION, "c.csv.gz")
        assert bar.shown == [bar.length] == [(tmp_path / "c.csv.gz").stat().st_size]
        line, *_ = run.err.split("\n")
        assert line.startswith("\rline 2: ")  # over the progress bar; the rest of the mark is for terminals alone

    def test_the_progress_of_an_export_is_in_customers(self, shell: Shell, tmp_path: Path, bar: Bar) -> None:
        (tmp_path / "c.ndjson").write_bytes(ndjson([numbered(number) for number in range(25)]))
        shell("import", ORGANIZATION, "c.ndjson")
        bar.shown.clear()
        bar.pos = 0
        shell("export", ORGANIZATION, "c.csv")
        assert (bar.shown, bar.length) == ([10, 20], 25)

    def test_the_standard_streams_have_none(self, shell: Shell, bar: Bar) -> None:
        assert shell("export", ORGANIZATION, "--format", "csv").out.startswith("\ufefflegalName,")
        assert bar.length == 0
