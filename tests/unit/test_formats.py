"""Rows of files: what is written is read back as it was, no cell is run, and what cannot be read is told."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from customer_service import changes
from customer_service.transfer import formats
from customer_service.transfer.files import FORMATS, format_of
from tests.support import new_customer

if TYPE_CHECKING:
    from customer_service.transfer.files import Format

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
DANGEROUS = "=+-@\t\r"
KEY = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="$."), min_size=1)
NAMES = tuple(name for name in changes.ALWAYS_STORED if name != "address")
CUSTOMER = st.builds(
    lambda texts, address, own: {**texts, "address": address, **{name: value for name, value in own.items() if value}},
    st.fixed_dictionaries(dict.fromkeys(NAMES, st.none() | TEXT) | {"legalName": TEXT}),
    st.fixed_dictionaries(dict.fromkeys(changes.ADDRESS_FIELDS, st.none() | TEXT)),
    st.fixed_dictionaries({"externalId": st.none() | TEXT, "metadata": st.dictionaries(KEY, TEXT)}),
)


def written(customers: list[dict[str, Any]], form: Format) -> bytes:
    stream = io.BytesIO()
    names = sorted({name for customer in customers for name in customer.get("metadata", {})})
    formats.write(customers, stream, form, names)
    return stream.getvalue()


def read(text: bytes, form: Format) -> list[formats.Row]:
    return list(formats.read(io.BytesIO(text), form))


def codes(text: bytes, form: Format) -> list[tuple[int, str | None]]:
    return [(row.line, row.finding.code if row.finding else None) for row in read(text, form)]


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
def test_what_is_written_is_read_back(customers: list[dict[str, Any]]) -> None:
    assert [row.body for row in read(written(customers, "ndjson"), "ndjson")] == customers
    rows = read(written(customers, "csv"), "csv")
    assert [row.finding for row in rows] == [None] * len(customers)
    assert [row.body for row in rows] == [stripped(customer) for customer in customers]


@given(st.lists(CUSTOMER, max_size=4))
@example([new_customer(legalName=mark, metadata={"k": mark}) for mark in DANGEROUS])
def test_no_cell_is_run(customers: list[dict[str, Any]]) -> None:
    text = written(customers, "csv").decode()
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    assert not [cell for cell in cells if cell.startswith(tuple(DANGEROUS))]


@pytest.mark.parametrize("text", ["'t Hooft", "'", "O'Brien", "'' x", "+526474010101", "-1", "=1+1"])
def test_cells_of_others_are_read_as_they_are(text: str) -> None:
    (row,) = read(f'legalName\n"{text}"\n'.encode(), "csv")
    assert row.body == {"address": {}, "legalName": "" if text == "'" else text}


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
        assert read(text, "csv") == [
            (2, {"legalName": "A", "address": {"street": "B\r\nC"}, "metadata": {"a b": "D"}}, None),
            (5, {"legalName": "E", "address": {}}, None),
        ]

    @pytest.mark.parametrize("text", [b"", b"legalName\n", b"\n", b"legalName,phone\r\n,\r\n,,,\r\n"])
    def test_nothing(self, text: bytes) -> None:
        assert read(text, "csv") == []

    def test_what_is_no_row(self) -> None:
        text = b'legalName,phone\nA\nA,B,C\nA,\xff\n"A"x,B\nA,' + b"x" * 200_000 + b"\nA,B\n"
        assert codes(text, "csv") == [
            (2, "column-count"),
            (3, "column-count"),
            (4, "invalid-encoding"),
            (5, "invalid-csv"),
            (6, "invalid-csv"),
            (7, None),
        ]

    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_a_line_that_is_too_long_is_left_out(self, end: str) -> None:
        long = "," * 10_000_000
        text = end.join(["legalName,phone", "A,", long, "B,", '"C', long, "D,"])
        told = codes(text.encode(), "csv")
        assert [line for line, code in told if code is None] == [2, 4, 7]
        assert [line for line, code in told if code == "line-too-long"] == [3, 5]

    @pytest.mark.parametrize(
        ("header", "told"),
        [
            ("legalName,Secret Name", "Column 2 of the header is none of"),
            ("metadata.", "Column 1 of the header is none of"),
            ("id", "Column 1 of the header is none of"),
            ("phone,phone", "Column 2 of the header is there twice"),
            ('"a"b', "The header is no line of a CSV"),
        ],
    )
    def test_a_wrong_header_is_told_without_what_it_says(self, header: str, told: str) -> None:
        with pytest.raises(formats.Unreadable, match=told) as caught:
            read(f"{header}\nx\n".encode(), "csv")
        assert "Secret" not in str(caught.value)

    def test_the_stream_is_left_open(self) -> None:
        stream = io.BytesIO(b"legalName\nx\n")
        list(formats.read(stream, "csv"))
        assert not stream.closed


@pytest.mark.parametrize("name", ["a", "-", "a.gz", "a.txt", "csv"])
def test_a_name_may_say_no_format(name: str) -> None:
    assert format_of(name) is None


def test_a_name_says_the_format() -> None:
    for suffix, form in FORMATS.items():
        assert format_of(f"some/a.b{suffix}") == format_of(f"a{suffix}.gz") == form
        assert format_of(f"A{suffix.upper()}.GZ") == form
