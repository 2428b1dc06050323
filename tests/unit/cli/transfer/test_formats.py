"""Rows of files are read back as they were written, no cell is run as a formula, and unreadable rows are reported."""

from __future__ import annotations

import csv
import gc
import io
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from customer_service.cli.transfer import cells, formats, rows, sheets
from customer_service.cli.transfer.columns import field_of, is_known
from customer_service.cli.transfer.formats import FORMATS, format_of
from customer_service.cli.transfer.rows import Row, Unreadable
from customer_service.services import validation
from tests.support import new_customer

if TYPE_CHECKING:
    from customer_service.cli.transfer.formats import Format

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
DANGEROUS = "=+-@\t\r"
DAMAGED = (
    "5.51235E+09",
    "5,51235E+9",
    "5E+09",
    "06600.0",
    "1001,00",
    "Ã\u2018ANDU",
    "SÃ\x8dNTESIS",
    "NÂº 5",
    "PE\ufffdA",
)
KEY = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="$."), min_size=1)
NAMES = tuple(name for name in validation.ALWAYS_STORED if name != "address")
CUSTOMER = st.builds(
    lambda texts, address, own: {**texts, "address": address, **{name: value for name, value in own.items() if value}},
    st.fixed_dictionaries(dict.fromkeys(NAMES, st.none() | TEXT) | {"legalName": TEXT}),
    st.fixed_dictionaries(dict.fromkeys(validation.ADDRESS_FIELDS, st.none() | TEXT)),
    st.fixed_dictionaries({"externalId": st.none() | TEXT, "metadata": st.dictionaries(KEY, TEXT)}),
)


def written(customers: list[dict[str, Any]], form: Format) -> bytes:
    stream = io.BytesIO()
    names = sorted({name for customer in customers for name in customer.get("metadata", {})})
    formats.write(customers, stream, form, names)
    return stream.getvalue()


def read(text: bytes, form: Format, *notes: list[str], **fields: str) -> list[Row]:
    stream = io.BytesIO(text)
    if form == "ndjson":
        return list(formats.read_ndjson(stream))
    with sheets.reading(stream, fields, notes[0].append if notes else print) as sheet:
        return list(sheet.rows())


def codes(text: bytes, form: Format) -> list[tuple[int, str | None]]:
    return [(row.line, row.findings[0].code if row.findings else None) for row in read(text, form)]


def stripped(customer: dict[str, Any]) -> dict[str, Any]:
    """Return the customer without what is null, which is what an empty cell says."""
    parts = {
        name: {key: text for key, text in part.items() if text is not None}
        for name, part in customer.items()
        if isinstance(part, dict)
    }
    return {name: value for name, value in customer.items() if value is not None} | parts


@given(st.lists(CUSTOMER, max_size=4))
@example(
    [new_customer(legalName=f"{mark}1", phone="", externalId="'", metadata={"k": f"''{mark}"}) for mark in DANGEROUS]
)
@example(
    [new_customer(legalName=text, externalId=f"'{text}", metadata={"k": text, "l": f"''{text}"}) for text in DAMAGED]
)
@example(
    [
        new_customer(legalName=text, externalId=text, metadata={"k": text})
        for text in (" x", "x ", "' x", "'x ", "'' x", " ' x", " ", "\u00a0x")
    ]
)
def test_what_is_written_is_read_back(customers: list[dict[str, Any]]) -> None:
    assert [row.body for row in read(written(customers, "ndjson"), "ndjson")] == customers
    rows = read(written(customers, "csv"), "csv")
    assert [row.findings for row in rows] == [()] * len(customers)
    assert [row.body for row in rows] == [stripped(customer) for customer in customers]


@given(st.lists(CUSTOMER, max_size=4))
@example([new_customer(legalName=mark, metadata={"k": mark}) for mark in DANGEROUS])
def test_no_cell_is_run(customers: list[dict[str, Any]]) -> None:
    text = written(customers, "csv").decode()
    found = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    assert not [cell for cell in found if cell.startswith(tuple(DANGEROUS))]


@pytest.mark.parametrize("text", ["'t Hooft", "'", "O'Brien", "''x", "+526474010101", "-1", "=1+1"])
def test_cells_of_others_are_read_as_they_are(text: str) -> None:
    (row,) = read(f'legalName\n"{text}"\n'.encode(), "csv")
    assert row.body == {"address": {}, "legalName": "" if text == "'" else text}


def test_spaces_around_a_cell_are_none_of_its_text() -> None:
    """A sheet does not show them, and `e1 ` would be another customer than `e1`."""
    first, second = read(b"externalId,legalName,metadata.k\n e1 ,  ,x\t\n \t, ,\n,'  , '\n", "csv")
    assert first.body == {"address": {}, "externalId": "e1", "metadata": {"k": "x"}}
    assert second.body == {"address": {}, "legalName": "  ", "metadata": {"k": ""}}


class TestNdjson:
    """One JSON value on each line."""

    def test_lines_are_numbered_and_blank_ones_left_out(self) -> None:
        text = b'\xef\xbb\xbf{}\n\n{"a": 1}\r\n   \n[]'
        assert [(row.line, row.body) for row in read(text, "ndjson")] == [(1, {}), (3, {"a": 1}), (5, [])]

    def test_what_is_no_json(self) -> None:
        text = b'{"a": \n\xff\n{}\n{} {}\nNaN\n"\\ud800"\n' + b"[" * 5000
        wrong = "invalid-json"
        assert codes(text, "ndjson") == [
            (1, wrong),
            (2, wrong),
            (3, None),
            (4, wrong),
            (5, wrong),
            (6, wrong),
            (7, wrong),
        ]

    def test_a_line_that_is_too_long_is_left_out(self) -> None:
        text = b"{}\n" + b" " * 10_000_000 + b"\n{}\n" + b"x" * 1_000_001
        assert codes(text, "ndjson") == [(1, None), (2, "line-too-long"), (3, None), (4, "line-too-long")]
        assert codes(json.dumps(["x" * 999_996]).encode(), "ndjson") == [(1, None)]


class TestCsv:
    """A header of known columns, and cells as RFC 4180 quotes them."""

    def test_rows_are_known_by_their_first_line(self) -> None:
        text = '\ufefflegalName,address.street,metadata.a b\r\nA,"B\r\nC",D\r\n\r\nE,,\r\n'.encode()
        assert [row[:3] for row in read(text, "csv")] == [
            (2, {"legalName": "A", "address": {"street": "B\r\nC"}, "metadata": {"a b": "D"}}, ()),
            (5, {"legalName": "E", "address": {}}, ()),
        ]

    @pytest.mark.parametrize("text", [b"", b"legalName\n", b"\n", b"legalName,phone\r\n,\r\n,,,\r\n"])
    def test_nothing(self, text: bytes) -> None:
        assert read(text, "csv") == []

    def test_what_is_no_row(self) -> None:
        text = b'legalName,phone\nA\nA,B,C\nA,\xff\n"A"x,B\nA,' + b"x" * 200_000 + b"\nA,B\n"
        assert codes(text, "csv") == [
            (2, None),  # the cells that are missing are empty
            (3, "column-count"),
            (4, "invalid-encoding"),
            (5, "invalid-csv"),
            (6, "invalid-csv"),
            (7, None),
        ]

    @pytest.mark.parametrize("last", [None, 9, 900, 3999])
    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_a_quote_that_does_not_end_hides_no_other_row(self, last: int | None, end: str) -> None:
        """It would hold all lines until the next quote, or 131,072 characters."""
        lines = ["legalName,phone", *(f"{'A' * 40}{number},6474010101" for number in range(2, 4001))]
        for number in {6, last or 6}:
            lines[number - 1] = '"' + lines[number - 1]
        found = codes(end.join(lines).encode(), "csv")
        assert [line for line, _ in found] == list(range(2, 4001))
        refused = {line: code for line, code in found if code}
        assert (refused[6], refused[7], refused[8]) == ("invalid-csv", "unclosed-quote", "unclosed-quote")
        assert 10 in refused if last != 9 else list(refused) == [6, 7, 8, 9]
        assert 3000 not in refused

    def test_a_row_of_many_lines_is_one(self) -> None:
        text = b'legalName,phone\n"A\nB\nC",1\n"D\nE"x,2\nF,3\n'
        assert codes(text, "csv") == [(2, None), (5, "invalid-csv"), (6, "unclosed-quote"), (7, None)]

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_a_line_that_is_too_long_is_left_out(self, end: str) -> None:
        long = "," * 10_000_000
        text = end.join(["legalName,phone", "A,", long, "B,", '"C', long, "D,"])
        lines_and_codes = codes(text.encode(), "csv")
        assert [line for line, code in lines_and_codes if code is None] == [2, 4, 7]
        assert [line for line, code in lines_and_codes if code == "line-too-long"] == [3, 5]
        assert [line for line, code in lines_and_codes if code == "unclosed-quote"] == [6]

    @pytest.mark.parametrize(
        ("header", "message"),
        [
            ("legalName,Secret Name", "Column 2 of the header is none of"),
            ("metadata.", "Column 1 of the header is none of"),
            ("id", "Column 1 of the header is none of"),
            ("phone,phone", "Column 2 of the header is a duplicate"),
            ('"a"b', "The header is not a line of a CSV"),
        ],
    )
    def test_a_wrong_header_is_named_without_its_text(self, header: str, message: str) -> None:
        with pytest.raises(Unreadable, match=message) as caught:
            read(f"{header}\nx\n".encode(), "csv")
        assert "Secret" not in str(caught.value)

    def test_the_stream_is_left_open(self) -> None:
        stream = io.BytesIO(b"legalName\nx\n")
        with sheets.reading(stream, {}, print) as sheet:
            assert len(list(sheet.rows())) == 1
        del sheet
        gc.collect()
        assert not stream.closed


class TestEncodings:
    """The mark, else the first line with a letter beyond ASCII, says the encoding; a line in another is refused."""

    @pytest.mark.parametrize(
        ("raw", "text"),
        [
            ("PEÑA".encode(), "PEÑA"),
            ("PEÑA".encode("cp1252"), "PEÑA"),
            ("ÁÉÍÓÚÜÑáéíóúüñªº°¿".encode("cp1252"), "ÁÉÍÓÚÜÑáéíóúüñªº°¿"),
            ("José y café".encode("cp1252"), "José y café"),
            ("Łódź Müller".encode(), "Łódź Müller"),
            ("Conceição".encode("cp1252"), None),
            ("PEÑA".encode()[:-2], None),
            (b"JES\x81S", None),
            *(
                (word.encode(page), None)
                for page in ("mac-roman", "cp850")
                for word in ("PEÑA", "Peña", "JESÚS", "MENÚ")
            ),
            *(
                (word.encode(page), None)
                for page in ("mac-roman", "cp850")
                for word in ("ÚNICO", "LÓPEZ", "García", "José")
            ),
        ],
    )
    def test_a_line(self, raw: bytes, text: str | None) -> None:
        (row,) = read(b"legalName\n" + raw + b"\n", "csv")
        assert row.body == (None if text is None else {"address": {}, "legalName": text})
        assert [finding.code for finding in row.findings] == ([] if text is not None else ["invalid-encoding"])

    def test_the_first_line_that_reads_decides(self) -> None:
        utf_8, windows, neither = "Ñ".encode(), "Ñ".encode("cp1252"), b"\xff"
        for mark, lines, wrong in (
            (b"", (neither, b"N", windows, utf_8, windows), [2, 5]),
            (b"", (neither, b"N", utf_8, windows, utf_8), [2, 5]),
            (b"\xef\xbb\xbf", (b"N", windows, utf_8), [3]),
        ):
            lines_and_codes = codes(mark + b"\n".join((b"legalName", *lines)), "csv")
            assert [line for line, code in lines_and_codes if code] == wrong
            assert {code for _, code in lines_and_codes if code} == {"invalid-encoding"}

    def test_half_a_character_of_utf_16(self) -> None:
        text = "\ufefflegalName\r\nA\r\n\ud800\r\nB\r\n".encode("utf-16-le", "surrogatepass")
        assert codes(text, "csv") == [(2, None), (3, "invalid-encoding"), (4, None)]
        with pytest.raises(Unreadable, match=r"^After line \d: truncated data$"):
            read(text + b"C", "csv")

    def test_an_export_has_a_mark(self) -> None:
        for customers in ([], [new_customer()]):
            assert written(customers, "csv").startswith(b"\xef\xbb\xbflegalName,")
            assert written(customers, "csv").count(b"\xef\xbb\xbf") == 1
            assert b"\xef\xbb\xbf" not in written(customers, "ndjson")


class TestHeader:
    """The separator and the columns are found in the header."""

    @pytest.mark.parametrize(
        ("field", "names"),
        [
            ("legalName", "Razón social|Nombre|RAZON  SOCIAL|legalname|Legal Name|legal_name"),
            ("legalName", "Denominación social|Denominación o razón social|Nombre receptor|Razón social receptor"),
            ("taxId", "RFC|R.F.C.|rfc|RFC receptor|Tax Id"),
            ("taxSystem", "Régimen|Régimen fiscal|Régimen fiscal receptor|Régimen (fiscal)|REGIMEN"),
            ("defaultInvoiceUse", "Uso de CFDI|Uso CFDI|uso"),
            ("email", "Correo|Email|E-mail|Correo electrónico|Correo de facturación|Correo receptor"),
            ("phone", "Teléfono|TELEFONO|Tel.|Celular|Móvil"),
            ("address.street", "Calle|address.street|Address Street"),
            ("address.exterior", "Número exterior|No. exterior|Nº exterior|Núm. ext."),
            ("address.interior", "Número interior|No. interior"),
            ("address.neighborhood", "Colonia"),
            ("address.city", "Localidad|Ciudad"),
            ("address.municipality", "Municipio"),
            ("address.zip", "Código postal|CP|C.P.|Domicilio fiscal receptor"),
            ("address.state", "Estado|Entidad federativa"),
            ("address.country", "País|Pais"),
            ("externalId", "Id externo|EXTERNALID|Clave de cliente|Número de cliente"),
            ("metadata. Mi Grupo ", " Metadata. Mi Grupo "),
            ("reason", "reason| Reason "),
            (None, "|Notas|metadata.|id|\0rfc|rfc;correo|\udcd1"),
        ],
    )
    def test_names(self, field: str | None, names: str) -> None:
        assert {field_of(name) for name in names.split("|")} == {field}

    @pytest.mark.parametrize(
        ("header", "cells"),
        [
            ("taxId,phone\n", "A,B"),
            ("taxId;phone\n", "A;B"),
            ("taxId\tphone\r\n", "A\tB"),
            ('"taxId";"phone"\n', "A;B"),
            ('"taxId", "phone"\n', None),
            ("sep=;\ntaxId;phone\n", "A;B"),
            ('SEP=,;;\r"tax\nId","metadata.a;b;c;d"\r\n', "A,"),
            ('taxId,phone,"metadata.;;;;\t\t\t\t"\n', "A,B"),
            ("sep=|\ntaxId|phone\n", None),
            ("\n , ;\r\n\ntaxId;phone;;\n", "A;B;;;"),
            ("taxId;;phone\n", "A;;B"),
            ("taxId;reason;phone\n", "A;x;B"),
        ],
    )
    def test_separators(self, header: str, cells: str | None) -> None:
        if cells is None:
            with pytest.raises(Unreadable):
                read(header.encode(), "csv")
            return
        (row,) = read(f"{header}{cells}\n".encode(), "csv")
        phone = {"phone": "B"} if "B" in cells else {}
        assert row.body == {"address": {}, "taxId": "A", **phone}

    def test_all_unknown_columns_are_named_at_once(self) -> None:
        with pytest.raises(Unreadable, match="Columns 1, 3 of the header are none of these"):
            read(b"x,phone,y\n", "csv")
        with pytest.raises(Unreadable, match=r"19, 20, … of the header are none of these") as caught:
            read(b"x," * 100_000 + b"\n", "csv")
        assert len(str(caught.value)) < 1000

    @pytest.mark.parametrize("lines", [b"\n", b"x\n", b"\r"])
    def test_one_that_does_not_end(self, lines: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in (rows, sheets):
            monkeypatch.setattr(module, "MAXIMUM_LINE", 10_000)
        for text in (b'"legalName' + lines * (11_000 // len(lines)), b'"legalName' + lines, b"x" * 10_001):
            with pytest.raises(Unreadable, match="The header is not a line of a CSV"):
                read(text, "csv")

    def test_no_file_is_read_whole_for_it(self) -> None:
        stream = io.BytesIO(b'"legalName' + b"x\n" * 2_000_000)
        with pytest.raises(Unreadable), sheets.reading(stream, {}, print):
            pass
        assert stream.tell() < 1_100_000

    def test_tens_of_thousands_of_columns(self) -> None:
        names = [f"metadata.{number}" for number in range(60_000)]
        with pytest.raises(Unreadable, match="Column 60001 of the header is a duplicate: column 1 is"):
            read(",".join([*names, names[0]]).encode(), "csv")

    def test_an_export_needs_no_word(self) -> None:
        notes: list[str] = []
        assert read(written([new_customer(metadata={"k": "Ñ"})], "csv"), "csv", notes)
        assert notes == []


class TestDamage:
    """What a spreadsheet does to a cell is found, and the mark says that it is meant."""

    @pytest.mark.parametrize(
        ("column", "cell", "code"),
        [
            *(("externalId", cell, "garbled-text") for cell in DAMAGED[-4:]),
            *(("externalId", cell, "shortened-number") for cell in DAMAGED[:-4]),
            ("metadata.k", "5.5E+09", "shortened-number"),
            ("metadata.k", "2.0", None),
            ("address.exterior", "142.0", "shortened-number"),
            *(
                ("externalId", cell, None)
                for cell in ("5E9", "1.5", "5.5E-09", "A5E+09", "SÃO", "Ñ", "1.0.0", "0", "Ã")
            ),
            ("address.zip", "6600", "lost-zero"),
            ("address.zip", "6600.0", "lost-zero"),
            ("address.zip", "06600,00", "lost-zero"),
            ("address.zip", "86500.0", "shortened-number"),
            *(("address.zip", cell, None) for cell in ("06600", "660", "66000", "660A", "")),
        ],
    )
    def test_a_cell(self, column: str, cell: str, code: str | None) -> None:
        found = cells.findings({column: cell})
        assert [each.code for each in found] == ([code] if code else [])
        assert cells.findings({column: f"'{cell}"}) == ()
        assert all(each.path == f"/{column.replace('.', '/')}" for each in found)

    @pytest.mark.parametrize(
        ("country", "code"),
        [("", "lost-zero"), ("mex", "lost-zero"), (" MEX", "lost-zero"), ("CHE", None), ("x", None)],
    )
    def test_zips_of_four_digits_are_right_elsewhere(self, country: str, code: str | None) -> None:
        found = cells.findings({"address.zip": "8001", "address.country": country})
        assert [each.code for each in found] == ([code] if code else [])


@pytest.mark.parametrize("name", ["a", "-", "a.gz", "a.txt", "csv"])
def test_a_name_may_say_no_format(name: str) -> None:
    assert format_of(name) is None


def test_a_name_says_the_format() -> None:
    for suffix, form in FORMATS.items():
        assert format_of(f"some/a.b{suffix}") == format_of(f"a{suffix}.gz") == form
        assert format_of(f"A{suffix.upper()}.GZ") == form


def test_a_header_cell_of_many_accents_takes_little_time() -> None:
    started = time.process_time()
    assert not is_known("a" + "\u0301\u0316" * 20_000, {})
    assert time.process_time() - started < 0.5
