"""The tax authority's rules: each cell of its tables, and the edges of each format."""

from __future__ import annotations

import copy
import string
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from stdnum.mx import rfc as stdnum_rfc

from customer_service.errors.findings import Finding
from customer_service.fiscal import catalogues, rules, states
from customer_service.fiscal.characters import comparable, plain_spaces, without_html_entities, without_mojibake
from customer_service.fiscal.names_and_places import place_of
from customer_service.fiscal.rules import normalized, unique_keys
from tests.tools.catalogue_maker import ZIP_NUMBERS

if TYPE_CHECKING:
    from collections.abc import Callable

GENERIC_DOMESTIC, GENERIC_FOREIGN = "XAXX010101000", "XEXX010101000"
COMPANY = "SAT970701NN3"  # the tax authority itself
PERSON = "GODE561231GR8"  # its own example

# The table as the SAT's catalogues have it, a row for each use: written here again, on purpose.
COMPANIES = ["601", "603", "610", "620", "622", "623", "624", "626"]
PEOPLE = ["605", "606", "607", "608", "610", "611", "612", "614", "615", "616", "621", "625", "626"]
ALL_REGIMES = sorted({*COMPANIES, *PEOPLE})
OF_BUSINESS = "601 603 606 612 620 621 622 623 624 625 626"
OF_DEDUCTIONS = "605 606 607 608 611 612 614 615 625"
REGIMES_BY_USE = {
    "G01": OF_BUSINESS,
    "G02": f"{OF_BUSINESS} 616",
    "G03": OF_BUSINESS,
    "I01": OF_BUSINESS,
    "I02": OF_BUSINESS,
    "I03": OF_BUSINESS,
    "I04": OF_BUSINESS,
    "I05": OF_BUSINESS,
    "I06": OF_BUSINESS,
    "I07": OF_BUSINESS,
    "I08": OF_BUSINESS,
    "D01": OF_DEDUCTIONS,
    "D02": OF_DEDUCTIONS,
    "D03": OF_DEDUCTIONS,
    "D04": OF_DEDUCTIONS,
    "D05": OF_DEDUCTIONS,
    "D06": OF_DEDUCTIONS,
    "D07": OF_DEDUCTIONS,
    "D08": OF_DEDUCTIONS,
    "D09": OF_DEDUCTIONS,
    "D10": OF_DEDUCTIONS,
    "S01": " ".join(ALL_REGIMES),
    "CP01": " ".join(ALL_REGIMES),
    "CN01": "605",
}
REGIMES_BY_RECEIVER = {
    ("MEX", COMPANY): COMPANIES,
    ("MEX", PERSON): PEOPLE,
    ("MEX", GENERIC_DOMESTIC): ["616"],
    ("MEX", GENERIC_FOREIGN): ["616"],
    ("USA", "12-3456789"): ["616"],
    ("USA", COMPANY): ["616"],
    ("ESP", PERSON): ["616"],
}

OUTSIDE_STATE = ("/address/zip", "zip-outside-state")
UNKNOWN_ZIP = ("/address/zip", "unknown-zip")

HOSTILE = [
    "",
    " ",
    "\n",
    "\x00",
    "\ud800",
    "\u200b",
    "|",
    "ñ" * 10_000,
    "a" * 10_000,
    "1" * 10_000,
    "\u0301\u0327" * 5_000,
]

STATES = """
AGU 20-20 Aguascalientes|AGS
BCN 21-22 Baja California|B.C.|baja california norte
BCS 23-23 Baja California Sur|B.C.S.
CAM 24-24 Campeche
COA 25-27 Coahuila|Coahuila de Zaragoza|COAHUILA  DE\tZARAGOZA
COL 28-28 Colima
CHP 29-30 Chiapas
CHH 31-33 Chihuahua
DIF 00-16 CDMX|CMX|Cd. de México|Cd. Mx.|Ciudad de México|ciudad de mexico|Distrito Federal|D.F.|México, D.F.|DF
DUR 34-35 Durango
GUA 36-38 Guanajuato|Gto.
GRO 39-41 Guerrero
HID 42-43 Hidalgo
JAL 44-49 Jalisco|Jal.
MEX 50-57 México|Mexico|Estado de México|ESTADO DE MEXICO|Edo. de México|Edo. Méx.|Edomex
MIC 58-61 Michoacán|Michoacán de Ocampo|MICHOACA\u0301N
MOR 62-62 Morelos
NAY 63-63 Nayarit
NLE 64-67 Nuevo León|nuevo leon|N.L.|NL
OAX 68-71 Oaxaca
PUE 72-75 Puebla
QUE 76-76 Querétaro|Querétaro de Arteaga|Qro.
ROO 77-77 Quintana Roo|Q. Roo|Q.R.
SLP 78-79 San Luis Potosí|S.L.P.
SIN 80-82 Sinaloa
SON 83-85 Sonora| sonora |SÓNORA
TAB 86-86 Tabasco
TAM 87-89 Tamaulipas|Tamps.
TLA 90-90 Tlaxcala
VER 91-96 Veracruz|Veracruz de Ignacio de la Llave|Veracruz-Llave
YUC 97-97 Yucatán
ZAC 98-99 Zacatecas
"""

LEGAL_FORMS = """
S.A. DE C.V.
SA DE CV
S.A. de C.V.
s.a. de c.v.
S A DE C V
S.A.DE C.V.
SADECV
S.A DE CV.
(SA DE CV)
S. DE R.L.
S DE RL
S DE RL DE CV
S. de R.L. de C.V.
S. DE R.L. MI
S. DE R.L. DE I.P.
SAPI DE CV
S.A.P.I. DE C.V.
S.A.P.I.
SAB DE CV
S.A.B.
S.A.P.I.B. DE C.V.
S.A.S. DE C.V.
S.A.S.
SAS
S.A.
SA
S.C.
SC
S. C.
A.C.
AC
A. C.
S.N.C.
I.A.P.
S.C.L.
A.B.P.
S. EN C.
S. en C. por A.
S EN NC
S.C. DE R.L. DE C.V.
S.P.R. DE R.L.
SPR DE RI
S.A. DE C.V., SOFOM, E.N.R.
SOFOM
SOFOM ER
SA DE CV SOFOM ENR
SOFIPO
SOCIEDAD ANÓNIMA DE CAPITAL VARIABLE
Sociedad Anónima
SOCIEDAD CIVIL
Asociación Civil
A.R.
Asociación Religiosa
Sociedad de Solidaridad Social
Sociedad Mutualista
S. de Responsabilidad Limitada
"""

CHANGING_THE_ORDER = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
NOT_PRINTED = [f"A{char}B" for char in f"{CHANGING_THE_ORDER}\ufffe\uffff"]

LETTERS = st.sampled_from(string.ascii_uppercase + "&Ñ")
ALPHANUMERICS = st.sampled_from(string.ascii_uppercase + string.digits)
RFCS = st.tuples(
    st.lists(LETTERS, min_size=3, max_size=4).map("".join),
    st.integers(0, 99).map("{:02}".format),
    st.integers(1, 12).map("{:02}".format),
    st.integers(1, 31).map("{:02}".format),
    st.lists(ALPHANUMERICS, min_size=2, max_size=2).map("".join),
    st.sampled_from(string.digits + "A"),
).map("".join)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def customer(**changes: Any) -> dict[str, Any]:
    """A Mexican company without any finding; a name in `changes` may be a field's or an address's."""
    whole: dict[str, Any] = {
        "legalName": "DUNDER MIFFLIN",
        "taxId": COMPANY,
        "taxSystem": "601",
        "email": "billing@dundermifflin.com",
        "phone": "+526474010101",
        "defaultInvoiceUse": "G01",
        "address": {
            "street": "Blvd. Atardecer",
            "exterior": "142",
            "interior": None,
            "neighborhood": "Centro",
            "city": "Huatabampo",
            "municipality": "Huatabampo",
            "zip": "85900",
            "state": "Sonora",
            "country": "MEX",
        },
    }
    for name, value in changes.items():
        part = whole["address"] if name in whole["address"] else whole
        part[name] = value
    return whole


def person(**changes: Any) -> dict[str, Any]:
    return customer(**{"taxId": PERSON, "taxSystem": "612", **changes})


def foreigner(**changes: Any) -> dict[str, Any]:
    abroad = {"country": "USA", "taxId": "12-3456789", "taxSystem": "616", "defaultInvoiceUse": "S01", "zip": None}
    return customer(**{**abroad, **changes})


def found(findings: list[Finding]) -> set[tuple[str, str]]:
    return {(finding.path, finding.code) for finding in findings}


def errors(given: dict[str, Any]) -> set[tuple[str, str]]:
    return found(rules.errors(given))


def warnings(given: dict[str, Any]) -> set[tuple[str, str]]:
    return found(rules.warnings(given))


class TestWholeCustomers:
    @pytest.mark.parametrize("given", [customer(), person(), foreigner()])
    def test_valid_customers_have_no_findings(self, given: dict[str, Any]) -> None:
        assert rules.errors(given) == []
        assert rules.warnings(given) == []

    def test_the_documented_example_is_warned_about_and_may_be_written(self) -> None:
        example = customer(legalName="Dunder Mifflin", taxId="DUM901231AB3", zip="86500")
        assert rules.errors(example) == []
        assert [(finding.path, finding.code) for finding in rules.warnings(example)] == [
            ("/legalName", "not-upper-case"),
            ("/taxId", "check-digit"),
            ("/address/zip", "zip-outside-state"),
        ]

    def test_all_errors_are_returned_at_once(self) -> None:
        wrong = customer(
            legalName="|" * 301, taxId="X", taxSystem="600", email="x", phone="1", defaultInvoiceUse="G99", zip="1"
        )
        assert [(finding.path, finding.code) for finding in rules.errors(wrong)] == [
            ("/legalName", "invalid-length"),
            ("/legalName", "invalid-character"),
            ("/taxId", "invalid-rfc"),
            ("/taxSystem", "unknown-tax-system"),
            ("/defaultInvoiceUse", "unknown-invoice-use"),
            ("/email", "invalid-email"),
            ("/phone", "invalid-phone"),
            ("/address/zip", "invalid-zip"),
        ]

    @pytest.mark.parametrize("empty", [{}, {"address": None}, {"taxId": None, "legalName": None}])
    def test_a_missing_value_is_no_finding(self, empty: dict[str, Any]) -> None:
        assert rules.errors(empty) == []
        assert rules.warnings(empty) == []

    @pytest.mark.parametrize("field", [name for name in customer() if name != "address"])
    @pytest.mark.parametrize("value", [None, 1, True, 2**63, [], {}, ["x"], {"$ne": ""}])
    def test_a_value_of_the_wrong_type_is_no_finding(self, field: str, value: Any) -> None:
        assert rules.errors(customer(**{field: value})) == []

    @given(
        st.dictionaries(st.sampled_from([*customer()]), JUNK),
        st.dictionaries(st.sampled_from([*customer()["address"]]), JUNK),
    )
    def test_no_shape_makes_a_rule_raise(self, fields: dict[str, Any], address: dict[str, Any]) -> None:
        for given_customer in ({"address": address, **fields}, {**fields, "address": address}):
            for shape in (given_customer, normalized(given_customer)):
                rules.errors(shape)
                rules.warnings(shape)
                unique_keys(shape)


class TestNormalized:
    def test_trims_and_capitalizes(self) -> None:
        given = customer(legalName=" \tDunder Mifflin\n", taxId=" ñum901231ab3\n", country="mex", email=" A@b.mx\n")
        assert normalized(given) == customer(
            legalName="Dunder Mifflin", taxId="ÑUM901231AB3", country="MEX", email="A@b.mx"
        )

    def test_capitalizes_a_tax_id_abroad(self) -> None:
        assert normalized(foreigner(taxId=" b12345678 "))["taxId"] == "B12345678"

    @pytest.mark.parametrize("address", [{}, {"country": None}])
    def test_a_country_that_is_not_given_is_mexico(self, address: dict[str, Any]) -> None:
        assert normalized({"address": address}) == {"address": {"country": "MEX"}}

    @pytest.mark.parametrize("value", [None, 1, True, [], {"$ne": ""}])
    def test_leaves_values_of_other_types_unchanged(self, value: Any) -> None:
        given = {"legalName": value, "taxId": value, "address": [value], "unknown": value}
        assert normalized(given) == given

    def test_leaves_a_country_of_another_type_unchanged(self) -> None:
        assert normalized({"address": {"country": 5}}) == {"address": {"country": 5}}

    def test_does_not_change_its_argument(self) -> None:
        given = customer(legalName=" x ", taxId="a", country=None)
        before = copy.deepcopy(given)
        normalized(given)["address"]["zip"] = "changed"
        assert given == before

    @given(st.text(), st.text(), st.text())
    def test_is_idempotent(self, name: str, tax_id: str, country: str) -> None:
        once = normalized(customer(legalName=name, taxId=tax_id, country=country))
        assert normalized(once) == once


class TestLegalName:
    @pytest.mark.parametrize(
        "name", ["X", "Ñ" * 300, "3M & CO. (MÉXICO)", '"L\'ÉTÉ"', "😀", "X\u200b", "A\u00adB", "👨\u200d👩"]
    )
    def test_accepted(self, name: str) -> None:
        assert errors(customer(legalName=name)) == set()

    @pytest.mark.parametrize(
        "name",
        [
            *("", "   ", "\n\t\u00a0", "X" * 301, "Ñ" * 10_000),
            *(
                "\u200b",
                "\u2060\u2060",
                " \ufeff \u00ad",
                "\u3164",
                "\u115f\uffa0",
                "\ufe0f",
                "\U000e0041",
                "\u3000\u180e",
            ),
        ],
    )
    def test_length(self, name: str) -> None:
        assert errors(normalized(customer(legalName=name))) == {("/legalName", "invalid-length")}

    @pytest.mark.parametrize(
        "name", ["A|B", "|", "A\x00B", "A\nB", "A\tB", "A\x7fB", "A\x85B", "A\x9fB", "A\ud800B", "A\n", *NOT_PRINTED]
    )
    def test_characters(self, name: str) -> None:
        assert errors(customer(legalName=name)) == {("/legalName", "invalid-character")}


class TestRfc:
    @given(RFCS)
    def test_every_match_of_the_pattern_is_accepted(self, tax_id: str) -> None:
        assert ("/taxId", "invalid-rfc") not in errors(customer(taxId=tax_id))

    @given(RFCS, st.data())
    def test_one_character_of_another_class_is_refused(self, tax_id: str, data: st.DataObject) -> None:
        position = data.draw(st.integers(0, len(tax_id) - 1))
        letters = range(len(tax_id) - 9)
        wrong = "0123456789" if position in letters else "&Ñ"
        char = data.draw(st.sampled_from(wrong + "abcñ -_.|\n\x00\ud800É\u0661"))
        mutated = tax_id[:position] + char + tax_id[position + 1 :]
        assert errors(customer(taxId=mutated, taxSystem=None)) == {("/taxId", "invalid-rfc")}

    @given(RFCS, st.data())
    def test_a_character_too_many_or_too_few_is_refused(self, tax_id: str, data: st.DataObject) -> None:
        position = data.draw(st.integers(len(tax_id) - 9, len(tax_id) - 1))
        for mutated in (tax_id[:position] + tax_id[position + 1 :], tax_id[:position] + "0" + tax_id[position:]):
            assume(not _looks_like_an_rfc(mutated))
            assert errors(customer(taxId=mutated, taxSystem=None)) == {("/taxId", "invalid-rfc")}

    @pytest.mark.parametrize("tax_id", ["ABC990231AB1", "ABC000230AB1", "ABC010431AB1", "&Ñ&010101000", "AAA010101AAA"])
    def test_impossible_days_and_odd_letters_are_accepted(self, tax_id: str) -> None:
        assert errors(customer(taxId=tax_id)) == set()

    @pytest.mark.parametrize(
        "tax_id",
        [
            *HOSTILE,
            "GODE561231",
            "ABC-901231-AB3",
            "ABC 901231 AB3",
            "ABC901231AB3\n",
            " ABC901231AB3",
            "abc901231ab3",
            "ABC901331AB3",
            "ABC900031AB3",
            "ABC901200AB3",
            "ABC901232AB3",
            "ABC901231ABB",
            "ABC901231A&3",
            "AB901231AB3",
            "ABCDE901231AB3",
            "ABC\u0669\u06601231AB3",
            "N\u0303BC901231AB3",
        ],
    )
    def test_refused(self, tax_id: str) -> None:
        assert errors(customer(taxId=tax_id)) == {("/taxId", "invalid-rfc")}

    @given(RFCS)
    def test_every_wrong_check_digit_has_a_warning(self, tax_id: str) -> None:
        right = stdnum_rfc.calc_check_digit(tax_id[:-1])
        assume(tax_id[:-1] + right not in {GENERIC_DOMESTIC, GENERIC_FOREIGN})
        for digit in string.digits + "A":
            given_customer = customer(taxId=tax_id[:-1] + digit)
            assert (("/taxId", "check-digit") in warnings(given_customer)) == (digit != right)

    @pytest.mark.parametrize("tax_id", [GENERIC_DOMESTIC, GENERIC_FOREIGN, "ABC901231AB", "X", "", None])
    def test_without_an_rfc_there_is_no_check_digit(self, tax_id: str | None) -> None:
        assert warnings(customer(taxId=tax_id)) == set()

    def test_no_check_digit_abroad(self) -> None:
        assert warnings(foreigner(taxId="DUM901231AB3")) == set()


def _looks_like_an_rfc(text: str) -> bool:
    """The pattern again, without a regular expression."""
    prefix, date, end = text[:-9], text[-9:-3], text[-3:]
    return (
        len(prefix) in (3, 4)
        and all(char in string.ascii_uppercase + "&Ñ" for char in prefix)
        and all(char in string.digits for char in date)
        and 1 <= int(date[2:4]) <= 12
        and 1 <= int(date[4:]) <= 31
        and all(char in string.ascii_uppercase + string.digits for char in end)
        and end[-1] in string.digits + "A"
    )


class TestForeignTaxId:
    @pytest.mark.parametrize("tax_id", ["1", "12-3456789", "A B", "ñ" * 40, "|"])
    def test_accepted(self, tax_id: str) -> None:
        assert errors(foreigner(taxId=tax_id)) == set()

    @pytest.mark.parametrize("tax_id", ["", "1" * 41, "1" * 10_000, "\u200b", " \u2060"])
    def test_length(self, tax_id: str) -> None:
        assert errors(foreigner(taxId=tax_id)) == {("/taxId", "invalid-length")}

    @pytest.mark.parametrize("tax_id", ["1\n", "\x00", "1\x7f", "\ud800", *NOT_PRINTED])
    def test_characters(self, tax_id: str) -> None:
        assert errors(foreigner(taxId=tax_id)) == {("/taxId", "invalid-character")}


class TestRegimesAndUses:
    @pytest.mark.parametrize("use", REGIMES_BY_USE)
    def test_every_use_with_every_regime(self, use: str) -> None:
        cells = [(*receiver, regime) for receiver in REGIMES_BY_RECEIVER for regime in ALL_REGIMES]
        assert len(cells) == 7 * 19
        found_in = {
            cell: errors(customer(country=cell[0], taxId=cell[1], taxSystem=cell[2], defaultInvoiceUse=use))
            for cell in cells
        }
        assert {cell: found_in[cell] for cell in cells if found_in[cell] != self._expected(use, *cell)} == {}

    def _expected(self, use: str, country: str, tax_id: str, regime: str) -> set[tuple[str, str]]:
        if regime not in REGIMES_BY_RECEIVER[country, tax_id]:
            return {("/taxSystem", "tax-system-not-allowed")}
        if regime not in REGIMES_BY_USE[use].split():
            return {("/defaultInvoiceUse", "invoice-use-not-allowed")}
        return set()

    @pytest.mark.parametrize(
        "regime", [*HOSTILE, "600", "602", "604", "609", "613", "617", "627", "601\n", "60\u0661", "G01"]
    )
    @pytest.mark.parametrize("build", [customer, person, foreigner])
    def test_an_unknown_regime_neither_hides_nor_adds_other_findings(
        self, build: Callable[..., dict[str, Any]], regime: str
    ) -> None:
        unknown = ("/taxSystem", "unknown-tax-system")
        assert errors(build(taxSystem=regime, defaultInvoiceUse="CN01")) == {unknown}
        assert errors(build(taxSystem=regime, defaultInvoiceUse="G04")) == {
            unknown,
            ("/defaultInvoiceUse", "unknown-invoice-use"),
        }

    @pytest.mark.parametrize(
        "use", [*HOSTILE, "G00", "G04", "I09", "D11", "D00", "P01", "CN02", "g01", "G01\n", "G01 ", "601"]
    )
    @pytest.mark.parametrize("build", [customer, person, foreigner])
    def test_unknown_use(self, build: Callable[..., dict[str, Any]], use: str) -> None:
        assert errors(build(defaultInvoiceUse=use)) == {("/defaultInvoiceUse", "unknown-invoice-use")}

    @pytest.mark.parametrize("use", REGIMES_BY_USE)
    def test_without_a_usable_tax_id_the_regime_alone_decides(self, use: str) -> None:
        for regime in ALL_REGIMES:
            of_nobody = customer(taxId=None, taxSystem=regime, defaultInvoiceUse=use)
            expected = (
                set() if regime in REGIMES_BY_USE[use].split() else {("/defaultInvoiceUse", "invoice-use-not-allowed")}
            )
            assert errors(of_nobody) == expected, regime
            assert errors({**of_nobody, "taxId": "X"}) == expected | {("/taxId", "invalid-rfc")}, regime

    def test_a_use_without_a_regime_is_validated_against_the_catalogue(self) -> None:
        assert errors(customer(taxSystem=None, defaultInvoiceUse="CN01")) == set()
        assert errors(customer(taxSystem=None, defaultInvoiceUse="X")) == {
            ("/defaultInvoiceUse", "unknown-invoice-use")
        }

    def test_the_message_lists_the_choices(self) -> None:
        regime, use = (rules.errors(person(taxSystem="601")), rules.errors(person(taxSystem="616")))
        assert [finding.message for finding in regime] == [
            f"Choose a regime of c_RegimenFiscal for a person, whose RFC has 13 characters: {', '.join(PEOPLE)}."
        ]
        assert [finding.message for finding in use] == ["Choose one of these uses of c_UsoCFDI: CP01, G02, S01."]


class TestUniqueKeys:
    """What no other living customer of an organization may have."""

    def test_both(self) -> None:
        assert unique_keys(customer(externalId="crm-1")) == {"externalId": "crm-1", "taxId": COMPANY}

    @pytest.mark.parametrize("country", ["MEX", "mex", None])
    def test_are_in_the_stored_form(self, country: Any) -> None:
        given = customer(taxId=f" {COMPANY.lower()}\n", externalId=" crm-1", country=country)
        assert unique_keys(given) == {"externalId": " crm-1", "taxId": COMPANY}

    @pytest.mark.parametrize(("country", "key"), [("USA", "USA:1A"), ("usa", "USA:1A"), ("XXX", "XXX:1A"), (5, ":1A")])
    def test_a_foreign_tax_id_has_its_country_as_prefix(self, country: Any, key: str) -> None:
        assert unique_keys(customer(taxId=" 1a", country=country)) == {"taxId": key}

    @pytest.mark.parametrize(
        ("sent", "key"),
        [
            ("\u200bB1\u2060", "B1"),
            ("\u200b B1 \u00ad", "B1"),
            ("N\u0303A1", "ÑA1"),
            ("N\u034f\u0303A1", "ÑA1"),
            ("\u00c5", "\u00c5"),
            ("\u212b", "\u00c5"),
            ("\ufb01", "FI"),
        ],
    )
    def test_are_in_nfc_without_invisible_characters(self, sent: str, key: str) -> None:
        assert unique_keys(foreigner(taxId=sent)) == {"taxId": f"USA:{key}"}
        assert unique_keys({"externalId": sent}) == {"externalId": comparable(sent)}
        assert comparable(comparable(sent)) == comparable(sent)

    def test_a_text_over_the_maximum_length_is_compared_unchanged(self) -> None:
        endless = "e\u0301" * 200
        assert unique_keys({"externalId": endless, "taxId": endless}) == {
            "externalId": endless,
            "taxId": endless.upper(),
        }

    @pytest.mark.parametrize(
        "placeholder",
        [
            *("0", "00", "000000000", "000-00-0000", "0.", "9", "999999999", "XXX", "x", "N/A", "n.a.", "NA", "n / a"),
            *("SIN RFC", "sin-rfc", "Sin R.F.C.", "EXTRANJERO", "Extranjera", "S/N", "s.d.", "Ninguno", "NONE", "null"),
            *(
                "No aplica",
                "SIN NÚMERO",
                "sin nu\u0301mero",
                "GENÉRICO",
                "-",
                "...",
                "\u200b",
                "\uff2e\uff0f\uff21",
                "n\u200ba",
            ),
            *("XEXX-010101-000", "xexx 010101 000", "Público en general", "Unknown", "TBD"),
        ],
    )
    @pytest.mark.parametrize("country", ["MEX", "USA", "XXX", None, 5])
    def test_a_placeholder_is_no_key_in_any_country(self, placeholder: str, country: Any) -> None:
        assert unique_keys(customer(taxId=placeholder, country=country, externalId="a")) == {"externalId": "a"}

    @pytest.mark.parametrize(
        "tax_id", ["1", "10", "09", "XX1", "NAB", "123456789", "111111111", "RFC1", "中文", "Ñ", "SINA"]
    )
    def test_variants_of_a_placeholder_are_no_keys(self, tax_id: str) -> None:
        assert unique_keys(foreigner(taxId=tax_id)) == {"taxId": f"USA:{tax_id}"}

    @pytest.mark.parametrize("absent", [None, "", " ", 1, {"$ne": 1}])
    def test_an_absent_value_is_no_key(self, absent: object) -> None:
        assert unique_keys(customer(taxId=absent)) == {}
        assert unique_keys({"externalId": absent} if absent != " " else {}) == {}

    @pytest.mark.parametrize("tax_id", [GENERIC_DOMESTIC, GENERIC_FOREIGN, " xaxx010101000 "])
    @pytest.mark.parametrize("country", ["MEX", "mex", None, "USA", "XXX", "", 5])
    def test_a_generic_rfc_is_no_key_in_any_country(self, tax_id: str, country: Any) -> None:
        assert unique_keys(customer(taxId=tax_id, country=country, externalId="crm-1")) == {"externalId": "crm-1"}
        assert unique_keys({"taxId": tax_id}) == {}

    def test_any_other_tax_id_is_a_key(self) -> None:
        assert unique_keys(customer(taxId="XAXX010101001")) == {"taxId": "XAXX010101001"}


class TestEmail:
    @pytest.mark.parametrize(
        "email", ["a@b.mx", "A.B+c_d-e'f@sub.dominio.com.mx", "ñandú@correo.mx", "a@peña.mx", "1@2.com"]
    )
    def test_accepted(self, email: str) -> None:
        assert errors(customer(email=email)) == set()

    @pytest.mark.parametrize(
        "email",
        [
            *HOSTILE,
            "a",
            "a@",
            "@b.mx",
            "a@b",
            "noreply@test",
            "a@localhost",
            "a@x.localhost",
            "a@b.mx\n",
            " a@b.mx",
            "a@b.mx ",
            "a b@c.mx",
            "a@b.mx,c@d.mx",
            "a@@b.mx",
            "a..b@c.mx",
            ".a@b.mx",
            "a@-b.mx",
            "a@b..mx",
            "A <a@b.mx>",
            "a@[127.0.0.1]",
            '"a b"@c.mx',
            "a\x00@b.mx",
            "a@b\ud800.mx",
            "\ud800@b.mx",
            "a@xn--a.mx",
            f"{'a' * 65}@{'b' * 200}.mx",
            f"a@{'b' * 64}.mx",
            "@" * 10_000,
            f"a@{'b.' * 5_000}mx",
        ],
    )
    def test_refused(self, email: str) -> None:
        assert errors(customer(email=email)) == {("/email", "invalid-email")}


class TestPhone:
    @pytest.mark.parametrize(
        ("country", "phone"),
        [
            ("MEX", "6474010101"),
            ("MEX", "+526474010101"),
            ("MEX", "+52 (647) 401-0101"),
            ("MEX", "647 401 01 01"),
            ("MEX", "647\u00a0401\u20130101"),
            ("MEX", "55.1234.5678"),
            ("MEX", "+12025550123"),
            ("MEX", "8000000000"),
            ("MEX", "+34912345678"),
            ("USA", "2025550123"),
            ("ESP", "+34912345678"),
            ("DEU", "+4930123456"),
            ("ATA", "+526474010101"),
        ],
    )
    def test_accepted(self, country: str, phone: str) -> None:
        assert errors(foreigner(country=country, phone=phone, taxId=GENERIC_FOREIGN, zip="85900")) == set()

    @pytest.mark.parametrize(
        ("country", "phone"),
        [
            *(("MEX", text) for text in HOSTILE),
            ("MEX", "647-401-0101 ext. 12"),
            ("MEX", "6474010101x12"),
            ("MEX", "6474010101;ext=12"),
            ("MEX", "6474010101,12"),
            ("MEX", "6474010101#12"),
            ("MEX", "tel:6474010101"),
            ("MEX", "tel:+526474010101"),
            ("MEX", "Tel. 6474010101"),
            ("MEX", "6474010101 / 6474010102"),
            ("MEX", "6474010101/02"),
            ("MEX", "6474010101 6474010102"),
            ("MEX", "6474010101, 6474010102"),
            ("MEX", "6474010101 y 6474010102"),
            ("MEX", "6474010101; 6474010102"),
            ("MEX", "+526474010101+526474010102"),
            ("MEX", "0000000000"),
            ("MEX", "000-000-0000"),
            ("MEX", "+520000000000"),
            ("USA", "0000000000"),
            ("ESP", "+340000000000"),
            ("MEX", "1800FLOWERS"),
            ("MEX", "abc"),
            ("MEX", "123"),
            ("MEX", "647401010"),
            ("MEX", "64740101011"),
            ("MEX", "6474010101\n"),
            ("MEX", "6474010101\x00"),
            ("MEX", "6474010101\ud800"),
            ("MEX", "+5216474010101"),
            ("MEX", "+52647401010"),
            ("MEX", "+34 912 345 678"),
            ("MEX", "0034912345678"),
            ("MEX", "+0526474010101"),
            ("MEX", "+"),
            ("MEX", "+" + "9" * 200),
            ("ESP", "912345678"),
            ("ESP", "34912345678"),
            ("ATA", "6474010101"),
        ],
    )
    def test_refused(self, country: str, phone: str) -> None:
        assert errors(foreigner(country=country, phone=phone, taxId=GENERIC_FOREIGN, zip="85900")) == {
            ("/phone", "invalid-phone")
        }

    @pytest.mark.parametrize(
        "phone", ["+5216474010101", "+52 1 647 401 0101", "5216474010101", "+521-647-401-0101", "tel:+5216474010101"]
    )
    @pytest.mark.parametrize("country", ["MEX", "USA"])
    def test_the_old_1_of_mobile_phones_has_its_own_message(self, phone: str, country: str) -> None:
        (finding,) = rules.errors(foreigner(country=country, phone=phone, taxId=GENERIC_FOREIGN, zip="85900"))
        assert finding.message.startswith("Leave out the 1 behind 52")

    @pytest.mark.parametrize("phone", ["+52164740101011", "1" * 10_000, "0000000000"])
    def test_other_wrong_numbers_have_the_general_message(self, phone: str) -> None:
        (finding,) = rules.errors(customer(phone=phone))
        assert finding.message.startswith("Give one number")

    def test_is_stored_as_it_was_sent(self) -> None:
        assert normalized(customer(phone=" 647 401 0101 "))["phone"] == " 647 401 0101 "


class TestCountry:
    def test_the_table_has_every_country_once(self) -> None:
        assert len(catalogues.COUNTRIES) == len(set(catalogues.COUNTRIES.values())) == 249
        assert all(len(code) == 3 and len(region) == 2 for code, region in catalogues.COUNTRIES.items())
        assert {catalogues.COUNTRIES[code] for code in ("MEX", "ESP", "DEU", "CHE", "AND", "SSD")} == {
            *("MX", "ES", "DE", "CH", "AD", "SS")
        }

    @pytest.mark.parametrize("country", catalogues.COUNTRIES)
    def test_every_country_has_foreigners(self, country: str) -> None:
        of_country = foreigner(country=country, taxId=GENERIC_FOREIGN, zip="85900", phone="+526474010101")
        assert errors(of_country) == set()

    @pytest.mark.parametrize("country", [*HOSTILE, "MX", "mex", "MEX\n", " MEX", "XKX", "ROM", "ZAR", "USAA", "484"])
    def test_an_unknown_country_hides_the_errors_that_depend_on_it(self, country: str) -> None:
        nowhere = customer(country=country, taxId="x" * 99, taxSystem="605", phone="1", zip=None)
        assert errors({**nowhere, "defaultInvoiceUse": "CN01"}) == {("/address/country", "unknown-country")}
        assert errors({**nowhere, "email": "x"}) == {
            ("/address/country", "unknown-country"),
            ("/defaultInvoiceUse", "invoice-use-not-allowed"),
            ("/email", "invalid-email"),
        }

    @pytest.mark.parametrize("country", [5, [], {"$ne": None}])
    def test_a_country_of_another_type_hides_the_errors_that_depend_on_it(self, country: Any) -> None:
        assert errors(customer(country=country, taxId="X", phone="1", zip=None)) == set()

    def test_an_absent_country_is_mexico(self) -> None:
        given_customer = customer(taxId="X")
        del given_customer["address"]["country"]
        assert errors(given_customer) == {("/taxId", "invalid-rfc")}


class TestZip:
    @pytest.mark.parametrize("value", ["00000", "01000", "99999"])
    def test_accepted(self, value: str) -> None:
        assert errors(customer(zip=value)) == set()

    @pytest.mark.parametrize(
        "value",
        [
            *HOSTILE,
            "8590",
            "859000",
            "85900\n",
            " 85900",
            "8590a",
            "\u0668\u0665\u0669\u0660\u0660",
            "\uff18\uff15\uff19\uff10\uff10",
            "85-90",
        ],
    )
    def test_refused(self, value: str) -> None:
        assert errors(customer(zip=value)) == {("/address/zip", "invalid-zip")}
        assert warnings(customer(zip=value)) == set()

    @pytest.mark.parametrize("address", [{}, {"zip": None}, {"country": "MEX"}, {"zip": None, "country": None}])
    def test_required_in_mexico(self, address: dict[str, Any]) -> None:
        assert errors({"address": address}) == {("/address/zip", "required")}

    @pytest.mark.parametrize("tax_id", [GENERIC_DOMESTIC, GENERIC_FOREIGN])
    def test_optional_for_a_generic_rfc(self, tax_id: str) -> None:
        for address in ({}, {"zip": None}, {"zip": "86500", "country": None}):
            assert errors({"taxId": tax_id, "address": address}) == set()
        assert errors({"taxId": tax_id, "address": {"zip": "8650"}}) == {("/address/zip", "invalid-zip")}
        assert errors({"taxId": tax_id, "address": {"zip": ""}}) == {("/address/zip", "invalid-zip")}

    @pytest.mark.parametrize("tax_id", ["XAXX010101001", "XEXX010101", "", None, 5])
    def test_required_for_a_tax_id_that_only_resembles_a_generic_rfc(self, tax_id: Any) -> None:
        assert ("/address/zip", "required") in errors({"taxId": tax_id, "address": {}})

    @pytest.mark.parametrize("address", [None, "", [], 5])
    def test_not_required_without_an_address(self, address: Any) -> None:
        assert errors({"address": address}) == set()

    def test_a_number_is_of_the_wrong_type_and_not_missing(self) -> None:
        assert errors(customer(zip=85900)) == set()

    @pytest.mark.parametrize("value", [None, "", "EC1A 1BB", "1" * 300])
    def test_any_value_is_accepted_abroad(self, value: str | None) -> None:
        assert errors(foreigner(zip=value)) == set()
        assert warnings(foreigner(zip=value)) == set()


class TestState:
    def test_every_state_has_an_expectation(self) -> None:
        assert len(STATES.strip().splitlines()) == 32

    @pytest.mark.parametrize("row", STATES.strip().splitlines())
    def test_is_known_by_all_its_names_and_bounds(self, row: str) -> None:
        key, bounds, names = row.split(" ", 2)
        first, last = map(int, bounds.split("-"))
        for name in [key, key.lower(), *names.split("|")]:
            for digits in range(100):
                found_in = warnings(customer(state=name, municipality=None, zip=f"{digits:02}500"))
                assert (OUTSIDE_STATE in found_in) == (not first <= digits <= last)
                assert found_in <= {OUTSIDE_STATE, UNKNOWN_ZIP}

    @pytest.mark.parametrize("state", [*HOSTILE, None, 5, "California", "Son0ra", "Sonor", "26", "México Lindo", "..."])
    def test_no_zip_is_outside_an_unknown_state(self, state: Any) -> None:
        assert warnings(customer(state=state, municipality=None, zip="01000")) == set()

    @pytest.mark.parametrize("state", ["Nayarit", "nay", "Oaxaca", "OAX"])
    def test_either_state_is_accepted_if_the_catalogue_is_wrong(self, state: str) -> None:
        assert warnings(customer(state=state, zip="68318")) == set()

    @pytest.mark.parametrize("state", ["Sonora", "Jalisco"])
    def test_no_third_state_is_accepted_if_the_catalogue_is_wrong(self, state: str) -> None:
        assert warnings(customer(state=state, zip="68318")) == {OUTSIDE_STATE}

    def test_every_zip_is_in_the_state_that_the_catalogue_has_for_it(self) -> None:
        for number in range(0, ZIP_NUMBERS, 7):
            if place := place_of(f"{number:05}"):
                given_customer = customer(zip=f"{number:05}", state=place.state.name, municipality=None)
                assert warnings(given_customer) == set()

    def test_no_zip_of_another_country_is_outside(self) -> None:
        assert warnings(foreigner(state="Sonora", zip="01000")) == set()


class TestKnownZip:
    @pytest.mark.parametrize("zip_code", ["00000", "17000", "00999"])
    def test_the_sat_has_no_such_zip(self, zip_code: str) -> None:
        assert warnings(customer(zip=zip_code, state=None)) == {UNKNOWN_ZIP}
        assert warnings(foreigner(zip=zip_code)) == set()
        assert errors(customer(zip=zip_code)) == set()


class TestMunicipality:
    @pytest.mark.parametrize(
        ("zip_code", "state", "names"),
        [
            ("86500", "Tabasco", "Cárdenas|CARDENAS|cárdenas|C\u0301a\u0301rdenas|Los Cárdenas| Cárdenas. "),
            ("01000", "CDMX", "Álvaro Obregón|alvaro obregon|ÁLVARO  OBREGÓN"),
            ("63530", "Nayarit", "Del Nayar|El Nayar|Nayar|DEL NAYAR"),
            ("85900", "Sonora", "Huatabampo|HUATABAMPO"),
            ("85900", "Sonora", None),
            ("85900", "Sonora", ""),
            ("85900", "Sonora", 5),
            ("01001", "CDMX", "Huatabampo"),
        ],
    )
    def test_inside(self, zip_code: str, state: str, names: Any) -> None:
        for name in names.split("|") if isinstance(names, str) else [names]:
            assert warnings(customer(zip=zip_code, state=state, municipality=name)) == set(), name

    @pytest.mark.parametrize(
        "name", ["Hermosillo", "Huatabamp", "Huatabampo Viejo", "Cárdenas", "El", "...", "x" * 999]
    )
    def test_outside(self, name: str) -> None:
        assert warnings(customer(municipality=name)) == {("/address/zip", "zip-outside-municipality")}

    def test_a_wrong_state_hides_the_municipality(self) -> None:
        assert warnings(customer(zip="86500", municipality="Huatabampo")) == {OUTSIDE_STATE}

    def test_no_warning_abroad(self) -> None:
        assert warnings(foreigner(zip="86500", municipality="Huatabampo", state="Sonora")) == set()

    def test_no_two_of_a_state_have_the_same_words(self) -> None:
        places = {place[:2] for number in range(ZIP_NUMBERS) if (place := place_of(f"{number:05}"))}
        names = [(state.code, municipality.name) for state, municipality in places if municipality]
        for state in {state for state, _ in names}:
            own = sorted(name for each, name in names if each == state)
            folded = {tuple(states._words_of_place(name)) for name in own}
            assert len(folded) == len(own), state


class TestPlace:
    """The names that the SAT has for a zip, wherever a customer gives none of its own."""

    NAMES = ("state", "municipality", "city")

    def placed(self, **address: Any) -> list[Any]:
        given_customer = {"address": {"country": "MEX", "street": "x", **address}}
        before = copy.deepcopy(given_customer)
        stored = rules.with_place(given_customer)["address"]
        assert given_customer == before
        assert stored["street"] == "x"
        return [stored.get(name) for name in self.NAMES]

    def test_fills_absent_and_null_fields(self) -> None:
        assert self.placed(zip="86500") == ["Tabasco", "Cárdenas", "Cárdenas"]
        assert self.placed(zip="86500", **dict.fromkeys(self.NAMES)) == ["Tabasco", "Cárdenas", "Cárdenas"]
        assert self.placed(zip="01001", city=None) == ["Ciudad de México", None, None]

    def test_overwrites_nothing(self) -> None:
        assert self.placed(zip="86500", state="Sonora", city="") == ["Sonora", "Cárdenas", ""]

    @pytest.mark.parametrize("address", [{"zip": None}, {}, {"zip": "17000"}, {"zip": "86500", "country": "USA"}])
    def test_a_zip_without_a_place(self, address: dict[str, Any]) -> None:
        assert self.placed(**address) == [None, None, None]

    def moved(self, before: dict[str, Any], after: dict[str, Any]) -> list[Any]:
        customers = [rules.with_place({"address": {"country": "MEX", **each}}) for each in (before, after)]
        stored = rules.with_place_of_new_zip(*customers)["address"]
        return [stored.get(name) for name in self.NAMES]

    def test_another_zip_replaces_the_names_of_the_former_place(self) -> None:
        old = dict(zip(self.NAMES, self.placed(zip="86500"), strict=True))
        assert self.moved({"zip": "86500"}, old | {"zip": "83000"}) == ["Sonora", "Hermosillo", "Hermosillo"]
        assert self.moved({"zip": "86500"}, old | {"zip": "01001"}) == ["Ciudad de México", None, None]
        assert self.moved({"zip": "86500"}, old | {"zip": "17000"}) == [None, None, None]
        assert self.moved({"zip": "86500"}, old | {"zip": "10001", "country": "USA"}) == [None, None, None]

    def test_another_zip_keeps_names_that_are_not_of_the_former_place(self) -> None:
        own = {"state": "TAB", "municipality": "CÁRDENAS", "city": "Cárdenas"}
        assert self.moved({"zip": "86500"}, own | {"zip": "83000"}) == ["TAB", "CÁRDENAS", "Hermosillo"]
        assert self.moved({"zip": "17000"}, own | {"zip": "83000"}) == list(own.values())
        assert self.moved({"zip": "86500", "country": "USA"}, own | {"zip": "83000"}) == list(own.values())

    def test_the_same_zip_changes_nothing(self) -> None:
        own = {"zip": "86500", "state": "Tabasco", "municipality": "Other", "city": ""}
        assert self.moved({"zip": "86500"}, own) == ["Tabasco", "Other", ""]
        assert self.moved({"zip": "86500"}, own | {"country": "USA"}) == ["Tabasco", "Other", ""]


class TestLegalNameWarnings:
    @pytest.mark.parametrize("suffix", LEGAL_FORMS.strip().splitlines())
    @pytest.mark.parametrize("join", [" ", ", ", " - "])
    def test_a_legal_form_after_the_name_of_a_company(self, suffix: str, join: str) -> None:
        given_customer = customer(legalName=f"DUNDER MIFFLIN{join}{suffix}")
        assert ("/legalName", "corporate-suffix") in warnings(given_customer)

    @pytest.mark.parametrize(
        "name",
        [
            *(
                "DUNDER MIFFLIN",
                "CASA",
                "LA CASA",
                "GRUPO MASA",
                "SAC",
                "SA",
                "SAS",
                "A.C.",
                "SA DE CV INDUSTRIAL",
                "ROSAS",
            ),
            *(
                "SAN AC TORRES",
                "OPTICA",
                "LABORATORIOS TECSA",
                "S.A. DE C.V. DUNDER",
                "PLASTICOS",
                "MASC",
                "X DE CVA",
                "",
            ),
            *("GRUPO SOFOMA", "COMERCIALIZADORA DE CUEROS", "VIDES DE RLO", "ACME SA 2", "ACME & CO", "10%"),
            *("GRUPO FINANCIERO SIGMA", "SIGMA GRUPO FINANCIERO", "CASA DE BOLSA SIGMA", "BANCO SIGMA FILIAL"),
        ],
    )
    def test_no_legal_form_after_the_name_of_a_company(self, name: str) -> None:
        assert warnings(customer(legalName=name)) == set()

    @pytest.mark.parametrize(
        "name", ["MARIA SA", "JOSE SAS", "ANA SAB", "LUIS AC", "JUAN S.C.", "PEDRO SA SA", "EVA SAPI"]
    )
    @pytest.mark.parametrize("build", [person, foreigner])
    def test_a_short_name_is_no_legal_form(self, build: Callable[..., dict[str, Any]], name: str) -> None:
        assert warnings(build(legalName=name)) == set()

    @pytest.mark.parametrize("build", [customer, person, foreigner])
    def test_a_long_legal_form_counts_for_persons_too(self, build: Callable[..., dict[str, Any]]) -> None:
        assert warnings(build(legalName="MARIA SA DE CV")) == {("/legalName", "corporate-suffix")}

    @pytest.mark.parametrize("name", ["Dunder", "DUNDEr", "ñ", "PEñA", "STRAßE", "é"])
    def test_small_letters(self, name: str) -> None:
        assert warnings(customer(legalName=name)) == {("/legalName", "not-upper-case")}

    @pytest.mark.parametrize("name", ["Ñ", "É", "3M", "123", "&", "中文", "😀"])
    def test_no_small_letters(self, name: str) -> None:
        assert warnings(customer(legalName=name)) == set()


class TestGarbledNames:
    @pytest.mark.parametrize(
        ("name", "code", "suggestion"),
        [
            ("ACME  NORTE", "odd-spaces", "ACME NORTE"),
            ("ACME\u00a0NORTE", "odd-spaces", "ACME NORTE"),
            ("ACME \u2003 NORTE", "odd-spaces", "ACME NORTE"),
            ("ACME\u200b NORTE", "odd-spaces", "ACME NORTE"),
            ("A &amp; B", "html-entity", "A & B"),
            ("A &AMP; B", "html-entity", "A & B"),
            ("O&#39;BRIEN", "html-entity", "O'BRIEN"),
            ("PE&#xD1;A", "html-entity", "PEÑA"),
            ("PE&Ntilde;A", "html-entity", "PEÑA"),
            ("Ã\u2018ANDU", "mojibake", "ÑANDU"),
            ("JOSÃ‰ PEÃ\u2018A", "mojibake", "JOSÉ PEÑA"),
            ("CAFÃ‰ Â°", "mojibake", "CAFÉ °"),
            ("A â€“ B", "mojibake", "A – B"),
            ("CAF\ufffd", "mojibake", None),
            ("Ã\u2018ANDU CAF\ufffd", "mojibake", None),
            ("\ufffd", "mojibake", None),
            ("CAFÃ?", "mojibake", None),
        ],
    )
    @pytest.mark.parametrize("build", [customer, person, foreigner])
    def test_the_warning_suggests_the_registered_name(
        self, build: Callable[..., dict[str, Any]], name: str, code: str, suggestion: str | None
    ) -> None:
        given_customer = build(legalName=name)
        assert rules.errors(given_customer) == []
        (warning,) = (each for each in rules.warnings(given_customer) if each.code != "not-upper-case")
        assert (warning.path, warning.code, warning.suggestion) == ("/legalName", code, suggestion)
        assert name not in warning.message

    def test_all_warnings_have_the_same_suggestion(self) -> None:
        found_in = rules.warnings(customer(legalName="Ã\u2018ANDU  &AMP; CIA"))
        assert [(each.code, each.suggestion) for each in found_in] == [
            (code, "ÑANDU & CIA") for code in ("html-entity", "mojibake", "odd-spaces")
        ]

    @pytest.mark.parametrize(
        "name",
        [
            *(
                "SÃO PAULO",
                "IRMÃ",
                "ÑÁÉ",
                "AT&T",
                "A &B; C",
                "PRINT &COPY SA 1",
                "R&D;",
                "A&;B",
                "Â",
                "€",
                "MÜLLER",
                "X Ã Y",
            ),
            *("&#;", "&unknown;".upper(), "中文", "100 °C", "¿QUÉ?"),
        ],
    )
    def test_a_right_name_has_no_warning(self, name: str) -> None:
        assert warnings(customer(legalName=name)) == set()

    def test_a_too_long_or_empty_name_has_no_suggestion(self) -> None:
        assert rules.warnings(customer(legalName="A  B" * 100)) == []
        assert [each.suggestion for each in rules.warnings(customer(legalName="\u200b"))] == [None]


SUGGESTED_FORMS = """
S.A.
S.A. de C.V.
S.A. DE C.V.
S. A. de C. V.
S.A de C.V
SA de CV
SADECV
S.A.DE C.V.
S.A.DE.C.V.
S.A. DE C,V,
SA.CV.
S.A.B.
S.A.B. de C.V.
SAB de CV
S.A.P.I.
S.A.P.I. de C.V.
SAPI DE CV
S.A.P.I.B.
S.A.P.I.B. de C.V.
S.A.S.
S.A.S. de C.V.
S. de R.L.
S. de R.L. de C.V.
S de RL de CV
S.DE R.L.DE C.V.
S. DE R.L. C.V.
S. de R.L. M.I.
S. de R.L. MI
S. de R.L. de I.P.
S. de R.L. de I.P. de C.V.
S.R.L.
S. en C.
S. en C. de C.V.
S. en C. por A.
S. en C. por A. de C.V.
S. en N.C.
S. en N.C. de C.V.
S.N.C.
S.C.
S. C.
S.C. de C.V.
S.C. de R.L.
S.C. de R.L. de C.V.
S.C. de P. de R.L.
S.C. de P. de R.L. de C.V.
S.C. DE A.P. DE R.L. DE C.V.
S.C.A.P. de R.L. de C.V.
S.C.L.
S.C.P.
S.C.S.
S.P.R. de R.L.
S.P.R. de R.L. de C.V.
S.P.R. de R.I.
S.P.R. de R.S.
S.S.S.
A.C.
A. C.
A. en P.
A.B.P.
I.A.P.
I.B.P.
E.S.A.L.
S.A. de C.V., SOFOM, E.N.R.
S.A.P.I. de C.V., S.O.F.O.M., E.N.R.
S.A. de C.V. SOFOM E.R.
S.A. de C.V., SOFOM, Entidad No Regulada
S.A. de C.V., S.F.P.
S.A. de C.V., SOFIPO
S.A. de C.V., SOFOL
Sociedad Anónima
Sociedad Anónima de Capital Variable
Sociedad Anónima Bursátil de Capital Variable
Sociedad Anónima Promotora de Inversión de Capital Variable
Sociedad Anónima Promotora de Inversión Bursátil de Capital Variable
Sociedad por Acciones Simplificada de Capital Variable
Sociedad de Responsabilidad Limitada
Sociedad de Responsabilidad Limitada de Capital Variable
S. de Responsabilidad Limitada de Capital Variable
Sociedad Civil
Sociedad Cooperativa de Responsabilidad Limitada
Sociedad de Producción Rural de Responsabilidad Ilimitada
Sociedad en Comandita Simple
Sociedad en Comandita por Acciones
Sociedad en Nombre Colectivo
Asociación Civil
Institución de Asistencia Privada
S.A., Institución de Banca Múltiple
S.A. Institución de Banca Múltiple, Filial
S.A., Institución de Banca Múltiple, Grupo Financiero Sigma
S.A., Institución de Banca Múltiple, Sigma Grupo Financiero
S.A., Integrante del Grupo Financiero Sigma Norte
S.A. de C.V., Grupo Financiero Sigma
S.A. de C.V., Casa de Bolsa, Grupo Financiero Sigma
S.A. de C.V., Sociedad Financiera de Objeto Múltiple, E.N.R.
S.A. de C.V., SOFOM, E.R., Sigma Grupo Financiero
S.N.C., Institución de Banca de Desarrollo
Sociedad Anónima, Institución de Banca Múltiple, Grupo Financiero Sigma
S. de R.L. de C.V. M.I.
S. de R.L. M.I.
S.A. C.V.
S.A. de C.V., Sociedad Operadora de Fondos de Inversión
S.A. de C.V., Unión de Crédito
"""


def suggestions(given: dict[str, Any]) -> dict[str, str | None]:
    return {finding.code: finding.suggestion for finding in rules.warnings(given) if finding.path == "/legalName"}


class TestSuggestion:
    """The name as the SAT registers it: without its legal form, in capitals."""

    def test_the_examples_cover_enough_legal_forms(self) -> None:
        assert len(set(SUGGESTED_FORMS.strip().splitlines())) >= 60

    @pytest.mark.parametrize("form", SUGGESTED_FORMS.strip().splitlines())
    @pytest.mark.parametrize("name", ["Peña  Núñez y Cía.", "3M & Co", "Grupo 7", '"X"', "D.H.L.", "Sigma(2)"])
    def test_of_a_company(self, name: str, form: str) -> None:
        expected = " ".join(name.upper().split())
        for written in (f"{name} {form}", f"{name}, {form}", f"{name} - {form.upper()}", f"{name} ({form.lower()})"):
            given_customer = customer(legalName=written)
            assert suggestions(given_customer)["corporate-suffix"] == expected, written
            assert set(suggestions(given_customer).values()) == {expected}

    def test_another_form_before_it_is_a_part_of_the_name(self) -> None:
        assert suggestions(customer(legalName="GRUPO SC SA DE CV")) == {"corporate-suffix": "GRUPO SC"}
        assert suggestions(customer(legalName="RADIO SPR S.A.")) == {"corporate-suffix": "RADIO SPR"}

    @pytest.mark.parametrize(
        "name",
        [
            *("Grupo Sami", "Acer", "Distribuidora Acer", "Grupo Saser", "Casa", "La Casa", "Rosas", "Radio SPR"),
            *("Caja SCAP", "Grupo S", "Vitamina C", "Plan de P", "Optica ER", "Cafe MI", "Comercial DE IP"),
            *("Sociedad de Amigos", "La Sociedad", "Grupo CV", "Nueva Vision De C", "SA de CV Industrial", "MASC"),
            *("S.A. de C.V. Dunder", "Acme Inc.", "Acme, LLC", "X de CVA", "Grupo Sofoma", "Discapacidad"),
        ],
    )
    def test_an_ending_that_only_resembles_a_legal_form(self, name: str) -> None:
        upper = name.upper()
        assert set(suggestions(customer(legalName=name)).items()) <= {("not-upper-case", upper)}
        assert suggestions(customer(legalName=upper)) == {}

    @pytest.mark.parametrize("name", ["María Sá", "Luis S. C.", "Ana Sas", "Juan A.C.", "Eva Sapi", "Pedro Sá Sá"])
    @pytest.mark.parametrize("build", [person, foreigner])
    def test_a_surname_stays(self, build: Callable[..., dict[str, Any]], name: str) -> None:
        assert suggestions(build(legalName=name)) == {"not-upper-case": name.upper()}

    @pytest.mark.parametrize("form", ["s.a. de c.v.", "Sa", "(s. de r.l.)", "Sociedad Anónima", " - Sapi de CV"])
    def test_a_name_of_only_a_legal_form_has_no_suggestion(self, form: str) -> None:
        assert set(suggestions(normalized(customer(legalName=form))).values()) == {None}

    def test_keeps_accents_and_makes_spaces_single(self) -> None:
        name = "  Muñoz\u2003\t&  Ibáñez\u00a0Güemes , S.A."
        assert suggestions(normalized(customer(legalName=name)))["not-upper-case"] == "MUÑOZ & IBÁÑEZ GÜEMES"
        assert (
            suggestions(customer(legalName="Nu\u0301n\u0303ez S.\u0301A."))["corporate-suffix"] == "NU\u0301N\u0303EZ"
        )

    @given(st.text(max_size=250), st.sampled_from(SUGGESTED_FORMS.strip().splitlines()))
    def test_the_suggestion_is_a_prefix_of_the_name_with_single_spaces(self, name: str, form: str) -> None:
        for given_customer in (customer(legalName=f"{name} {form}"), person(legalName=f"{name} {form}")):
            for suggestion in suggestions(given_customer).values():
                if suggestion is not None:
                    assert suggestion == " ".join(suggestion.split()) != ""
                    readable = without_mojibake(without_html_entities(f"{name} {form}"))
                    assert plain_spaces(readable).upper().split()[0].startswith(suggestion.split()[0])


class TestFindings:
    SECRET = "zq\u0301Zq-sentinel"

    @pytest.mark.parametrize("build", [customer, person, foreigner])
    @pytest.mark.parametrize("field", [*(name for name in customer() if name != "address"), "zip", "state", "country"])
    @pytest.mark.parametrize("value", [SECRET, SECRET * 1_000, SECRET + " SA DE CV", f"{SECRET}|\x00", "CN01", "603"])
    def test_never_hold_the_value(self, build: Callable[..., dict[str, Any]], field: str, value: str) -> None:
        given_customer = build(**{field: value})
        for finding in rules.errors(given_customer) + rules.warnings(given_customer):
            assert value not in finding.message
            assert "sentinel" not in finding.message

    def test_never_hold_an_rfc_or_a_zip_that_is_warned_about(self) -> None:
        example = customer(legalName="Dunder Mifflin", taxId="DUM901231AB3", zip="86500")
        for finding in rules.warnings(example):
            assert not any(text in finding.message for text in ("Dunder", "DUM", "86500", "Sonora"))

    @pytest.mark.parametrize("field", [*(name for name in customer() if name != "address"), "zip", "state", "country"])
    def test_take_little_time_for_any_value(self, field: str) -> None:
        rules.errors(customer(email=f"a@{'é' * 50}.mx"))  # what the libraries load at their first use
        for text in [
            *HOSTILE,
            "S " * 50_000,
            "a@" * 50_000,
            "+1" * 50_000,
            "\u0301\u0327" * 50_000,
            "a" + "\u0301\u0327" * 50_000 + "@b.mx",
            "(" * 250,
            "1-" * 125,
            *(f"{each * 20_000}x" for each in " \u00a00a.(-+&@Ñ\u0301\u200b"),
        ]:
            started = time.process_time()
            given_customer = normalized(customer(**{field: text}))
            rules.errors(given_customer)
            rules.warnings(given_customer)
            assert time.process_time() - started < 0.5

    @given(st.text(), st.text(), st.text(), st.text())
    def test_no_text_makes_a_rule_raise(self, name: str, email: str, phone: str, state: str) -> None:
        given_customer = customer(legalName=name, email=email, phone=phone, state=state)
        of_another_state = {"/address/zip"} if states.zips_of(state) else set[str]()
        for finding in rules.errors(given_customer) + rules.warnings(given_customer):
            assert finding.path in {"/legalName", "/email", "/phone"} | of_another_state

    @given(st.text(max_size=20).map("a@{}.mx".format) | st.text(max_size=20).map("{}@b.mx".format))
    def test_no_almost_valid_email_makes_a_rule_raise(self, email: str) -> None:
        assert errors(customer(email=email)) <= {("/email", "invalid-email")}

    @given(st.text(alphabet="+0123456789 ().-/;=xext#,abc~\u2010\uff0b", max_size=40))
    def test_no_almost_valid_phone_makes_a_rule_raise(self, phone: str) -> None:
        assert errors(customer(phone=phone)) <= {("/phone", "invalid-phone")}

    def test_cannot_be_changed(self) -> None:
        with pytest.raises(AttributeError):
            Finding("/zip", "required", "Give it.").code = "other"  # type: ignore[misc]
