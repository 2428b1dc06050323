"""The entries of a customer's history: each version, compared with the version before it."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal

from customer_service.errors import MalformedDocument
from customer_service.errors.findings import to_pointer
from customer_service.repository.versions import version_of
from customer_service.schemas.outputs import CUSTOMER_SCHEMA, VersionSchema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from customer_service.repository.database import Document

VERSION_SCHEMA = VersionSchema()
CHANGED_WITH_EVERY_WRITE = "/updatedAt"
FIRST_VERSIONS = (0, 1)
"""The versions that a history begins with: this service creates version 1, other programs store none."""


def entries(documents: Sequence[Document], limit: int) -> list[dict[str, Any]]:
    """Return the entries of up to `limit` of the documents, which are a customer's newest first.

    If there are more documents, the next one is what the last entry is compared with.
    """
    pairs = list(zip_longest(documents, documents[1:]))
    return [_entry(document, older) for document, older in pairs[:limit]]


def _entry(document: Document, older: Document | None) -> dict[str, Any]:
    kind = _kind(document, older)
    return {
        "version": version_of(document),
        **VERSION_SCHEMA.dump_document(document),
        "change": kind,
        "changed": _changed(older, document) if kind == "changed" and older is not None else [],
    }


def _kind(document: Document, older: Document | None) -> Literal["created", "changed", "deleted", "restored"]:
    """Return the kind of the change.

    Without an older document it is `changed` if older versions existed and are no longer stored.
    """
    if document.get("deletedAt") is not None:
        return "deleted"
    if older is None:
        return "created" if version_of(document) in FIRST_VERSIONS else "changed"
    return "changed" if older.get("deletedAt") is None else "restored"


def _changed(older: Document, document: Document) -> list[str]:
    """Return the JSON Pointers of the customer's values that differ; none if a document cannot be serialized."""
    try:
        before, after = (dict(_values(CUSTOMER_SCHEMA.dump_document(each))) for each in (older, document))
    except MalformedDocument:
        return []
    pointers = (before.keys() | after.keys()) - {CHANGED_WITH_EVERY_WRITE}
    return sorted(pointer for pointer in pointers if before.get(pointer) != after.get(pointer))


def _values(customer: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, object]]:
    """Yield each value inside the customer's objects by its JSON Pointer; a list is one value."""
    for name, value in customer.items():
        pointer = path + to_pointer(name)
        if isinstance(value, dict):
            yield from _values(value, pointer)
        else:
            yield pointer, value
