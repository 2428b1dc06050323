"""The driver's errors: they become errors of the service, or say which documents have a duplicate key."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from pymongo.errors import BulkWriteError, ConfigurationError, ConnectionFailure, PyMongoError

from customer_service.errors import DatabaseError, DatabaseUnavailable, DocumentRefused, IndexesMissing

if TYPE_CHECKING:
    from collections.abc import Callable

TRANSIENT_CODES = {6, 7, 64, 89, 91, 133, 134, 189, 262, 9001, 10058, 10107, 11600, 11602, 13435, 13436}
"""The server's error codes, of a write or of its write concern, that stop once the replica set has a primary again."""
OVERLOADED_LABEL = "SystemOverloadedError"
BAD_VALUE = 2
DUPLICATE_KEY = 11000
DOCUMENT_CODES = {28, 52, 57, 66, 121, 171, 10334, DUPLICATE_KEY, 17280, 17419}
"""The server's error codes for what is in a document: its names, its size, its keys, another program's validator."""

BAD_HINT = "hint provided does not correspond to an existing index"

P = ParamSpec("P")
R = TypeVar("R")


def translates_errors(operation: Callable[P, R]) -> Callable[P, R]:
    """Raise the driver's errors as those of the service.

    DatabaseUnavailable is worth a retry; IndexesMissing, DocumentRefused and DatabaseError are not.
    """

    @functools.wraps(operation)
    def translated(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return operation(*args, **kwargs)
        except PyMongoError as error:
            if is_transient(error):
                raise DatabaseUnavailable(type(error).__name__) from error
            if BAD_VALUE in codes_of(error) and BAD_HINT in str(error):
                raise IndexesMissing(_describe(error)) from error
            refusal = DocumentRefused if is_of_document(error) else DatabaseError
            raise refusal(_describe(error)) from error

    return translated


def is_transient(error: PyMongoError) -> bool:
    """Return whether a retry may succeed.

    ConfigurationError is the driver's error if it cannot resolve the name of a `mongodb+srv` URI, which it does at its
    first operation. MongoDB adds the label to the errors of a server that has too many operations.
    """
    has_type = error.timeout or isinstance(error, ConnectionFailure | ConfigurationError)
    return has_type or error.has_error_label(OVERLOADED_LABEL) or bool(codes_of(error) & TRANSIENT_CODES)


def codes_of(error: PyMongoError) -> set[object]:
    """Return the server's error codes: one, or those of each failed write of a bulk write and of its write concern."""
    if not isinstance(error, BulkWriteError):
        return {getattr(error, "code", None)}
    failures = (*error.details.get("writeErrors", ()), *error.details.get("writeConcernErrors", ()))
    return {failure.get("code") for failure in failures}


def duplicates_of(error: BulkWriteError) -> set[int]:
    """Return the indexes of the documents with a duplicate key; raises the error if there is any other failure."""
    failures = error.details["writeErrors"]
    if error.details.get("writeConcernErrors") or any(failure["code"] != DUPLICATE_KEY for failure in failures):
        raise error
    return {failure["index"] for failure in failures}


def is_of_document(error: PyMongoError) -> bool:
    """Return whether MongoDB refused a document for what is in it, so that it may accept others."""
    return codes_of(error) <= DOCUMENT_CODES


def refused_of(error: BulkWriteError) -> set[int]:
    """Return the indexes of the documents that MongoDB refused for what is in them; raises any other error."""
    if not is_of_document(error):
        raise error
    return {failure["index"] for failure in error.details["writeErrors"]}


def _describe(error: PyMongoError) -> str:
    """Return the error's class and the server's code; the message is left out because it may quote a document."""
    code = getattr(error, "code", None)
    return type(error).__name__ if code is None else f"{type(error).__name__} {code}"
