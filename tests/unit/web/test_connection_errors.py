"""Gunicorn's connection errors of every cause become problem details."""

from __future__ import annotations

import json
import logging
from unittest.mock import Mock

import pytest
from gunicorn.http import errors

from customer_service.app import create_app
from customer_service.errors import Overloaded
from customer_service.web import connection_errors, problems
from customer_service.web.wsgi_environ import IS_OVERLOADED
from tests import support

QUOTED = "hunter2"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidRequestLine(QUOTED), 400),
        (errors.ParseException(QUOTED), 400),
        (errors.LimitRequestLine(9000, 8190), 414),
        (errors.LimitRequestHeaders(QUOTED), 431),
        (errors.ExpectationFailed(QUOTED), 417),
        (errors.UnsupportedTransferCoding(QUOTED), 501),
        (getattr(errors, "InvalidResponseHeader")(QUOTED), 500),  # noqa: B009 - newer than the types
        (getattr(errors, "InvalidResponseHeaderName")(QUOTED), 500),  # noqa: B009 - newer than the types
        (KeyError(QUOTED), 500),
        (SystemExit(QUOTED), 500),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_an_error_becomes_the_problem_of_its_kind(
    error: BaseException, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "customer_service")
    before = connection_errors.refusal_counts[status]
    head, _, body = connection_errors.response_to(error).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert connection_errors.refusal_counts[status] == before + (status != 500)
    problem = json.loads(body)
    assert problem["status"] == status
    assert QUOTED not in (head + body).decode()
    (record,) = support.own_records(caplog.records)
    assert record.levelno == (logging.ERROR if status == 500 else logging.INFO)
    assert QUOTED not in record.getMessage()
    assert {name: getattr(record, name) for name in ("status", "requestId", "error")} == {
        "status": status,
        "requestId": problem["requestId"],
        "error": type(error).__name__,
    }


def test_every_named_error_exists_in_gunicorn() -> None:
    for name in (*problems.SERVER_PROBLEMS, *connection_errors.FAULTS_OF_THE_SERVICE):
        assert issubclass(getattr(errors, name), errors.ParseException)


def test_a_request_that_the_server_did_not_admit_is_an_overload() -> None:
    client = create_app(support.settings()).test_client()
    before = connection_errors.refusal_counts[503]
    answer = client.get(support.url(), environ_overrides={IS_OVERLOADED: True})
    support.problem(answer, 503, "overloaded")
    assert connection_errors.refusal_counts[503] == before + 1


def test_a_request_that_is_refused_with_its_body_is_an_overload_too() -> None:
    body = Mock(spec_set=["read"])
    body.read.side_effect = Overloaded
    service = support.serve(create_app(support.settings()).extensions["database"])
    before = connection_errors.refusal_counts[503]
    refused = {"wsgi.input": body, "CONTENT_LENGTH": "9"}
    answer = support.caller(service, "editor").post(
        support.customers_url(), content_type="application/json", environ_overrides=refused
    )
    support.problem(answer, 503, "overloaded")
    assert connection_errors.refusal_counts[503] == before + 1
