"""The legends of the SAT's validator, and what each says about a receiver."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from customer_service.fiscal import rules
from customer_service.fiscal.characters import folded

if TYPE_CHECKING:
    from collections.abc import Mapping


class Legend(NamedTuple):
    """What a legend says: the status, and the values that differ."""

    status: str
    mismatches: tuple[str, ...] = ()


# Source of each: docs.kiban.cloud/reference/validation-for-rfc-with-data, whose API returns what the validator answers.
# The third is described by facturando.mx/blog/index.php/tag/validador-de-rfc too, as the answer to a file.
_TEXTS = {
    "RFC válido, y susceptible de recibir facturas": Legend("matched"),
    "El nombre, denominación o razón social no coincide con el registrado en el RFC": Legend(
        rules.MISMATCHED, (rules.LEGAL_NAME,)
    ),
    "RFC no registrado en el padrón de contribuyentes": Legend("not-found"),
    "El Código Postal no coincide con el registrado en el RFC": Legend(rules.MISMATCHED, (rules.ZIP,)),
}
LEGENDS: Mapping[str, Legend] = {folded(text): legend for text, legend in _TEXTS.items()}
"""The known legends, folded."""


def parse_legend(text: str) -> tuple[str, Legend]:
    """Return the legend of `text=status`, folded, and what it says; raises ValueError."""
    legend, _, status = text.rpartition("=")
    if not folded(legend) or status not in rules.SAT_STATUSES:
        raise ValueError
    return folded(legend), Legend(status)
