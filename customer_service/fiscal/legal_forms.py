"""Legal forms at the end of a company's name, such as S.A. de C.V.: the SAT registers names without them."""

from __future__ import annotations

import re
from functools import cache

from customer_service.fiscal.characters import folded

_LEGAL_FORMS = (
    "SOCIEDAD ANONIMA|SOCIEDAD ANONIMA BURSATIL|SOCIEDAD ANONIMA PROMOTORA DE INVERSION"
    "|SOCIEDAD ANONIMA PROMOTORA DE INVERSION BURSATIL|SOCIEDAD POR ACCIONES SIMPLIFICADA|SOCIEDAD CIVIL"
    "|SOCIEDAD COOPERATIVA|SOCIEDAD DE PRODUCCION RURAL|SOCIEDAD EN COMANDITA SIMPLE"
    "|SOCIEDAD EN COMANDITA POR ACCIONES|SOCIEDAD EN NOMBRE COLECTIVO|SOCIEDAD DE RESPONSABILIDAD LIMITADA"
    "|SOCIEDAD DE SOLIDARIDAD SOCIAL|SOCIEDAD MUTUALISTA|ASOCIACION CIVIL|ASOCIACION RELIGIOSA"
    "|INSTITUCION DE ASISTENCIA PRIVADA|DE CV|DE CAPITAL VARIABLE|DE RESPONSABILIDAD LIMITADA"
    "|SOFOM|SOFOL|SOFIPO"
)
# These may also be a person's initials or surname: María Sá is not a stock corporation.
_SHORT_LEGAL_FORMS = (
    "SA|SAB|SAPI|SAPIB|SAS|SC|SCL|SCP|SCS|SRL|SSS|S EN C|S EN C POR A|S EN NC|SNC|A EN P|AC|AR|ABP|IAP|IBP|ESAL"
)
_LIABLE_FORMS = "S|SCAP|SPR"  # legal forms only before a liability
_LIABILITIES = (
    "DE CV|DE RL|DE RI|DE RS|DE P DE RL|DE AP DE RL|DE CAPITAL VARIABLE|DE RESPONSABILIDAD LIMITADA"
    "|DE RESPONSABILIDAD ILIMITADA|DE RESPONSABILIDAD SUPLEMENTADA"
)
_ADDITIONS = (
    "CV|MI|DE IP|SFP|SOFOM|SOFOL|SOFIPO|ER|ENR|ENTIDAD REGULADA|ENTIDAD NO REGULADA|FILIAL"
    "|INSTITUCION DE BANCA MULTIPLE|INSTITUCION DE BANCA DE DESARROLLO|INSTITUCION DE SEGUROS|CASA DE BOLSA"
    "|SOCIEDAD FINANCIERA DE OBJETO MULTIPLE|SOCIEDAD FINANCIERA DE OBJETO LIMITADO|SOCIEDAD FINANCIERA POPULAR"
    "|SOCIEDAD OPERADORA DE FONDOS DE INVERSION|UNION DE CREDITO"
)
# What the statutes of banks end in: `Grupo Financiero Sigma`, `Sigma Grupo Financiero`, `Integrante del Grupo …`.
_FINANCIAL_GROUP = r"(?: \w+){0,3} GRUPO FINANCIERO(?: \w+)*"

_SEPARATORS = " ,;:/([{-–—"  # a period ends an abbreviation, such as CIA., and stays

_MAXIMUM_ENDING_LENGTH = 200  # longer than any legal form; Unicode decomposition takes quadratic time


def has_legal_form(name: str, *, is_company: bool) -> bool:
    """Return whether the name ends in a legal form, such as S.A. de C.V.; short forms count only for companies."""
    return _compiled(rf"\S {_ENDINGS[is_company]}\Z").search(folded(name[-_MAXIMUM_ENDING_LENGTH:])) is not None


def without_legal_form(name: str, *, is_company: bool) -> str:
    """Return the name without the legal form at its end and the separators before it.

    It returns an empty text if the name is only a legal form.
    """
    form = _compiled(rf"(?:\A| )({_ENDINGS[is_company]})\Z").search(folded(name[-_MAXIMUM_ENDING_LENGTH:]))
    return name[: _start_of(form[1], name)].rstrip(_SEPARATORS) if form else name


def _start_of(ending: str, name: str) -> int:
    """Return the index in the name at which its folded ending begins: count as many letters from the end."""
    start, letters = len(name), len(ending.replace(" ", ""))
    while letters > 0:
        start -= 1
        letters -= len(folded(name[start]).replace(" ", ""))
    return start


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Return the compiled pattern: it takes a twentieth of a second, which a process without a write saves."""
    return re.compile(pattern)


def _spaced(forms: str) -> str:
    """Return a regular expression that matches any of these forms, with or without spaces between letters."""
    return f"(?:{'|'.join(' ?'.join(form.replace(' ', '')) for form in forms.split('|'))})"


_LIABILITY = _spaced(_LIABILITIES)
_MORE = rf"(?: ?{_LIABILITY}| {_spaced(_ADDITIONS)})*(?:{_FINANCIAL_GROUP})?"
_PLAIN = rf"(?:{_spaced(_LEGAL_FORMS)}|{_spaced(f'{_LIABLE_FORMS}|{_SHORT_LEGAL_FORMS}')} ?{_LIABILITY}){_MORE}"
_ENDINGS = {False: _PLAIN, True: f"(?:{_PLAIN}|{_spaced(_SHORT_LEGAL_FORMS)}{_MORE})"}
