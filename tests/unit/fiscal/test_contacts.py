"""Emails, phones and texts that skip the library get the same result as from the library."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customer_service.fiscal import contacts
from customer_service.repository import search

NEVER = re.compile(r"(?!)")


@given(st.from_regex(contacts.PLAIN_EMAIL, fullmatch=True))
def test_the_library_accepts_every_plain_email(email: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contacts, "PLAIN_EMAIL", NEVER)
        assert contacts.is_email(email)


@given(st.from_regex(contacts.PLAIN_PHONE, fullmatch=True))
def test_the_library_accepts_every_plain_phone(phone: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contacts, "PLAIN_PHONE", NEVER)
        assert contacts.is_phone(phone, "MX")


@pytest.mark.parametrize("text", ["6474010101\n", "٦٤٧٤٠١٠١٠١", "1474010101"])
def test_others_are_not_plain(text: str) -> None:
    assert not contacts.PLAIN_PHONE.fullmatch(text)


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_texts_fold_as_other_texts_do(text: str) -> None:
    assert search.fold(text) == search.fold(f"{text}\u0301")
