"""A target that leaves out a part of the work is not timed."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import Any

import pytest

from bench.measure import check, data

REFUSALS = check.refusals(1000)
EXPECTED: list[Any] = [{"id": data.customer_id(number)} for number in check.SAMPLES]


class FakeTarget:
    """Answer each request with the status set for it, and with 200 without one."""

    def __init__(self) -> None:
        self.asked: list[data.Request] = []
        self.statuses = dict(REFUSALS.values())

    def send(self, _port: int, request: data.Request) -> check.Answer:
        self.asked.append(request)
        body = json.dumps({"id": request.path.rpartition("/")[2]}).encode()
        return check.Answer(self.statuses.get(request, 200), {}, body)


class TestCheck:
    """A target that leaves out a part of the work is not timed."""

    @pytest.fixture
    def target(self, monkeypatch: pytest.MonkeyPatch) -> FakeTarget:
        target = FakeTarget()
        monkeypatch.setattr(check, "refusals", lambda _count: REFUSALS)
        monkeypatch.setattr(check, "send", target.send)
        return target

    def test_a_target_that_does_all_the_work_gets_every_request_twice(self, target: FakeTarget) -> None:
        check.check(1, EXPECTED, 1000)
        assert len(target.asked) == 2 * (len(check.SAMPLES) + len(REFUSALS))

    @pytest.mark.parametrize("name", REFUSALS)
    def test_a_target_that_accepts_what_must_be_refused_is_named(self, name: str, target: FakeTarget) -> None:
        target.statuses[REFUSALS[name][0]] = 200
        with pytest.raises(check.Unequal, match=f"answers 200 {name}, not 40"):
            check.check(1, EXPECTED, 1000)

    @pytest.mark.usefixtures("target")
    def test_another_body_raises(self) -> None:
        with pytest.raises(check.Unequal, match="another body"):
            check.check(1, [{**each, "phone": None} for each in EXPECTED], 1000)

    def test_an_expired_token_that_is_accepted_raises(self, target: FakeTarget) -> None:
        with pytest.raises(check.Unequal, match="a answers 200 with a token that has expired, not 401"):
            check.check_expiry({"a": 1}, pause=lambda _seconds: None)
        assert len(target.asked) == 2

    def test_a_valid_token_that_is_refused_raises(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(check, "send", lambda _port, _request: check.Answer(401, {}, b""))
        with pytest.raises(check.Unequal, match="a answers 401 with a token that lives, not 200"):
            check.check_expiry({"a": 1}, pause=lambda _seconds: None)

    @pytest.mark.parametrize(("status", "body", "raises"), [(304, b"", False), (200, b"", True), (304, b"{}", True)])
    def test_an_unchanged_customer_that_is_sent_again_raises(
        self, status: int, body: bytes, raises: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(check, "send", lambda _port, _request: check.Answer(status, {}, body))
        with pytest.raises(check.Unequal, match="not 304") if raises else nullcontext():
            check.check_unchanged(1, next(data.reads([0])))
