"""The SAT's catalogues over HTTP: any valid token may read them, and clients cache them for a day."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pytest

from customer_service.fiscal.catalogues import COUNTRIES, USES_BY_REGIME
from customer_service.fiscal.names_and_places import names_of
from tests.support import EXAMPLE, STRANGER, Service, bearer, findings, problem

if TYPE_CHECKING:
    from werkzeug.test import TestResponse

LISTS = ["/catalogs/tax-systems", "/catalogs/invoice-uses", "/catalogs/countries", "/catalogs/states"]
PATHS = [*LISTS, "/catalogs/zip-codes/86500", "/catalogs/invoice-uses?taxSystem=601"]
COMPANY, PERSON, PUBLIC = "SAT970701NN3", "GODE561231GR8", "XAXX010101000"
CARDENAS = {
    "zip": "86500",
    "state": {"code": "TAB", "name": "Tabasco"},
    "municipality": {"code": "002", "name": "Cárdenas"},
    "city": {"code": "01", "name": "Cárdenas"},
}


@pytest.fixture
def kind() -> str:
    """The kind of database that every test runs on: none changes the results."""
    return "mongomock"


def get(service: Service, path: str, subject: str = STRANGER, **headers: str) -> TestResponse:
    """Ask as a caller who is a member of no organization."""
    return service.client.get(path, headers=bearer(subject) | headers)


def data(service: Service, path: str) -> list[dict[str, Any]]:
    response = get(service, path)
    assert response.status_code == 200, response.text
    answer = response.get_json()
    assert set(answer) == {"data"}
    entries: list[dict[str, Any]] = answer["data"]
    return entries


class TestOrder:
    """401, then 404 and 422."""

    @pytest.mark.parametrize("path", [*PATHS, "/catalogs/zip-codes/x", "/catalogs/invoice-uses?x=1"])
    @pytest.mark.parametrize("base", ["", "/api"])
    def test_no_answer_without_a_token(self, service: Service, base: str, path: str) -> None:
        problem(service.client.get(base + path), 401, "authentication-required")
        response = service.client.get(base + path, headers={"Authorization": "Bearer x"})
        problem(response, 401, "invalid-token")
        assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
        assert response.headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    @pytest.mark.parametrize("path", PATHS)
    def test_only_reading(self, service: Service, path: str, method: str) -> None:
        response = service.client.open(path, method=method, headers=bearer())
        problem(response, 405, "method-not-allowed")
        assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD"}


class TestCaching:
    @pytest.mark.parametrize("path", PATHS)
    @pytest.mark.parametrize("base", ["", "/api"])
    def test_for_a_day_and_then_by_the_etag(self, service: Service, base: str, path: str) -> None:
        first = get(service, base + path)
        assert first.headers["Cache-Control"] == "private, max-age=86400"
        again = get(service, base + path, **{"If-None-Match": f'"x", {first.headers["ETag"]}'})
        assert (again.status_code, again.data) == (304, b"")
        for name in ("ETag", "Cache-Control", "Vary", "X-Content-Type-Options"):
            assert again.headers[name] == first.headers[name]
        assert get(service, base + path, **{"If-None-Match": '"x"'}).data == first.data

    @pytest.mark.parametrize("path", PATHS)
    def test_head(self, service: Service, path: str) -> None:
        found = get(service, path)
        head = service.client.head(path, headers=bearer(STRANGER))
        assert (head.status_code, head.data) == (200, b"")
        for name in ("ETag", "Cache-Control", "Content-Length", "Content-Type", "Vary"):
            assert head.headers[name] == found.headers[name]

    def test_what_is_large_is_compressed_under_an_etag_of_its_own(self, service: Service) -> None:
        plain = get(service, "/catalogs/countries")
        packed = get(service, "/catalogs/countries", **{"Accept-Encoding": "gzip"})
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.data) == plain.data
        assert packed.headers["ETag"] != plain.headers["ETag"]
        same = {"Accept-Encoding": "gzip", "If-None-Match": packed.headers["ETag"]}
        assert get(service, "/catalogs/countries", **same).status_code == 304

    def test_different_catalogues_differ(self, service: Service) -> None:
        assert len({get(service, path).headers["ETag"] for path in PATHS}) == len(PATHS)


class TestTaxSystems:
    def test_each_with_who_may_have_it(self, service: Service) -> None:
        entries = data(service, "/catalogs/tax-systems")
        assert [each["code"] for each in entries] == sorted(USES_BY_REGIME)
        assert entries[0] == {
            "code": "601",
            "name": "General de Ley Personas Morales",
            "companies": True,
            "persons": False,
        }
        by_code = {each["code"]: (each["companies"], each["persons"]) for each in entries}
        assert (by_code["605"], by_code["610"], by_code["616"]) == ((False, True), (True, True), (False, True))
        assert {each["code"]: each["name"] for each in entries} == names_of("taxSystems")


class TestInvoiceUses:
    def test_each_with_its_tax_systems(self, service: Service) -> None:
        entries = data(service, "/catalogs/invoice-uses")
        assert {each["code"]: each["name"] for each in entries} == names_of("invoiceUses")
        cells = {(regime, each["code"]) for each in entries for regime in each["taxSystems"]}
        assert cells == {(regime, use) for regime, uses in USES_BY_REGIME.items() for use in uses}
        assert all(each["taxSystems"] == sorted(each["taxSystems"]) for each in entries)

    @pytest.mark.parametrize("regime", USES_BY_REGIME)
    def test_of_a_tax_system(self, service: Service, regime: str) -> None:
        codes = [each["code"] for each in data(service, f"/catalogs/invoice-uses?taxSystem={regime}")]
        assert codes == sorted(USES_BY_REGIME[regime])

    @pytest.mark.parametrize(
        ("query", "some", "without"),
        [
            (f"taxId={COMPANY}", {"G01", "S01"}, {"D01", "CN01"}),
            (f"taxId={PERSON}", {"G01", "D01", "CN01"}, set()),
            (f"taxId={PERSON}&taxSystem=605", {"D01", "CN01"}, {"G01"}),
            (f"taxId=%20{COMPANY.lower()}", {"G01"}, {"D01"}),
            (f"taxId={PUBLIC}", {"S01", "CP01", "G02"}, {"G01", "D01"}),
        ],
    )
    def test_of_a_receiver(self, service: Service, query: str, some: set[str], without: set[str]) -> None:
        codes = {each["code"] for each in data(service, f"/catalogs/invoice-uses?{query}")}
        assert codes >= some
        assert not codes & without

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("taxSystem=999", [("/taxSystem", "unknown-tax-system")]),
            ("taxSystem=", [("/taxSystem", "unknown-tax-system")]),
            ("taxSystem=609", [("/taxSystem", "unknown-tax-system")]),
            (f"taxSystem=605&taxId={COMPANY}", [("/taxSystem", "tax-system-not-allowed")]),
            (f"taxSystem=601&taxId={PERSON}", [("/taxSystem", "tax-system-not-allowed")]),
            (f"taxSystem=601&taxId={PUBLIC}", [("/taxSystem", "tax-system-not-allowed")]),
            ("taxId=", [("/taxId", "invalid-rfc")]),
            ("taxId=X&taxSystem=x", [("/taxId", "invalid-rfc"), ("/taxSystem", "unknown-tax-system")]),
            ("taxSystem=601&taxSystem=601", [("/taxSystem", "repeated-parameter")]),
            ("legalName=X", [("/legalName", "unknown-parameter")]),
            ("address=X", [("/address", "unknown-parameter")]),
        ],
    )
    def test_refused(self, service: Service, query: str, found: list[tuple[str, str]]) -> None:
        assert findings(get(service, f"/catalogs/invoice-uses?{query}")) == found


class TestCountriesAndStates:
    def test_countries(self, service: Service) -> None:
        entries = data(service, "/catalogs/countries")
        assert [each["code"] for each in entries] == sorted(COUNTRIES)
        assert {"code": "MEX", "name": "México"} in entries

    def test_states(self, service: Service) -> None:
        entries = data(service, "/catalogs/states")
        assert len(entries) == 32
        assert {"code": "CMX", "name": "Ciudad de México"} in entries
        assert "DIF" not in {each["code"] for each in entries}


class TestZipCodes:
    @pytest.mark.parametrize("base", ["", "/api"])
    def test_with_a_municipality_and_a_city(self, service: Service, base: str) -> None:
        assert EXAMPLE["address"]["zip"] == CARDENAS["zip"]  # type: ignore[index]
        assert get(service, f"{base}/catalogs/zip-codes/86500").get_json() == CARDENAS

    def test_with_a_state_alone(self, service: Service) -> None:
        found = get(service, "/catalogs/zip-codes/01001").get_json()
        state = {"code": "CMX", "name": "Ciudad de México"}
        assert found == {"zip": "01001", "state": state, "municipality": None, "city": None}

    @pytest.mark.parametrize(
        "zip_code", ["00000", "17000", "8650", "865000", "x", "%00", "%FF", "%D9%A8", "86500%0A", "9" * 5_000]
    )
    def test_none(self, service: Service, zip_code: str) -> None:
        problem(get(service, f"/catalogs/zip-codes/{zip_code}"), 404, "zip-code-not-found")

    @pytest.mark.parametrize("path", ["/catalogs", "/catalogs/zip-codes", "/catalogs/zip-codes/", "/catalogs/x"])
    def test_no_such_path(self, service: Service, path: str) -> None:
        problem(get(service, path), 404, "not-found")
