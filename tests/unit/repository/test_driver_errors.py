"""The errors of the service that driver errors become."""

from __future__ import annotations

import pytest
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError, WriteConcernError

from customer_service.errors import CustomerServiceError, DatabaseError, DatabaseUnavailable
from customer_service.repository.driver_errors import translates_errors


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (OperationFailure("", 133), DatabaseUnavailable),  # of mongos, if a shard has no primary
        (OperationFailure("", 134), DatabaseUnavailable),
        (OperationFailure("", 11602), DatabaseUnavailable),
        (WriteConcernError("", 91), DatabaseUnavailable),
        (OperationFailure("", 13), DatabaseError),
        (WriteConcernError("", 100), DatabaseError),
        (PyMongoError(), DatabaseError),
        (BulkWriteError({"writeErrors": [{"code": 11602}]}), DatabaseUnavailable),
        (BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"code": 91}]}), DatabaseUnavailable),
        (BulkWriteError({"writeErrors": [{"code": 121}]}), DatabaseError),
    ],
)
def test_errors_of_an_election_become_database_unavailable(
    raised: PyMongoError, expected: type[CustomerServiceError]
) -> None:
    @translates_errors
    def operation() -> None:
        raise raised

    with pytest.raises(expected):
        operation()
