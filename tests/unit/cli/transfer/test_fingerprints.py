"""A set of texts in few bytes: it knows every text that it was given, and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from customer_service.cli.transfer import fingerprints
from customer_service.cli.transfer.fingerprints import FingerprintSet

if TYPE_CHECKING:
    import pytest


@given(st.lists(st.text(max_size=2)))
def test_it_is_a_set(texts: list[str]) -> None:
    known, own = FingerprintSet(), set[str]()
    for text in texts:
        assert known.add(text) == (text in own)
        own.add(text)


def test_it_grows() -> None:
    known = FingerprintSet()
    assert not any(known.add(str(number)) for number in range(20_000))
    assert all(known.add(str(number)) for number in range(20_000))
    assert len(known._slots) * known._slots.itemsize <= 24 * 20_000 + 24 * fingerprints.SLOTS


def test_fingerprints_that_meet_have_slots_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "SLOTS", 2)
    known = FingerprintSet()
    assert [known.add(text) for text in "abcabc"] == [False] * 3 + [True] * 3


def test_half_a_character_is_a_text() -> None:
    known = FingerprintSet()
    assert [known.add("\ud800"), known.add("\ud800")] == [False, True]
