"""The errors of the service that driver errors become."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
    WriteError,
)

from customer_service.errors import CustomerServiceError, DatabaseError, DatabaseUnavailable, DocumentRefused
from customer_service.repository.driver_errors import refused_of, translates_errors


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (OperationFailure("", 133), DatabaseUnavailable),  # of mongos, if a shard has no primary
        (OperationFailure("", 134), DatabaseUnavailable),
        (OperationFailure("", 11602), DatabaseUnavailable),
        (WriteConcernError("", 91), DatabaseUnavailable),
        (OperationFailure("", 462, {"errorLabels": ["SystemOverloadedError"]}), DatabaseUnavailable),
        (ConfigurationError("a name that cannot be resolved"), DatabaseUnavailable),
        (OperationFailure("", 13), DatabaseError),
        (WriteConcernError("", 100), DatabaseError),
        (PyMongoError(), DatabaseError),
        (BulkWriteError({"writeErrors": [{"code": 11602}]}), DatabaseUnavailable),
        (BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"code": 91}]}), DatabaseUnavailable),
        (BulkWriteError({"writeErrors": [{"code": 121}]}), DatabaseError),
    ],
)
def test_only_errors_that_may_pass_become_database_unavailable(
    raised: PyMongoError, expected: type[CustomerServiceError]
) -> None:
    @translates_errors
    def operation() -> None:
        raise raised

    with pytest.raises(expected):
        operation()


@pytest.mark.parametrize(
    ("raised", "of_document"),
    [
        (OperationFailure("", 121), True),  # of find_one_and_update
        (WriteError("", 17419), True),
        (DuplicateKeyError("", 11000), True),
        (BulkWriteError({"writeErrors": [{"code": 121, "index": 0}, {"code": 11000, "index": 2}]}), True),
        (BulkWriteError({"writeErrors": [{"code": 121, "index": 0}, {"code": 371, "index": 1}]}), False),
        (WriteError("", 371), False),  # writes are blocked
        (WriteError("", 14031), False),  # the disk is full
        (WriteError("", 8000), False),  # over the quota of a hosted cluster
        (OperationFailure("", 13), False),
        (PyMongoError(), False),
    ],
)
def test_only_what_is_in_a_document_is_an_error_of_it(raised: PyMongoError, of_document: bool) -> None:
    @translates_errors
    def operation() -> None:
        raise raised

    with pytest.raises(DatabaseError) as caught:
        operation()
    assert isinstance(caught.value, DocumentRefused) is of_document
    if isinstance(raised, BulkWriteError):
        with nullcontext() if of_document else pytest.raises(BulkWriteError):
            assert refused_of(raised) == {0, 2}
