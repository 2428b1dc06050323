"""What a customer is found by, and what a list asks for.

A living customer stores `search.tokens`: the prefixes of its words, the beginnings of each pair of them, its exact
keys, and one token that every living customer has. What a list asks for is a few of them, which every customer of it
has; what a token is too short to tell is looked up in `search.text`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

from customer_service import fiscal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

LONGEST_PREFIX = 16
LONGEST_TEXT = 300  # no text of a caller's is longer; another program's must not make tokens without end
PAIR_LENGTHS = (5, 3)
COARSE_LENGTHS = (1, 3, 5, 8, 12)
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
LEADING_PUNCTUATION = re.compile(r"^\W+")

# No word's prefix has a capital, since words are folded.
LIVING = "L"

# The most selective first.
_EXACT: Mapping[str, tuple[str, Callable[[str], str]]] = {
    "externalId": ("X:", str),
    "email": ("E:", str.casefold),
    "taxId": ("T:", str.upper),
}
EXACT_FIELDS = tuple(_EXACT)
SHARED = frozenset(f"T:{tax_id}" for tax_id in fiscal.GENERICS)


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

    def tokens(self) -> tuple[str, ...]:
        """Return what each customer of the list has in `search.tokens`, the rarest first, as a rule."""
        return self._tokens(_tokens_of(self.words))

    def coarse_tokens(self) -> tuple[str, ...]:
        """Return what each customer of the list has in `search.coarse`, the rarest first, as a rule."""
        return self._tokens(_coarse_tokens_of(self.words))

    def conditions(self, tokens: Iterable[str]) -> list[dict[str, Any]]:
        """Return the conditions on living customers, of the tokens only these."""
        long = (word for word in self.words if len(word) > LONGEST_PREFIX)
        texts = ({"search.text": {"$regex": re.escape(f" {word}")}} for word in long)
        return [*({"search.tokens": token} for token in tokens), *texts, *self.bounds(*self.ranges)]

    def bounds(self, *names: str) -> list[dict[str, Any]]:
        """Return the conditions on these of the times that the list is bounded by."""
        return [
            {name: {f"${operator}": time for operator, time in self.ranges[name].items()}}
            for name in names
            if name in self.ranges
        ]

    def is_hopeless(self) -> bool:
        """Whether a word has a character that no stored text has, and that no regular expression may have."""
        return any(CONTROL_CHARACTER.search(word) for word in self.words)

    def _tokens(self, of_words: Iterable[str]) -> tuple[str, ...]:
        exact = [_exact_token(name, self.exact[name]) for name in EXACT_FIELDS if name in self.exact]
        shared = [token for token in exact if token in SHARED]
        own = [token for token in exact if token not in SHARED]
        return tuple(dict.fromkeys((*own, *of_words, *shared))) or (LIVING,)


def words_of(q: str) -> tuple[str, ...]:
    """Split a search text at white space into folded words, the longest first; one that begins another says nothing."""
    words = sorted(set(_split(q)), key=lambda word: (-len(word), word))
    return tuple(word for index, word in enumerate(words) if not any(w.startswith(word) for w in words[:index]))


def fold(text: str) -> str:
    """Return the text without regard to case and accents; ñ is n."""
    if text.isascii():  # nothing to decompose
        return text.casefold()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in decomposed if not unicodedata.combining(char)).casefold()


def search_fields(customer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `search` of a living customer: its text, and the tokens to index."""
    keys = {name: customer[name][:LONGEST_TEXT] for name in EXACT_FIELDS if customer.get(name)}
    beginnings = (word for value in keys.values() for word in _split(value)[:1])
    names = _with_bare_forms(_split(customer["legalName"][:LONGEST_TEXT]))
    words = list(dict.fromkeys((*names, *beginnings)))
    always = {LIVING, *(_exact_token(name, value) for name, value in keys.items())}
    return {
        "text": "".join(f" {word}" for word in words),
        "tokens": sorted({*always, *_prefixes(words), *_pairs(words)}),
        "coarse": sorted({*always, *_prefixes(words, COARSE_LENGTHS)}),
    }


def _split(text: str) -> list[str]:
    """Split at white space, then fold: the space that a spacing accent folds to parts no words."""
    words = ("".join(fold(word).split()) for word in text.split())
    return [word for word in words if word]


def _exact_token(name: str, value: str) -> str:
    mark, form = _EXACT[name]
    return mark + form(value)


def _tokens_of(words: tuple[str, ...]) -> list[str]:
    """Return the token of the two longest words, and that of each word which it is too short to tell."""
    pair, told = [], 0
    for length in PAIR_LENGTHS:
        if len(words) > 1 and len(words[1]) >= length:
            pair, told = [_pair(words[0], words[1], length)], length
            break
    return [*pair, *(word[:LONGEST_PREFIX] for n, word in enumerate(words) if n > 1 or len(word) > told)]


def _coarse_tokens_of(words: tuple[str, ...]) -> Iterator[str]:
    """Return the longest of each word's prefixes that the indexes by time have."""
    return (max(_prefixes([word], COARSE_LENGTHS), key=len) for word in words)


def _with_bare_forms(words: list[str]) -> list[str]:
    """Add what stands behind a leading quote or bracket."""
    bare = (LEADING_PUNCTUATION.sub("", word) for word in words)
    return list(dict.fromkeys(word for word in (*words, *bare) if word))


def _prefixes(words: Iterable[str], lengths: Iterable[int] = range(1, LONGEST_PREFIX + 1)) -> Iterator[str]:
    return (word[:length] for word in words for length in lengths if length <= len(word))


def _pairs(words: list[str]) -> Iterator[str]:
    for one, other in combinations(words, 2):
        for length in PAIR_LENGTHS:
            if min(len(one), len(other)) >= length:
                yield _pair(one, other, length)


def _pair(one: str, other: str, length: int) -> str:
    return " ".join(sorted((one[:length], other[:length])))
