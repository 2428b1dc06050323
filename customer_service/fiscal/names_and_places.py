"""The SAT's catalogues as data: the Spanish names of its codes, and the place of each zip.

`make catalogues` writes the file. The first call reads it, which takes some milliseconds.
"""

from __future__ import annotations

import zlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DATA = Path(__file__).with_name("names_and_places.dat")
ZIP_DIGITS = 5

Catalogue = Literal["taxSystems", "invoiceUses", "countries", "states"]


class CatalogueEntry(NamedTuple):
    """A code of a catalogue and its name."""

    code: str
    name: str


class ZipCodePlace(NamedTuple):
    """The place of a zip; many zips have no municipality, and most have no city (the SAT's c_Localidad)."""

    state: CatalogueEntry
    municipality: CatalogueEntry | None
    city: CatalogueEntry | None


class _Catalogues(NamedTuple):
    names: Mapping[Catalogue, Mapping[str, str]]
    places: Sequence[ZipCodePlace | None]
    place_numbers: bytes


def names_of(catalogue: Catalogue) -> Mapping[str, str]:
    """Return the names of a catalogue by their codes, sorted by code."""
    return _catalogues().names[catalogue]


def place_of(zip_code: str) -> ZipCodePlace | None:
    """Return the place of the zip, or None if the SAT has no such zip."""
    if len(zip_code) != ZIP_DIGITS or not (zip_code.isascii() and zip_code.isdigit()):
        return None
    _, places, place_numbers = _catalogues()
    start = 2 * int(zip_code)
    return places[int.from_bytes(place_numbers[start : start + 2], "little")]


@cache
def _catalogues() -> _Catalogues:
    _, _, packed = DATA.read_bytes().partition(b"\n")
    text, _, place_numbers = zlib.decompress(packed).partition(b"\n")
    tables = orjson.loads(text)
    states = {code: CatalogueEntry(code, name) for code, name in tables["states"].items()}
    municipalities, cities = (
        [None, *(CatalogueEntry(*each) for each in tables[name])] for name in ("municipalities", "cities")
    )
    places = [
        ZipCodePlace(states[state], municipalities[municipality], cities[city])
        for state, municipality, city in tables["places"]
    ]
    names = {name: tables[name] for name in get_args(Catalogue)}
    return _Catalogues(names, [None, *places], place_numbers)
