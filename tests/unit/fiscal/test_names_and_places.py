"""The SAT's catalogues are complete, equal to their source, small in memory, and made of plain values."""

from __future__ import annotations

import json
import os
import pickle
import sqlite3
import subprocess
import sys
import time
import tracemalloc
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile, ZipInfo

import pytest

from customer_service.fiscal import names_and_places
from customer_service.fiscal.catalogues import COUNTRIES, USES, USES_BY_REGIME
from customer_service.fiscal.names_and_places import (
    DATA,
    CatalogueEntry,
    ZipCodePlace,
    names_of,
    place_of,
)
from customer_service.fiscal.states import zips_of
from tests.support.server import ROOT, environment_of
from tests.tools import catalogue_maker

if TYPE_CHECKING:
    from pathlib import Path

HEAD = json.loads(DATA.read_bytes().partition(b"\n")[0])
ZIPS = [f"{number:05}" for number in range(catalogue_maker.ZIP_NUMBERS)]
BEYOND: dict[str, dict[Any, Any]] = {
    "RegimenFiscal": {"609": "Consolidación"},
    "UsoCFDI": {"P01": "Por definir"},
    "Pais": {"ZZZ": "Países no declarados"},
    "Estado": {"DIF": ["MEX", "Distrito Federal"], "TX": ["USA", "Texas"]},
    "CodigoPostal": {"00000": ["TLA", "000", "00", "0", "Tiempo del Centro"]},
}
"""What the SAT's catalogues have and the service leaves out."""


class TestNames:
    def test_names_exist_for_exactly_the_accepted_codes(self) -> None:
        assert list(names_of("taxSystems")) == sorted(USES_BY_REGIME)
        assert list(names_of("invoiceUses")) == sorted(USES)
        assert list(names_of("countries")) == sorted(COUNTRIES)
        assert len(names_of("states")) == 32
        assert "DIF" not in names_of("states")

    def test_are_spanish(self) -> None:
        assert names_of("taxSystems")["601"] == "General de Ley Personas Morales"
        assert names_of("invoiceUses")["D10"] == "Pagos por servicios educativos (colegiaturas)"
        assert names_of("countries")["MEX"] == "México"
        assert names_of("states")["CMX"] == "Ciudad de México"
        for catalogue in ("taxSystems", "invoiceUses", "countries", "states"):
            names = names_of(catalogue).values()
            assert all(name == " ".join(name.split()) != "" for name in names)
            assert len(set(names)) == len(names)

    def test_each_state_is_known_by_its_code_and_its_name(self) -> None:
        for code, name in names_of("states").items():
            assert zips_of(code) == zips_of(name) is not None


class TestPlaces:
    def test_every_zip_has_the_place_of_the_source(self) -> None:
        """The head's digest comes from the source's rows, and never went through what is packed."""
        lines, count = sha256(), 0
        for zip_code in ZIPS:
            if place := place_of(zip_code):
                state, *others = place
                named = (state, *(each or CatalogueEntry("", "") for each in others))
                codes, names = ([each[part] for each in named] for part in (0, 1))
                lines.update(f"{'|'.join((zip_code, *codes, *names))}\n".encode())
                count += 1
        assert (count, lines.hexdigest()) == (95_748, HEAD["sha256"])

    def test_the_head_names_the_source(self) -> None:
        assert set(HEAD) == {"source", "date", "zips", "sha256"}
        assert HEAD["zips"] == 95_748
        assert "satcfdi" in HEAD["source"]

    def test_the_number_of_zips_is_that_of_the_source(self) -> None:
        places = [place for zip_code in ZIPS if (place := place_of(zip_code))]
        assert sum(place.municipality is not None for place in places) == 32_791
        assert sum(place.city is not None for place in places) == 12_241
        assert len({(place.state, place.municipality) for place in places if place.municipality}) == 2_463
        assert len({(place.state, place.city) for place in places if place.city}) == 659
        assert {place.state.code for place in places} == set(names_of("states"))

    def test_known_zips_have_their_places(self) -> None:
        cardenas = ZipCodePlace(
            CatalogueEntry("TAB", "Tabasco"), CatalogueEntry("002", "Cárdenas"), CatalogueEntry("01", "Cárdenas")
        )
        assert place_of("86500") == cardenas
        assert place_of("01001") == ZipCodePlace(CatalogueEntry("CMX", "Ciudad de México"), None, None)
        assert place_of("68318") == ZipCodePlace(CatalogueEntry("NAY", "Nayarit"), None, None)

    @pytest.mark.parametrize(
        "zip_code", ["", "8650", "865000", "٨٦٥٠٠", "²²²²²", "+8650", " 8650", "86500\n", "8_500", "00000", "17000"]
    )
    def test_unknown_zips_have_no_place(self, zip_code: str) -> None:
        assert place_of(zip_code) is None


class TestCost:
    @pytest.mark.timed
    def test_reading_the_file_takes_milliseconds_and_a_look_up_next_to_nothing(self) -> None:
        script = (
            "from tests.unit.fiscal.test_names_and_places import *;"
            "print(min(cost_of_reading() for _ in range(5)), min(cost_of_all_look_ups() for _ in range(3)))"
        )
        environment = environment_of(traced=False)  # coverage would make a look-up five times as slow
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, cwd=ROOT, capture_output=True, check=True
        )
        reading, look_ups = map(float, done.stdout.split())
        assert reading < 0.02
        assert look_ups / len(ZIPS) < 2e-6

    def test_it_takes_little_memory(self) -> None:
        names_and_places._catalogues.cache_clear()
        tracemalloc.start()
        place_of("86500")
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert kept < 1_500_000

    def test_nothing_is_read_before_it_is_needed(self) -> None:
        module = "customer_service.fiscal.names_and_places"
        source = f"import customer_service.app, {module} as n; print(n._catalogues.cache_info())"
        output = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True).stdout
        assert "currsize=0" in output


class TestMaking:
    """A wheel of what the service answers, and of what it leaves out, makes the very file that the service has."""

    def test_the_maker_writes_the_same_file(self, tmp_path: Path) -> None:
        source = catalogue_maker.read(wheel(tmp_path, tables()))
        assert catalogue_maker.pack(source) == DATA.read_bytes()

    def test_a_code_without_a_name_is_an_error(self, tmp_path: Path) -> None:
        without = tables() | {"Pais": {code: name for code, name in tables()["Pais"].items() if code != "MEX"}}
        with pytest.raises(KeyError, match="MEX"):
            catalogue_maker.pack(catalogue_maker.read(wheel(tmp_path, without)))

    @pytest.mark.parametrize(
        "hostile", [os.getcwd, CatalogueEntry("601", "x"), {1, 2}.__class__, sqlite3.Row], ids=repr
    )
    def test_objects_are_not_unpickled(self, tmp_path: Path, hostile: object) -> None:
        with pytest.raises(pickle.UnpicklingError, match="no plain value"):
            catalogue_maker.read(wheel(tmp_path, {name: {} for name in tables()} | {"Pais": {"MEX": hostile}}))


def cost_of_reading() -> float:
    """Return the seconds of processor that the first look-up takes."""
    names_and_places._catalogues.cache_clear()
    began = time.process_time()
    place_of("86500")
    return time.process_time() - began


def cost_of_all_look_ups() -> float:
    """Return the seconds of processor that looking up every zip takes."""
    began = time.process_time()
    for zip_code in ZIPS:
        place_of(zip_code)
    return time.process_time() - began


@cache
def tables() -> dict[str, dict[Any, Any]]:
    """Return the catalogues as satcfdi has them, of what the service answers and of what it leaves out."""
    made: dict[str, dict[Any, Any]] = {
        "RegimenFiscal": dict(names_of("taxSystems")),
        "UsoCFDI": dict(names_of("invoiceUses")),
        "Pais": dict(names_of("countries")),
        "Estado": {code: ["MEX", name] for code, name in names_of("states").items()},
        "Municipio": {},
        "Localidad": {},
        "CodigoPostal": {},
    }
    for zip_code in ZIPS:
        if place := place_of(zip_code):
            (state, _), *parts = place
            for name, part in zip(("Municipio", "Localidad"), parts, strict=True):
                if part:
                    made[name][part.code, state] = part.name
            made["CodigoPostal"][zip_code] = [state, *(part.code if part else "" for part in parts), "0", "Tiempo"]
    for name, others in BEYOND.items():
        made[name] |= others
    return made


def wheel(directory: Path, made: dict[str, dict[Any, Any]]) -> Path:
    """Return the path of a wheel that holds these catalogues, of the shipped file's version and day."""
    with sqlite3.connect(":memory:") as connection:
        for name, rows in made.items():
            connection.execute(f"CREATE TABLE C756_c_{name} (key BLOB PRIMARY KEY, value BLOB)")
            pickled = ((pickle.dumps(key, 4), pickle.dumps(value, 4)) for key, value in rows.items())
            connection.executemany(f"INSERT INTO C756_c_{name} VALUES (?, ?)", pickled)  # noqa: S608 - as above
        connection.commit()
        database = connection.serialize()
    version = HEAD["source"].split("satcfdi ")[1].split()[0]
    year, month, day = map(int, HEAD["date"].split("-"))
    path = directory / f"satcfdi-{version}-py3-none-any.whl"
    with ZipFile(path, "w") as archive:
        archive.writestr(ZipInfo(catalogue_maker.DATABASE, (year, month, day, 0, 0, 0)), database)
    return path
