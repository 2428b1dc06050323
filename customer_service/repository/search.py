"""Search terms: what an active customer is found by, and what a list asks for.

A customer stores them in one array, `search`: the edge n-grams of its words, a term for each of its exact keys and of
its metadata entries, one for what the SAT answered about it, and one that every active customer has.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

from customer_service.fiscal.characters import ASCII_CONTROLS, comparable
from customer_service.fiscal.limits import MAXIMUM_LEGAL_NAME_LENGTH
from customer_service.fiscal.rules import SAT_STATUSES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

MAXIMUM_NGRAM_LENGTH = 10
MAXIMUM_TERMS = 115  # with the keys of the five other indexes, a customer makes at most 120 keys whatever its name
ASCII_CONTROL = re.compile(f"[{ASCII_CONTROLS}]")
EMPTY_NGRAM = ""  # the n-gram of no characters, which begins every word
ACTIVE = {"search": EMPTY_NGRAM}
"""The condition that active customers meet, and deleted ones do not."""

KEY_FORMS: Mapping[str, Callable[[str], str]] = {"externalId": comparable, "taxId": str.upper, "email": str.casefold}
"""The exact keys, each with the form in which it is compared."""

EXACT_FIELDS = tuple(KEY_FORMS)

UNCHECKED = "unchecked"
SAT_TERMS = {status: f"satValidation {status}" for status in (*SAT_STATUSES, UNCHECKED)}
"""The search term of each status of the SAT's answer, and of a customer without one."""


@dataclass(frozen=True, slots=True)
class CustomerQuery:
    """What a list asks for: folded words, exact keys, metadata, the status of the SAT's answer, and bounds on times.

    The bounds are {field: {operator: time}}.
    """

    words: tuple[str, ...] = ()
    exact: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    ranges: Mapping[str, Mapping[str, datetime]] = field(default_factory=dict)
    sat_status: str | None = None

    @property
    def order(self) -> str:
        """The field that the list is sorted by, before `_id`."""
        return next(iter(self.ranges), "_id")

    def terms(self) -> list[Any]:
        """Return the values of `search` that every customer of the list has, the rarest first, as a rule."""
        plain = [word[:MAXIMUM_NGRAM_LENGTH] for word in self.words if " " not in word]
        rare = list(dict.fromkeys((*_key_terms(self.exact), *plain, *_metadata_terms(self.metadata))))
        common = [SAT_TERMS[self.sat_status]] if self.sat_status else []
        return [*(rare or (_joined_or_longest_part(word) for word in self.words)), *common] or [EMPTY_NGRAM]

    def conditions(self) -> list[dict[str, Any]]:
        """Return the conditions that the search terms leave open."""
        return [
            *(_prefix_condition(word) for word in self.words if " " in word or len(word) > MAXIMUM_NGRAM_LENGTH),
            *({f"metadata.{key}": value} for key, value in self.metadata.items()),
            *({name: {f"${o}": time for o, time in bounds.items()}} for name, bounds in self.ranges.items()),
        ]

    def matches_nothing(self) -> bool:
        """Whether a word has a character that no stored text has, and that no regular expression may have."""
        return any(ASCII_CONTROL.search(word) for word in self.words)


def words_of(q: str) -> tuple[str, ...]:
    """Split a search text into folded words, the longest first, without those that begin another."""
    words = sorted({_query_word(word) for word in _split(q)}, key=lambda word: (-len(word), word))
    return tuple(word for index, word in enumerate(words) if not any(w.startswith(word) for w in words[:index]))


def fold(text: str) -> str:
    """Return the text without regard to case and accents; ñ is n."""
    if text.isascii():  # nothing to decompose
        return text.casefold()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in decomposed if not unicodedata.combining(char)).casefold()


def search_terms(customer: Mapping[str, Any]) -> list[str]:
    """Return the `search` of an active customer.

    If they are too many, the beginnings of a long name's last words are left out first; those words are still found
    whole.
    """
    keys = {name: customer[name][:MAXIMUM_LEGAL_NAME_LENGTH] for name in KEY_FORMS if customer.get(name)}
    words = [_join(word) for key in keys.values() for word in _split(key)[:1]]
    for word in _split(customer["legalName"][:MAXIMUM_LEGAL_NAME_LENGTH]):
        words += (*word.split(), _join(word))
    metadata = customer.get("metadata")
    entries = metadata if isinstance(metadata, Mapping) else {}
    own = (EMPTY_NGRAM, sat_term(customer.get("satValidation")), *_key_terms(keys), *_metadata_terms(entries))
    return list(dict.fromkeys((*own, *_whole(words), *_ngrams(words))))[:MAXIMUM_TERMS]


def sat_term(validation: object) -> str:
    """Return the search term of what the SAT answered about a customer, or of None."""
    status = validation.get("status") if isinstance(validation, Mapping) else None
    return SAT_TERMS[status if status in SAT_STATUSES else UNCHECKED]


def with_sat_term(terms: Iterable[str], validation: object) -> list[str]:
    """Return the stored search terms with that of another answer in place of the one that they have, if any."""
    return [sat_term(validation) if term in SAT_TERMS.values() else term for term in terms]


def _split(text: str) -> list[str]:
    """Split at white space, then fold, then part each word by single spaces at its punctuation.

    The space that a spacing accent folds to parts nothing.
    """
    words = ("".join(fold(word).split()) for word in text.split())
    return [_part(word) for word in words if word]


def _part(word: str) -> str:
    """Return the parts of the word between its punctuation; a word of punctuation alone stays as it is."""
    if word.isalnum():
        return word
    return " ".join("".join(part) for is_between, part in groupby(word, _is_punctuation) if not is_between) or word


@lru_cache(1024)
def _is_punctuation(char: str) -> bool:
    return unicodedata.category(char).startswith("P") and char != "@"  # an email's beginning is not a name


def _join(word: str) -> str:
    return word.replace(" ", "")


def _query_word(word: str) -> str:
    """Return the word to look for: joined if it is a code, which has digits, or initials; else in its parts."""
    parts = word.split()
    return word if all(map(str.isalpha, parts)) and max(map(len, parts)) > 1 else _join(word)


def _joined_or_longest_part(word: str) -> dict[str, list[str]]:
    return {"$in": [each[:MAXIMUM_NGRAM_LENGTH] for each in (_join(word), max(word.split(), key=len))]}


def _prefix_condition(word: str) -> dict[str, Any]:
    """Return the condition that the word, or else each of its parts, begins one of the customer's."""
    if " " in word:
        return {"$or": [_prefix_condition(_join(word)), {"$and": [_prefix_condition(part) for part in word.split()]}]}
    return {"search": word if len(word) <= MAXIMUM_NGRAM_LENGTH else {"$regex": f"^{re.escape(word)}"}}


def _ngrams(words: Iterable[str]) -> Iterator[str]:
    """Yield the edge n-grams of each word."""
    for word in words:
        yield from [word[:length] for length in range(1, min(len(word), MAXIMUM_NGRAM_LENGTH) + 1)]


def _whole(words: Iterable[str]) -> Iterator[str]:
    """Yield what a search for each whole word compares."""
    for word in words:
        yield from (word[:MAXIMUM_NGRAM_LENGTH], word)


def _key_terms(keys: Mapping[str, str]) -> Iterator[str]:
    return (f"{name} {KEY_FORMS[name](value)}" for name, value in keys.items())  # no n-gram has a space


def _metadata_terms(entries: Mapping[str, Any]) -> Iterator[str]:
    return (
        f"metadata {key} {value}"[:MAXIMUM_LEGAL_NAME_LENGTH]
        for key, value in entries.items()
        if isinstance(value, str)
    )
