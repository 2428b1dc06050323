"""What a customer is found by, and what a list asks for.

A living customer stores `search.tokens`: the prefixes of its words, the beginnings of each pair of them, its exact
keys, and one token that every living customer has. A list matches one token by equality and is sorted by `_id`, so
that one index keeps every page sorted, single and exact; what else is asked is looked up in `search.text`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

LONGEST_PREFIX = 16
LONGEST_TEXT = 300  # no text of a caller's is longer; another program's must not make tokens without end
PAIR_LENGTHS = (5, 3, 2)
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
LEADING_PUNCTUATION = re.compile(r"^\W+")

# No word's prefix has a capital, since words are folded.
LIVING = "L"

# The most selective first.
_EXACT: Mapping[str, tuple[str, Callable[[str], str]]] = {
    "externalId": ("X:", str),
    "taxId": ("T:", str.upper),
    "email": ("E:", str.casefold),
}
EXACT_FIELDS = tuple(_EXACT)


@dataclass(frozen=True, slots=True)
class CustomerQuery:
    """What a list asks for: folded words, exact keys, and bounds on times as {field: {operator: time}}."""

    words: tuple[str, ...] = ()
    exact: Mapping[str, str] = field(default_factory=dict)
    ranges: Mapping[str, Mapping[str, datetime]] = field(default_factory=dict)

    @property
    def order(self) -> str:
        """The field that the list is sorted by, before `_id`."""
        return next(iter(self.ranges), "_id")

    def criteria(self) -> dict[str, Any]:
        """Return the filter on living customers, its first condition the most selective token."""
        exact = [_exact_token(name, self.exact[name]) for name in EXACT_FIELDS if name in self.exact]
        tokens = exact or _tokens_of(self.words) or [LIVING]
        conditions: list[dict[str, Any]] = [{"search.tokens": token} for token in tokens]
        if tokens != list(self.words):
            conditions += [{"search.text": {"$regex": re.escape(f" {word}")}} for word in self.words]
        if self.ranges and LIVING not in tokens and not exact:
            conditions.append({"search.tokens": LIVING})  # the indexes by time hold living customers alone
        for name, bounds in self.ranges.items():
            conditions.append({name: {f"${operator}": time for operator, time in bounds.items()}})
        return {"$and": conditions}

    def is_hopeless(self) -> bool:
        """Whether a word has a character that no stored text has, and that no regular expression may have."""
        return any(CONTROL_CHARACTER.search(word) for word in self.words)


def words_of(q: str) -> tuple[str, ...]:
    """Split a search text at white space into folded words, the longest first; one that begins another says nothing."""
    words = sorted(set(_split(q)), key=lambda word: (-len(word), word))
    return tuple(word for index, word in enumerate(words) if not any(w.startswith(word) for w in words[:index]))


def fold(text: str) -> str:
    """Return the text without regard to case and accents; ñ is n."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in decomposed if not unicodedata.combining(char)).casefold()


def search_fields(customer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `search` of a living customer: its text, and the tokens to index."""
    keys = {name: customer[name][:LONGEST_TEXT] for name in EXACT_FIELDS if customer.get(name)}
    beginnings = (word for value in keys.values() for word in _split(value)[:1])
    name_words = _with_bare_forms(_split(customer["legalName"][:LONGEST_TEXT]))
    words = list(dict.fromkeys((*name_words, *beginnings)))
    exact = (_exact_token(name, value) for name, value in keys.items())
    tokens = {LIVING, *exact, *_prefixes(words), *_pairs(words)}
    return {"text": "".join(f" {word}" for word in words), "tokens": sorted(tokens)}


def _split(text: str) -> list[str]:
    """Split at white space, then fold: the space that a spacing accent folds to parts no words."""
    words = ("".join(fold(word).split()) for word in text.split())
    return [word for word in words if word]


def _exact_token(name: str, value: str) -> str:
    mark, form = _EXACT[name]
    return mark + form(value)


def _tokens_of(words: tuple[str, ...]) -> list[str]:
    """Return the one token of the two longest words, or of the longest; none where there is no word."""
    if len(words) > 1:
        for length in PAIR_LENGTHS:
            if len(words[1]) >= length:
                return [_pair(words[0], words[1], length)]
    return [word[:LONGEST_PREFIX] for word in words[:1]]


def _with_bare_forms(words: list[str]) -> list[str]:
    """Add what stands behind a leading quote or bracket."""
    bare = (LEADING_PUNCTUATION.sub("", word) for word in words)
    return list(dict.fromkeys(word for word in (*words, *bare) if word))


def _prefixes(words: list[str]) -> Iterator[str]:
    for word in words:
        for length in range(1, min(len(word), LONGEST_PREFIX) + 1):
            yield word[:length]


def _pairs(words: list[str]) -> Iterator[str]:
    for one, other in combinations(words, 2):
        for length in PAIR_LENGTHS:
            if min(len(one), len(other)) >= length:
                yield _pair(one, other, length)


def _pair(one: str, other: str, length: int) -> str:
    return " ".join(sorted((one[:length], other[:length])))
