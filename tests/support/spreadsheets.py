"""Files of three customers as common spreadsheet programs save them: `FILES` makes each from the same rows."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, NamedTuple

from customer_service.cli.transfer.columns import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Rows = list[dict[str, str]]

SPANISH = {
    "legalName": "Razón social",
    "taxId": "RFC",
    "taxSystem": "Régimen fiscal",
    "email": "Correo",
    "phone": "Teléfono",
    "defaultInvoiceUse": "Uso de CFDI",
    "address.street": "Calle",
    "address.exterior": "No. exterior",
    "address.interior": "Número interior",
    "address.neighborhood": "Colonia",
    "address.city": "Localidad",
    "address.municipality": "Municipio",
    "address.zip": "Código postal",
    "address.state": "Estado",
    "address.country": "País",
    "externalId": "Id externo",
}
CUSTOMERS: Rows = [
    dict(zip(COLUMNS, cells, strict=True))
    for cells in (
        (
            *("PEÑA Y MUÑOZ", "ÑAÑ010203AB1", "601", "caja@example.com", "5512345678", "G03"),
            *('Av. Juárez 5; piso 2, "A"', "5", "", "Centro", "", "Cuauhtémoc", "06600", "Ciudad de México", "MEX"),
            "1001",
        ),
        (
            *("JESÚS GARCÍA LÓPEZ", "GALJ800101AB1", "612", "jesus@example.com", "", "G03"),
            *("Línea 1\nLínea 2", "10-A", "1", "", "", "", "83000", "Sonora", "MEX"),
            "1002",
        ),
        (
            *("PAPELERIA DEL NORTE", "PNO010203AB1", "601", "norte@example.com", "+526474010101", "G01"),
            *("", "", "", "", "", "", "64000", "", "MEX"),
            "1003",
        ),
    )
]


class File(NamedTuple):
    """A file, the options that it is imported with, and what is said of it, or None if it is imported whole."""

    data: bytes
    said: str | None = None
    options: Sequence[str] = ()


def table(rows: Rows, names: dict[str, str] | None = None) -> list[list[str]]:
    """Return the header and the cells of some customers, the columns named as given."""
    return [
        [(names or {}).get(column, column) for column in COLUMNS],
        *([row[name] for name in COLUMNS] for row in rows),
    ]


def text(lines: list[list[str]], separator: str = ",", quoting: int = csv.QUOTE_MINIMAL) -> str:
    """Return the text that a spreadsheet writes."""
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=separator, quoting=quoting).writerows(lines)  # type: ignore[arg-type]
    return stream.getvalue()


def changed(place: int, **cells: str) -> Rows:
    """Return the customers, some cells of one changed; a double underscore stands for a dot."""
    rows = [dict(row) for row in CUSTOMERS]
    rows[place] |= {name.replace("__", "."): cell for name, cell in cells.items()}
    return rows


def _untidy() -> bytes:
    header, *rows = table(CUSTOMERS, SPANISH)
    untidy = [[f"  {name.upper()} " for name in header] + ["", "", ""]]
    untidy += [[*row, "", "", ""] for row in rows]
    untidy.insert(2, [""] * len(untidy[0]))
    place = header.index("Id externo")
    shuffled = [[row[place], *row[:place], *row[place + 1 :]] for row in untidy]
    while shuffled[-1][-1] == "":
        shuffled[-1].pop()
    return text(shuffled, ";").encode("cp1252")


def _two_line_header() -> bytes:
    header, *rows = table(CUSTOMERS, SPANISH)
    return ("\r\n;;\r\n" + text([[name.replace(" ", "\n") for name in header], *rows], ";")).encode("cp1252")


def _opened_without_mark(encoding: str) -> bytes:
    """Return UTF-8 that a spreadsheet took for Windows-1252, saved in this encoding."""
    raw = text(table(CUSTOMERS)).encode()
    garbled = "".join(bytes([byte]).decode("cp1252", "replace").replace("\ufffd", chr(byte)) for byte in raw)
    if encoding == "utf-8-sig":
        return garbled.encode(encoding)
    return b"".join(bytes([ord(each)]) if 0x7F < ord(each) < 0xA0 else each.encode(encoding) for each in garbled)


def _two_encodings() -> bytes:
    lines = table(CUSTOMERS)
    return text(lines[:2]).encode("cp1252") + text(lines[2:]).encode()


SPANISH_TABLE = table(CUSTOMERS, SPANISH)
OWN = {**SPANISH, "legalName": "Cliente", "taxId": "Clave fiscal"}
FILES: dict[str, Callable[[], File]] = {
    "Windows, Spanish": lambda: File(text(SPANISH_TABLE, ";").encode("cp1252")),
    "CSV UTF-8": lambda: File(text(SPANISH_TABLE).encode("utf-8-sig")),
    "CSV UTF-8, Spanish": lambda: File(text(SPANISH_TABLE, ";").encode("utf-8-sig")),
    "Unicode text": lambda: File(b"\xff\xfe" + text(SPANISH_TABLE, "\t").encode("utf-16-le")),
    "Unicode text, big endian": lambda: File(b"\xfe\xff" + text(SPANISH_TABLE, "\t").encode("utf-16-be")),
    "text with tabs": lambda: File(text(SPANISH_TABLE, "\t").encode("cp1252")),
    "carriage returns alone": lambda: File(text(SPANISH_TABLE).replace("\r\n", "\r").encode()),
    "sep=": lambda: File(b"sep=;\r\n" + text(SPANISH_TABLE, ";").encode("cp1252")),
    "sep= in quotes": lambda: File(b'\xef\xbb\xbf"sep=;";;;\r\n' + text(SPANISH_TABLE, ";").encode()),
    "every cell quoted": lambda: File(text(SPANISH_TABLE, ",", csv.QUOTE_ALL).replace("\r\n", "\n").encode()),
    "untidy": lambda: File(_untidy()),
    "a header of two lines": lambda: File(_two_line_header()),
    "own names": lambda: File(
        text(table(CUSTOMERS, OWN), ";").encode("cp1252"),
        options=("--column", "cliente=legalName", "--column", "Clave fiscal=RFC"),
    ),
    "an export saved by a spreadsheet": lambda: File(
        text(table(changed(2, phone="'+526474010101")), ";").encode("cp1252")
    ),
    "no mark, saved as it was": lambda: File(_opened_without_mark("cp1252")),
    "no mark, saved as CSV UTF-8": lambda: File(_opened_without_mark("utf-8-sig"), "/legalName garbled-text"),
    "a lost zero": lambda: File(
        text(table(changed(0, address__zip="6600"), SPANISH)).encode(), "A leading zero was lost: 06600?"
    ),
    "a decimal zip": lambda: File(
        text(table(changed(0, address__zip="06600.0"))).encode(), "A leading zero was lost: 06600?"
    ),
    "a shortened phone": lambda: File(
        text(table(changed(0, phone="5.51235E+09"))).encode(), "/phone shortened-number The spreadsheet shortened"
    ),
    "a shortened phone, Spanish": lambda: File(
        text(table(changed(0, phone="5,51235E+09")), ";").encode(), "/phone shortened-number The spreadsheet shortened"
    ),
    "a decimal phone": lambda: File(text(table(changed(0, phone="5512345678.0"))).encode(), "/phone shortened-number"),
    "a decimal id": lambda: File(text(table(changed(2, externalId="1003,0")), ";").encode(), "/externalId shortened"),
    "Mac": lambda: File(text(table(CUSTOMERS)).encode("mac-roman"), "/ invalid-encoding Save the file as"),
    "DOS": lambda: File(text(table(CUSTOMERS)).encode("cp850"), "/ invalid-encoding Save the file as"),
    "DOS, Spanish": lambda: File(text(SPANISH_TABLE).encode("cp850"), 'save the file as "CSV UTF-8"'),
    "two encodings": lambda: File(_two_encodings(), "/ invalid-encoding Save the file as"),
    "UTF-16 without a mark": lambda: File(text(SPANISH_TABLE).encode("utf-16-le"), 'save the file as "CSV UTF-8"'),
    "two columns of one field": lambda: File(
        text(table(CUSTOMERS, {**SPANISH, "address.city": "Correo electrónico"})).encode(),
        "Column 11 of the header is a duplicate: column 4 is email too.",
    ),
    "no header": lambda: File(text(SPANISH_TABLE[1:]).encode(), "of the header are none of these"),
    "a separator in a cell": lambda: File(
        text(SPANISH_TABLE).replace('"Av. Juárez 5; piso 2, ""A"""', "Av. Juárez 5, piso 2").encode(), "/ column-count"
    ),
}
