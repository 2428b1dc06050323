"""The columns of a CSV, and the field of each by its name in English or Spanish."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from customer_service.cli.transfer.rows import Unreadable
from customer_service.schemas.inputs import OPTIONAL_FIELDS
from customer_service.services import validation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COLUMNS = (
    *(name for name in validation.ALWAYS_STORED if name != "address"),
    *(f"address.{name}" for name in validation.ADDRESS_FIELDS),
    *(name for name in OPTIONAL_FIELDS if name != "metadata"),
)
"""The columns of an export, before those of the metadata."""

METADATA = "metadata."
REASON = "reason"
"""The column that `--rejects` adds, and that an import ignores."""

SPANISH = {
    "legalName": (
        *("Razón social", "Denominación social", "Nombre", "Nombre o razón social", "Denominación o razón social"),
        *("Nombre receptor", "Razón social receptor"),
    ),
    "taxId": ("RFC", "RFC receptor"),
    "taxSystem": ("Régimen fiscal", "Régimen", "Régimen fiscal receptor"),
    "email": ("Correo", "Correo electrónico", "E-mail", "Correo receptor", "Correo de facturación"),
    "phone": ("Teléfono", "Tel.", "Celular", "Móvil"),
    "defaultInvoiceUse": ("Uso de CFDI", "Uso CFDI", "Uso del CFDI", "Uso"),
    "address.street": ("Calle",),
    "address.exterior": ("Número exterior", "Núm. exterior", "No. exterior", "Núm. ext.", "No. ext."),
    "address.interior": ("Número interior", "Núm. interior", "No. interior", "Núm. int.", "No. int."),
    "address.neighborhood": ("Colonia",),
    "address.city": ("Localidad", "Ciudad"),
    "address.municipality": ("Municipio", "Alcaldía"),
    "address.zip": ("Código postal", "C.P.", "Domicilio fiscal receptor"),
    "address.state": ("Estado", "Entidad federativa"),
    "address.country": ("País",),
    "externalId": ("Id externo", "Clave de cliente", "Número de cliente"),
}
IGNORED = re.compile(r'[^\w,;\t|"\0]|_')  # but not the signs of a wrong separator or encoding
MAXIMUM_NAME_LENGTH = 200
"""The length of a name that is compared: many accents on one letter take quadratic time to sort."""

SHOWN = 20
"""How many columns a message names: a file that is not a CSV may have a hundred thousand."""

KNOWN = f"{', '.join(COLUMNS)}, {METADATA}*"


def column_key(name: str) -> str:
    """Return a name without accents, case, spaces and punctuation; only the beginning of one that is no column's."""
    return IGNORED.sub("", unicodedata.normalize("NFKD", name[:MAXIMUM_NAME_LENGTH]).casefold())


FIELDS = {column_key(name): name for name in (*COLUMNS, REASON)}
FIELDS |= {column_key(name): field for field, names in SPANISH.items() for name in names}


def field_of(name: str) -> str | None:
    """Return the field of a column of this name, or None; the name of a metadata entry stays as it is."""
    prefix, own = name.lstrip()[: len(METADATA)], name.lstrip()[len(METADATA) :]
    if own and prefix.lower() == METADATA:
        return METADATA + own
    return FIELDS.get(column_key(name))


def is_known(name: str, given: Mapping[str, str]) -> bool:
    """Return whether a column of this name holds a field."""
    return column_key(name) in given or field_of(name) is not None


def fields_of(names: Sequence[str], given: Mapping[str, str]) -> list[str | None]:
    """Return the field of each column, or None for one without a name; raises Unreadable.

    Messages name a column by its number: in a file without a header, its name is a customer's data.
    """
    keys = [column_key(name) for name in names]
    fields = [given.get(key) or field_of(name) for key, name in zip(keys, names, strict=True)]
    if missing := given.keys() - set(keys):
        raise Unreadable(f"The header has no column of --column: {', '.join(sorted(missing))}.")
    if unknown := [place for place, name in enumerate(names) if name.strip() and fields[place] is None]:
        raise Unreadable(_unknown(unknown))
    first: dict[str | None, int] = {}
    for place, field in enumerate(fields, 1):
        if field and first.setdefault(field, place) != place:
            raise Unreadable(f"Column {place} of the header is a duplicate: column {first[field]} is {field} too.")
    return fields


def _unknown(places: Sequence[int]) -> str:
    which = ", ".join(str(place + 1) for place in places[:SHOWN]) + (", …" if len(places) > SHOWN else "")
    subject = f"Column {which} of the header is" if len(places) == 1 else f"Columns {which} of the header are"
    return (
        f"{subject} none of these, nor of their Spanish names: {KNOWN}. "
        'Name the field, as in --column "My header=taxId", or delete the column. '
        'A header that looks right was saved in another encoding: save the file as "CSV UTF-8".'
    )
