"""The log, the request id and the trace of a request, without the service."""

from __future__ import annotations

import errno
import json
import logging.config
import re
import sys
from io import BytesIO, TextIOWrapper

import pytest
from flask import Flask

from customer_service.observability import request_log
from customer_service.observability.metrics import Metrics
from customer_service.web import error_handlers
from customer_service.web.openapi import path_template


def bare_app() -> Flask:
    """Return an application that has nothing but its log and its problems."""
    app = Flask("bare")
    request_log.init_app(app, "info", Metrics(), path_template)
    error_handlers.init_app(app)

    @app.get("/ok/<name>")
    def ok(name: str) -> str:
        return name

    @app.get("/broken")
    def broken() -> str:
        raise KeyError("a customer's secret")

    return app


class FullDisk(BytesIO):
    """A file that takes nothing more."""

    def write(self, _: object) -> int:
        """Fail, as a write to a full disk does."""
        raise OSError(errno.ENOSPC, "No space left on device")


TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


class TestRequestId:
    @pytest.mark.parametrize("given", ["a", "x" * 128, "6f9619ff-8b86-d011-b42d-00cf4fc964ff", "A.b_c:d/e+f=g@h~i"])
    def test_a_safe_one_is_echoed(self, given: str) -> None:
        response = bare_app().test_client().get("/ok/x", headers={"X-Request-ID": given})
        assert response.headers["X-Request-ID"] == given

    @pytest.mark.parametrize("given", ["", "x" * 129, "a b", "<script>", 'a"b', "a,b", "é", "a\\n", "{}", "a\x7f"])
    def test_anything_else_is_replaced(self, given: str) -> None:
        response = bare_app().test_client().get("/ok/x", headers={"X-Request-ID": given})
        assert re.fullmatch("[0-9a-f]{32}", response.headers["X-Request-ID"])

    def test_each_request_has_its_own(self) -> None:
        client = bare_app().test_client()
        ids = {client.get("/ok/x").headers["X-Request-ID"] for _ in range(10)}
        assert len(ids) == 10

    def test_a_problem_contains_the_request_id(self) -> None:
        response = bare_app().test_client().get("/nowhere", headers={"X-Request-ID": "mine"})
        assert response.json is not None
        assert response.json["requestId"] == "mine"


class TestTrace:
    @pytest.mark.parametrize(
        ("given", "flags"),
        [
            (f"00-{TRACE}-{SPAN}-01", "01"),
            (f"00-{TRACE}-{SPAN}-00", "00"),
            (f"00-{TRACE}-{SPAN}-ff", "01"),
            (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", "01"),
            (f"cc-{TRACE}-{SPAN}-01", "01"),
        ],
    )
    def test_a_valid_one_is_continued(self, given: str, flags: str) -> None:
        answered = bare_app().test_client().get("/ok/x", headers={"traceparent": given}).headers["traceparent"]
        version, trace, span, answered_flags = answered.split("-")
        assert (version, trace, answered_flags) == ("00", TRACE, flags)
        assert re.fullmatch("[0-9a-f]{16}", span)
        assert span != SPAN

    @pytest.mark.parametrize(
        "given",
        [
            "",
            "garbage",
            f"00-{'0' * 32}-{SPAN}-01",
            f"00-{TRACE}-{'0' * 16}-01",
            f"ff-{TRACE}-{SPAN}-01",
            f"00-{TRACE}-{SPAN}-01-more",
            f"00-{TRACE}-{SPAN}-01-",
            f"00-{TRACE.upper()}-{SPAN}-01",
            f"00-{TRACE}-{SPAN}",
            f"00-{TRACE}-{SPAN}-1",
            f"00-{TRACE[:-1]}-{SPAN}-01",
            f"cc-{TRACE}-{SPAN}-01.more",
            f"00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01",
        ],
    )
    def test_an_invalid_one_is_replaced(self, given: str) -> None:
        answered = bare_app().test_client().get("/ok/x", headers={"traceparent": given}).headers["traceparent"]
        assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", answered)
        assert TRACE not in answered
        assert "0" * 32 not in answered


class TestLog:
    def test_a_request_is_one_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        headers = {"X-Request-ID": "mine", "traceparent": f"00-{TRACE}-{SPAN}-01", "Authorization": "Bearer hush"}
        bare_app().test_client().get("/ok/a-customer?q=hush", headers=headers)
        output = capsys.readouterr().out
        assert "hush" not in output
        assert "a-customer" not in output
        (line,) = map(json.loads, output.splitlines())
        assert line["durationMs"] >= 0
        assert {name: line[name] for name in line if name not in {"timestamp", "durationMs", "spanId"}} == {
            "event": "request",
            "level": "info",
            "method": "GET",
            "route": "/ok/{name}",
            "status": 200,
            "requestId": "mine",
            "traceId": TRACE,
        }

    def test_a_level_silences_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        app = Flask("bare")
        request_log.init_app(app, "warning", Metrics(), path_template)
        app.test_client().get("/nowhere")
        assert capsys.readouterr().out == ""

    def test_an_unexpected_error_is_logged_without_its_message(self, capsys: pytest.CaptureFixture[str]) -> None:
        response = bare_app().test_client().get("/broken", headers={"X-Request-ID": "mine"})
        assert response.status_code == 500
        assert response.json is not None
        assert response.json["type"] == "urn:problem-type:internal-error"
        output = capsys.readouterr().out
        assert "secret" not in output + response.text
        error, request = map(json.loads, output.splitlines())
        assert (error["event"], error["level"], error["type"]) == ("exception", "error", "builtins.KeyError")
        assert error["requestId"] == request["requestId"] == "mine"
        assert error["stack"][-1].endswith(" broken")
        assert request["status"] == 500

    def test_a_log_that_cannot_be_written_stops_no_request(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdout", TextIOWrapper(FullDisk()))
        client = bare_app().test_client()
        assert client.get("/ok/x").status_code == 200
        assert client.get("/broken").status_code == 500

    def test_the_standard_library_logs_the_same_lines(self, capsys: pytest.CaptureFixture[str]) -> None:
        root = logging.getLogger()
        before = root.handlers[:], root.level
        try:
            logging.config.dictConfig(request_log.logging_config("warning"))
            logging.getLogger("gunicorn.error").warning("worker %s", "left")
            logging.getLogger("gunicorn.error").info("unheard")
            try:
                dict[str, str]()["a customer's secret"]
            except KeyError:
                logging.getLogger("library").exception("it failed")
        finally:
            root.handlers[:], root.level = before
        output = capsys.readouterr().out
        assert "secret" not in output
        line, failure = map(json.loads, output.splitlines())
        assert (failure["event"], failure["type"], len(failure["stack"])) == ("it failed", "builtins.KeyError", 1)
        assert (line["event"], line["level"], line["logger"]) == ("worker left", "warning", "gunicorn.error")
        assert line["timestamp"].endswith("Z")
