"""The tax authority's rules for a customer (SAT, CFDI 4.0): errors, which forbid a write, and warnings.

Every function takes a customer in the form of a request's body, does not change it, and never raises. A value that is
missing or has the wrong type counts as absent: the schemas validate the shape.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stdnum.mx import rfc

from customer_service.errors.findings import Finding, value_at
from customer_service.fiscal import catalogues, characters, legal_forms, states
from customer_service.fiscal.catalogues import COUNTRIES, USES, USES_BY_REGIME
from customer_service.fiscal.characters import UNSTORABLE, comparable, is_blank, is_printable
from customer_service.fiscal.contacts import is_email, is_phone
from customer_service.fiscal.limits import (
    MAXIMUM_FOREIGN_TAX_ID_LENGTH,
    MAXIMUM_LEGAL_NAME_LENGTH,
    MAXIMUM_TEXT_LENGTH,
)
from customer_service.fiscal.names_and_places import place_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from customer_service.fiscal.names_and_places import ZipCodePlace

GENERIC_RFCS = frozenset({"XAXX010101000", "XEXX010101000"})
"""The RFCs for the general public, and for foreigners without an RFC."""

_PLACEHOLDERS = """
    CLIENTEEXTRANJERO DESCONOCIDA DESCONOCIDO EXTRANJERA EXTRANJERO FOREIGN FOREIGNER GENERIC GENERICA GENERICO
    NA ND NIL NINGUNA NINGUNO NOAPLICA NOAPPLICABLE NODISPONIBLE NONE NORFC NOTAPPLICABLE NOTAVAILABLE
    NOTAXID NOTIENE NULL PENDIENTE PENDING PUBLICOENGENERAL PUBLICOGENERAL RFC RFCGENERICO SD SINDATO SINDATOS SINID
    SINIDENTIFICACION SINNUMERO SINREGISTRO SINRFC SINTAXID SN TAXID TBD UNKNOWN VENTASALPUBLICO
"""
PLACEHOLDERS = frozenset(_PLACEHOLDERS.split())
"""Texts that callers send in place of an unknown tax id, in capitals without accents, spaces and punctuation."""

REPEATED_CHARACTER = re.compile(r"([09X])\1*")

DOMESTIC = "MEX"
LEGAL_NAME, TAX_ID, TAX_SYSTEM, EMAIL, PHONE = "/legalName", "/taxId", "/taxSystem", "/email", "/phone"
INVOICE_USE, ZIP, STATE, COUNTRY = "/defaultInvoiceUse", "/address/zip", "/address/state", "/address/country"
MUNICIPALITY = "/address/municipality"

SAT_COMPARED_PATHS = (LEGAL_NAME, TAX_ID, ZIP, TAX_SYSTEM)
"""The values that the SAT compares with its register; its answer is about these only."""

SAT_STATUSES = ("matched", "mismatched", "not-found")
MISMATCHED = "mismatched"

NAME_WARNINGS = {
    "corporate-suffix": "Leave out the legal form: the SAT registers names without it.",
    "not-upper-case": "Write the legal name in capitals, as the SAT registers it.",
    "html-entity": "Write the characters themselves, such as & for &amp;.",
    "mojibake": "Compare the name with the customer's papers: another program garbled its accents or its Ñ.",
    "odd-spaces": "Write one plain space between the words of the name.",
}
"""The messages of warnings about a legal name; all of them suggest the same name."""

LENGTH_MESSAGE = "Give a {} of 1 to {} characters that can be seen."
COMPANY_RFC_LENGTH = 12
PERSON_RFC_LENGTH = 13

RFC_PATTERN = re.compile(r"[A-Z&Ñ]{3,4}[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])[A-Z0-9]{2}[0-9A]")
ZIP_PATTERN = re.compile(r"[0-9]{5}")
OLD_MOBILE_PHONE = re.compile(r"521[0-9]{10}")  # until 2019, a 1 came before mobile numbers in calls from abroad


@dataclass(frozen=True, slots=True)
class _Receiver:
    """A kind of receiver of invoices, and its allowed regimes."""

    description: str
    regimes: frozenset[str]


_COMPANY = _Receiver(f"a company, whose RFC has {COMPANY_RFC_LENGTH} characters", catalogues.COMPANY_REGIMES)
_PERSON = _Receiver(f"a person, whose RFC has {PERSON_RFC_LENGTH} characters", catalogues.PERSON_REGIMES)
_UNREGISTERED = _Receiver("a generic RFC or a customer outside Mexico", frozenset({catalogues.NO_OBLIGATIONS}))
_UNKNOWN = _Receiver("a customer", frozenset(USES_BY_REGIME))


def normalized(customer: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy in the form to validate and store: trimmed texts, the tax id in capitals, MEX for no country."""
    copy = dict(customer)
    for name in ("legalName", "email"):
        if isinstance(text := copy.get(name), str):
            copy[name] = text.strip()
    if isinstance(tax_id := copy.get("taxId"), str):
        copy["taxId"] = tax_id.strip().upper()
    if isinstance(address := copy.get("address"), Mapping):
        country = DOMESTIC if address.get("country") is None else address["country"]
        copy["address"] = {**address, "country": country.upper() if isinstance(country, str) else country}
    return copy


def with_place(customer: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a normalized customer without errors, with the place of its zip in the empty address fields."""
    address = customer["address"]
    names = {name: text for name, text in _place_names(customer).items() if address.get(name) is None}
    return {**customer, "address": {**address, **names}}


def with_place_of_new_zip(before: Mapping[str, Any], customer: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of the changed customer.

    If its zip is new, the place names of the old zip are replaced by those of the new one.
    """
    if _text(before, ZIP) == _text(customer, ZIP):
        return dict(customer)
    names, address = _place_names(before), customer["address"]
    address_to_fill = {
        name: None if text is not None and names.get(name) == text else text for name, text in address.items()
    }
    return with_place({**customer, "address": address_to_fill})


def _place_names(customer: Mapping[str, Any]) -> dict[str, str]:
    """Return the SAT's names of the state, municipality and city of the customer's zip, those that it has."""
    place = place_of(_text(customer, ZIP) or "") if _country(customer) == DOMESTIC else None
    return {name: part.name for name, part in place._asdict().items() if part} if place else {}


def errors(customer: Mapping[str, Any]) -> list[Finding]:
    """Return every error of a normalized customer; errors that follow from another error are left out."""
    return [finding for rule in _ERRORS for finding in rule(customer)]


def warnings(customer: Mapping[str, Any]) -> list[Finding]:
    """Return the values of a normalized customer that the SAT will probably refuse; only the SAT can decide."""
    return [finding for rule in _WARNINGS for finding in rule(customer)]


def possible_tax_systems(customer: Mapping[str, Any]) -> frozenset[str]:
    """Return the possible regimes of a normalized customer without errors: its own, or all of its receiver's."""
    regime, regimes = _text(customer, TAX_SYSTEM), _receiver(customer).regimes
    return regimes if regime is None else frozenset({regime})


def has_same_sat_values(customer: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether the SAT's answer about one customer is also true of the other."""
    return all(value_at(customer, path) == value_at(other, path) for path in SAT_COMPARED_PATHS)


def unique_keys(customer: Mapping[str, Any]) -> dict[str, str]:
    """Return the unique keys: no other active customer of the organization may have them.

    The customer need not be normalized. Keys are in NFC and without invisible characters. A foreign tax id is unique
    in its country. A generic RFC or a placeholder is not a key in any country.
    """
    customer = normalized(customer)
    keys = {"externalId": comparable(_text(customer, "/externalId") or ""), "taxId": _tax_id_key(customer)}
    return {name: key for name, key in keys.items() if key}


def _tax_id_key(customer: Mapping[str, Any]) -> str | None:
    tax_id, country = comparable(_text(customer, TAX_ID) or "").strip(), _country(customer)
    if _is_placeholder(tax_id):
        return None
    return tax_id if country == DOMESTIC else f"{country}:{tax_id}"


def _is_placeholder(tax_id: str) -> bool:
    """Return whether many customers may have this tax id, because it identifies none of them."""
    if len(tax_id) > MAXIMUM_FOREIGN_TAX_ID_LENGTH:
        return False
    letters = tax_id if tax_id.isascii() else unicodedata.normalize("NFKD", tax_id)
    plain = "".join(filter(str.isalnum, letters))
    return (
        not plain or plain in GENERIC_RFCS or plain in PLACEHOLDERS or REPEATED_CHARACTER.fullmatch(plain) is not None
    )


def _is_generic(customer: Mapping[str, Any]) -> bool:
    return _country(customer) == DOMESTIC and _text(customer, TAX_ID) in GENERIC_RFCS


def _name_errors(customer: Mapping[str, Any]) -> Iterator[Finding]:
    name = _text(customer, LEGAL_NAME)
    if name is None:
        return
    if is_blank(name) or len(name) > MAXIMUM_LEGAL_NAME_LENGTH:
        yield Finding(LEGAL_NAME, "invalid-length", LENGTH_MESSAGE.format("legal name", MAXIMUM_LEGAL_NAME_LENGTH))
    if "|" in name or UNSTORABLE.search(name) or not is_printable(name):
        yield Finding(LEGAL_NAME, "invalid-character", "Remove vertical bars, and control characters of any kind.")


def _tax_id_errors(customer: Mapping[str, Any]) -> Iterator[Finding]:
    tax_id, country = _text(customer, TAX_ID), _country(customer)
    if tax_id is None or country not in COUNTRIES:
        return
    if country == DOMESTIC:
        if not RFC_PATTERN.fullmatch(tax_id):
            yield Finding(TAX_ID, "invalid-rfc", "Give the RFC without separators: 12 characters or 13, in capitals.")
        return
    if is_blank(tax_id) or len(tax_id) > MAXIMUM_FOREIGN_TAX_ID_LENGTH:
        yield Finding(TAX_ID, "invalid-length", LENGTH_MESSAGE.format("tax id", MAXIMUM_FOREIGN_TAX_ID_LENGTH))
    if UNSTORABLE.search(tax_id) or not is_printable(tax_id):
        yield Finding(TAX_ID, "invalid-character", "Remove control characters of any kind.")


def _regime_errors(customer: Mapping[str, Any]) -> Iterator[Finding]:
    regime, receiver = _text(customer, TAX_SYSTEM), _receiver(customer)
    if regime is None or regime in receiver.regimes:
        return
    code = "tax-system-not-allowed" if regime in USES_BY_REGIME else "unknown-tax-system"
    choice = ", ".join(sorted(receiver.regimes))
    yield Finding(TAX_SYSTEM, code, f"Choose a regime of c_RegimenFiscal for {receiver.description}: {choice}.")


def _use_errors(customer: Mapping[str, Any]) -> Iterator[Finding]:
    """Validate the use against the regime, or only against the catalogue if the regime has an error itself."""
    use, regime = _text(customer, INVOICE_USE), _text(customer, TAX_SYSTEM)
    allowed = USES_BY_REGIME[regime] if regime in _receiver(customer).regimes else USES
    if use is None or use in allowed:
        return
    code = "invoice-use-not-allowed" if use in USES else "unknown-invoice-use"
    yield Finding(INVOICE_USE, code, f"Choose one of these uses of c_UsoCFDI: {', '.join(sorted(allowed))}.")


def _email_errors(customer: Mapping[str, Any]) -> Iterator[Finding]:
    email = _text(customer, EMAIL)
    if email is not None and not is_email(email):
        yield Finding(EMAIL, "invalid-email", "Give one e-mail address, without a name and without spaces around it.")


def _phone_errors(customer: Mapping[str, Any]) -> Iterator[Finding]:
    phone, region = _text(customer, PHONE), COUNTRIES.get(_country(customer))
    if phone is None or region is None or is_phone(phone, region):
        return
    if OLD_MOBILE_PHONE.fullmatch(re.sub(r"[^0-9]", "", phone[:MAXIMUM_TEXT_LENGTH])):
        yield Finding(PHONE, "invalid-phone", "Leave out the 1 behind 52: a number in Mexico has ten digits.")
    else:
        yield Finding(PHONE, "invalid-phone", "Give one number: ten national digits, or E.164, and no extension.")


def _address_errors(customer: Mapping[str, Any]) -> Iterator[Finding]:
    country, zip_code = _text(customer, COUNTRY), value_at(customer, ZIP)
    if country is not None and country not in COUNTRIES:
        yield Finding(COUNTRY, "unknown-country", "Give the country's three letters of ISO 3166-1, such as MEX.")
    if _country(customer) != DOMESTIC or not isinstance(customer.get("address"), Mapping):
        return
    if zip_code is None and not _is_generic(customer):  # CFDI40149: an invoice to a generic RFC has the issuer's zip
        yield Finding(ZIP, "required", "Give the postal code of the fiscal address: Mexico's invoices need it.")
    elif isinstance(zip_code, str) and not ZIP_PATTERN.fullmatch(zip_code):
        yield Finding(ZIP, "invalid-zip", "Give the five digits of the postal code.")


def _check_digit_warnings(customer: Mapping[str, Any]) -> Iterator[Finding]:
    tax_id = _text(customer, TAX_ID)
    if tax_id is None or _receiver(customer) not in (_COMPANY, _PERSON):
        return
    if rfc.calc_check_digit(tax_id[:-1]) != tax_id[-1]:
        yield Finding(TAX_ID, "check-digit", "Compare the RFC with the customer's papers: its check digit is wrong.")


def _zip_warnings(customer: Mapping[str, Any]) -> Iterator[Finding]:
    zip_code = _text(customer, ZIP) or ""
    if _country(customer) != DOMESTIC or not ZIP_PATTERN.fullmatch(zip_code):
        return
    place = place_of(zip_code)
    if place is None:
        yield Finding(ZIP, "unknown-zip", "Compare the postal code with the customer's papers: the SAT has none such.")
    if _is_outside_state(zip_code, place, _text(customer, STATE) or ""):
        yield Finding(ZIP, "zip-outside-state", "Compare the postal code with the state: it is none of the state's.")
    elif _is_outside_municipality(place, _text(customer, MUNICIPALITY) or ""):
        message = "Compare the postal code with the municipality: it is none of the municipality's."
        yield Finding(ZIP, "zip-outside-municipality", message)


def _is_outside_state(zip_code: str, place: ZipCodePlace | None, state: str) -> bool:
    """Return whether a zip is outside a state by its first digits and by the catalogue, which has some errors."""
    zips = states.zips_of(state)
    if zips is None or int(zip_code[:2]) in zips:
        return False
    return place is None or states.zips_of(place.state.code) != zips


def _is_outside_municipality(place: ZipCodePlace | None, municipality: str) -> bool:
    if place is None or place.municipality is None or not municipality:
        return False
    return not states.is_same_place(municipality, place.municipality.name)


def _name_warnings(customer: Mapping[str, Any]) -> Iterator[Finding]:
    name = _text(customer, LEGAL_NAME)
    if name is None or len(name) > MAXIMUM_LEGAL_NAME_LENGTH:
        return
    is_company = _receiver(customer) is _COMPANY
    decoded = characters.without_mojibake(characters.without_html_entities(name))
    is_incomplete = characters.has_lost_characters(decoded)
    registered = legal_forms.without_legal_form(characters.plain_spaces(decoded).upper(), is_company=is_company)
    doubts = (
        ("corporate-suffix", legal_forms.has_legal_form(name, is_company=is_company)),
        ("not-upper-case", name != name.upper()),
        ("html-entity", characters.without_html_entities(name) != name),
        ("mojibake", is_incomplete or characters.without_mojibake(name) != name),
        ("odd-spaces", characters.plain_spaces(name) != name.strip()),
    )
    for code, is_so in doubts:
        if is_so:
            yield Finding(LEGAL_NAME, code, NAME_WARNINGS[code], None if is_incomplete else registered or None)


def _receiver(customer: Mapping[str, Any]) -> _Receiver:
    """Return the kind of receiver, or _UNKNOWN if the country or the tax id has an error."""
    tax_id, country = _text(customer, TAX_ID) or "", _country(customer)
    if country not in COUNTRIES:
        return _UNKNOWN
    if country != DOMESTIC or _is_generic(customer):
        return _UNREGISTERED
    if not RFC_PATTERN.fullmatch(tax_id):
        return _UNKNOWN
    return _COMPANY if len(tax_id) == COMPANY_RFC_LENGTH else _PERSON


def _country(customer: Mapping[str, Any]) -> str:
    """Return the country, Mexico if it is absent, and an empty text if it has the wrong type."""
    country = value_at(customer, COUNTRY)
    if country is None:
        return DOMESTIC
    return country if isinstance(country, str) else ""


def _text(customer: Mapping[str, Any], path: str) -> str | None:
    value = value_at(customer, path)
    return value if isinstance(value, str) else None


_ERRORS = (_name_errors, _tax_id_errors, _regime_errors, _use_errors, _email_errors, _phone_errors, _address_errors)
_WARNINGS = (_name_warnings, _check_digit_warnings, _zip_warnings)
