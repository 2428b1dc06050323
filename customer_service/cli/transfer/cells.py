"""The cells of a CSV.

None is written that a spreadsheet would run, and none is accepted that a spreadsheet has damaged.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from customer_service.cli.transfer.columns import METADATA
from customer_service.errors.findings import Finding, to_pointer
from customer_service.fiscal import rules

if TYPE_CHECKING:
    from collections.abc import Mapping

ZIP, COUNTRY = "address.zip", "address.country"
RUN = re.compile("[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")  # a cell that a spreadsheet runs (OWASP, CSV injection)
SHORTENED = re.compile(r"[0-9]+(?:[.,][0-9]+)?E\+[0-9]+")
DECIMALS = re.compile(r"[0-9]+[.,]0+")
LOST_ZERO = re.compile(r"([0-9]{4}|0[0-9]{4}(?=[.,]))(?:[.,]0+)?")
# UTF-8 that was read as Windows-1252: the first byte of a letter of Latin-1, and one of the bytes that follow it.
GARBLED = re.compile(f"[ÂÃ][{bytes(range(0x80, 0xC0)).decode('cp1252', 'ignore')}\x81\x8d\x8f\x90\x9d]|\ufffd")

DAMAGE_MESSAGES = {
    "shortened-number": "The spreadsheet shortened this number or added decimals. Write it whole, in a column of text.",
    "garbled-text": 'Letters were garbled by another encoding. Write them again, and save the file as "CSV UTF-8".',
}


def cell_of(column: str, text: str | None) -> str:
    """Return the cell for a text, with a mark if a spreadsheet would run it or an import would refuse it.

    An empty cell is no value, so an empty text needs the mark too.
    """
    if text is None:
        return ""
    return f"'{text}" if _needs_mark(column, text.lstrip("'")) else text


def trimmed(cell: str) -> str:
    """Return the cell without the spaces around it, which a sheet does not show; after a mark they are intended."""
    return cell if cell.startswith("'") else cell.strip()


def text_of(column: str, cell: str) -> str:
    """Return the text of a cell, without the mark."""
    return cell[1:] if cell.startswith("'") and _needs_mark(column, cell.lstrip("'")) else cell


def marked(cell: str) -> str:
    """Return the cell with a mark if a spreadsheet would run it."""
    return f"'{cell}" if RUN.match(cell) else cell


def findings(cells: Mapping[str, str]) -> tuple[Finding, ...]:
    """Return what a spreadsheet changed in the cells of a row, which are given by their columns."""
    codes = {column: code for column, cell in cells.items() if (code := _damage(column, cell))}
    found = {_path(column): Finding(_path(column), code, DAMAGE_MESSAGES[code]) for column, code in codes.items()}
    return tuple((found | _lost_zero(cells)).values())


def _lost_zero(cells: Mapping[str, str]) -> dict[str, Finding]:
    match = LOST_ZERO.fullmatch(cells.get(ZIP, ""))
    if match is None or (cells.get(COUNTRY) or rules.DOMESTIC).strip().upper() != rules.DOMESTIC:
        return {}
    message = f"A leading zero was lost: {match[1].zfill(5)}? Format the column as text."
    return {_path(ZIP): Finding(_path(ZIP), "lost-zero", message)}


def _path(column: str) -> str:
    part, dot, name = column.partition(".")
    return to_pointer(part) + (to_pointer(name) if dot else "")


def _needs_mark(column: str, text: str) -> bool:
    return text != text.strip() or not text or RUN.match(text) is not None or _damage(column, text) is not None


def _damage(column: str, text: str) -> str | None:
    """Return the code of what a spreadsheet did to a text, or None; a text with the mark is intended."""
    if text.startswith("'"):
        return None
    if SHORTENED.fullmatch(text) or (DECIMALS.fullmatch(text) and not column.startswith(METADATA)):
        return "shortened-number"
    return "garbled-text" if not text.isascii() and GARBLED.search(text) else None
