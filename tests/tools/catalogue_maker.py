"""Write the SAT's catalogues into the package, from a wheel of satcfdi: `make catalogues`."""

from __future__ import annotations

import io
import json
import pickle
import sqlite3
import sys
import zlib
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

from customer_service.fiscal.catalogues import COUNTRIES, USES, USES_BY_REGIME
from customer_service.fiscal.names_and_places import DATA

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

ZIP_NUMBERS = 100_000
DATABASE = "satcfdi/catalogs/catalogs.db"
OLD_FEDERAL_DISTRICT = "DIF"
OF_NO_PLACE = "00000"  # its municipality and locality are in none of the SAT's own catalogues


class PlainUnpickler(pickle.Unpickler):
    """Unpickles strings, numbers and their containers, and nothing that runs code or needs an import."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        """Raise UnpicklingError: no plain value needs a class."""
        raise pickle.UnpicklingError(f"{module_name}.{global_name} is no plain value")


@dataclass(frozen=True, slots=True)
class Source:
    """The catalogues of CFDI 4.0 as a wheel has them, by their names at the SAT; `day` is the one of its database."""

    version: str
    day: date
    catalogues: Mapping[str, Mapping[Any, Any]]

    def names(self, catalogue: str, codes: Collection[str]) -> dict[str, str]:
        """Return the names of these codes; raises KeyError for a code that the SAT does not have."""
        return {code: self.catalogues[catalogue][code] for code in sorted(codes)}

    def states(self) -> dict[str, str]:
        """Return the names of Mexico's states, each under one code."""
        states = self.catalogues["Estado"].items()
        return {code: name for code, (country, name) in states if country == "MEX" and code != OLD_FEDERAL_DISTRICT}

    def places(self) -> dict[str, tuple[str, str, str]]:
        """Return the state, the municipality and the locality of each zip, empty if the SAT gives none."""
        zips = sorted(self.catalogues["CodigoPostal"].items())
        return {zip_code: tuple(values[:3]) for zip_code, values in zips if zip_code != OF_NO_PLACE}

    def digest(self) -> str:
        """Return the digest of every zip with its codes and names, worked out apart from how they are packed."""
        lines = sha256()
        municipalities, localities = self.catalogues["Municipio"], self.catalogues["Localidad"]
        for zip_code, (state, municipality, locality) in self.places().items():
            names = (
                self.states()[state],
                municipalities[municipality, state] if municipality else "",
                localities[locality, state] if locality else "",
            )
            lines.update(f"{'|'.join((zip_code, state, municipality, locality, *names))}\n".encode())
        return lines.hexdigest()


def read(wheel: Path) -> Source:
    """Return what the wheel has."""
    with ZipFile(wheel) as archive, sqlite3.connect(":memory:") as connection:
        connection.deserialize(archive.read(DATABASE))
        names = ("RegimenFiscal", "UsoCFDI", "Pais", "Estado", "Municipio", "Localidad", "CodigoPostal")
        catalogues = {name: _rows(connection, name) for name in names}
        year, month, day = archive.getinfo(DATABASE).date_time[:3]
    return Source(wheel.name.split("-")[1], date(year, month, day), catalogues)


def pack(source: Source) -> bytes:
    """Return the file that the service reads: a line of JSON for people, then what `names_and_places` unpacks."""
    places = source.places()
    head = {
        "source": f"the SAT's catalogues of CFDI 4.0, from satcfdi {source.version} (PyPI, MIT)",
        "date": source.day.isoformat(),
        "zips": len(places),
        "sha256": source.digest(),
    }
    municipalities = _numbered({(code, state) for state, code, _ in places.values() if code})
    cities = _numbered({(code, state) for state, _, code in places.values() if code})
    numbers = _numbered(set(places.values()))
    tables = {
        "taxSystems": source.names("RegimenFiscal", USES_BY_REGIME),
        "invoiceUses": source.names("UsoCFDI", USES),
        "countries": source.names("Pais", COUNTRIES),
        "states": source.states(),
        "municipalities": [(code, source.catalogues["Municipio"][code, state]) for code, state in municipalities],
        "cities": [(code, source.catalogues["Localidad"][code, state]) for code, state in cities],
        "places": [
            (state, municipalities.get((municipality, state), 0), cities.get((city, state), 0))
            for state, municipality, city in numbers
        ],
    }
    of_zips = (numbers.get(places.get(f"{zip_number:05}", ("", "", "")), 0) for zip_number in range(ZIP_NUMBERS))
    body = _json(tables) + b"".join(number.to_bytes(2, "little") for number in of_zips)
    return _json(head) + zlib.compress(body, 9)


def _numbered(keys: Collection[Any]) -> dict[Any, int]:
    """Return the place of each key in their order, from 1: 0 stands for none."""
    return {key: number for number, key in enumerate(sorted(keys), 1)}


def _rows(connection: sqlite3.Connection, name: str) -> dict[Any, Any]:
    rows = connection.execute(f"SELECT key, value FROM C756_c_{name}")  # noqa: S608 - the name is one of `read`'s
    return {_plain(key): _plain(value) for key, value in rows}


def _plain(pickled: bytes) -> Any:
    return PlainUnpickler(io.BytesIO(pickled)).load()


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def main(wheel: Path) -> None:
    """Write the file, and print its first line."""
    packed = pack(read(wheel))
    DATA.write_bytes(packed)
    sys.stdout.write(packed[: packed.index(b"\n") + 1].decode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
