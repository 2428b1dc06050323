"""Search terms: those that a customer stores, and those that a query looks for.

An active customer stores its terms in one array, `search`: the edge n-grams of its words, a term for each exact key,
each metadata entry, its phone and the status of the SAT's answer, and the empty n-gram, which every active customer
has.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

from customer_service.fiscal.characters import ASCII_CONTROLS, comparable
from customer_service.fiscal.contacts import NATIONAL_DIGITS, PHONE_PATTERN
from customer_service.fiscal.limits import MAXIMUM_LEGAL_NAME_LENGTH
from customer_service.fiscal.rules import SAT_STATUSES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MAXIMUM_NGRAM_LENGTH = 10
MAXIMUM_TERMS = 115  # with the keys of the five other indexes, a customer makes at most 120 keys
NO_DIGIT = re.compile("[^0-9]")
ASCII_CONTROL = re.compile(f"[{ASCII_CONTROLS}]")
EMPTY_NGRAM = ""  # the prefix of every word
READABLE = {"$gte": datetime.min, "$lte": datetime.max, "$not": {"$type": "array"}}  # noqa: DTZ901 - as BSON has it
"""The condition for a time that the driver returns as a datetime, so that the next page can begin after it."""

ACTIVE = {"search": EMPTY_NGRAM}
"""The filter for active customers."""


def tax_id_form(tax_id: str) -> str:
    """Return the tax id in capitals and without the spaces around it, which another program may have stored."""
    return tax_id.strip().upper()


KEY_FORMS: Mapping[str, Callable[[str], str]] = {"externalId": comparable, "taxId": tax_id_form, "email": str.casefold}
"""The exact keys, each with the function that returns its comparable form."""

EXACT_FIELDS = tuple(KEY_FORMS)

PHONE_TERM = "phone "
"""The beginning of the search term of a phone; its last ten digits follow: in Mexico these are the national number."""

UNCHECKED = "unchecked"
SAT_TERMS = {status: f"satValidation {status}" for status in (*SAT_STATUSES, UNCHECKED)}
"""The search term of each status of the SAT's answer, and of a customer without one."""


@dataclass(frozen=True, slots=True)
class CustomerQuery:
    """The filters of a list: folded words, exact keys, metadata, the status of the SAT's answer, and time ranges.

    The ranges are {field: {operator: time}}. If the text may be a phone, `phone` has its last ten digits: the list
    then has the customers that match the words and those with this phone.
    """

    words: tuple[str, ...] = ()
    exact: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    ranges: Mapping[str, Mapping[str, datetime]] = field(default_factory=dict)
    sat_status: str | None = None
    phone: str | None = None

    @property
    def order(self) -> str:
        """The field that the list is sorted by, before `_id`."""
        return next(iter(self.ranges), "_id")

    def terms(self) -> list[Any]:
        """Return the search terms that every customer of the list has, those that are usually rare first."""
        rare: list[Any] = [*key_terms(self.exact), *self._terms_of_words(), *_metadata_terms(self.metadata)]
        common = [SAT_TERMS[self.sat_status]] if self.sat_status else []
        return [*(rare or (_any_of_joined_and_longest_part(word) for word in self.words)), *common] or [EMPTY_NGRAM]

    def conditions(self) -> list[dict[str, Any]]:
        """Return the conditions that the search terms do not cover."""
        return [
            *self._conditions_of_words(),
            *({f"metadata.{key}": value} for key, value in self.metadata.items()),
            *({name: READABLE | {f"${o}": time for o, time in bounds.items()}} for name, bounds in self.ranges.items()),
        ]

    def _terms_of_words(self) -> list[Any]:
        ngrams = dict.fromkeys(word[:MAXIMUM_NGRAM_LENGTH] for word in self.words if " " not in word)
        return [{"$in": [each, PHONE_TERM + self.phone]} if self.phone else each for each in ngrams]

    def _conditions_of_words(self) -> list[dict[str, Any]]:
        words = [word for word in self.words if " " in word or len(word) > MAXIMUM_NGRAM_LENGTH]
        conditions = [_prefix_condition(word) for word in words]
        if self.phone:
            return [{"$or": [{"search": PHONE_TERM + self.phone}, condition]} for condition in conditions]
        return conditions

    def matches_nothing(self) -> bool:
        """Return whether a word has a control character: no stored text has one, and no regular expression may."""
        return any(ASCII_CONTROL.search(word) for word in self.words)


def words_of(q: str) -> tuple[str, ...]:
    """Split a search text into folded words, the longest first, without words that are a prefix of another."""
    words = sorted({_query_word(word) for word in _split(q)}, key=lambda word: (-len(word), word))
    return tuple(word for index, word in enumerate(words) if not any(w.startswith(word) for w in words[:index]))


def phone_of(text: str) -> str | None:
    """Return the last ten digits of a text that is a phone, of ten digits or more, with the punctuation of phones."""
    digits = NO_DIGIT.sub("", text)
    return digits[-NATIONAL_DIGITS:] if len(digits) >= NATIONAL_DIGITS and PHONE_PATTERN.fullmatch(text) else None


def fold(text: str) -> str:
    """Return the text in lower case without accents; ñ becomes n."""
    if text.isascii():  # nothing to decompose
        return text.casefold()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in decomposed if not unicodedata.combining(char)).casefold()


def search_terms(customer: Mapping[str, Any]) -> list[str]:
    """Return the search terms of an active customer, at most MAXIMUM_TERMS.

    Of too many terms, the n-grams of the last words are left out first. A customer with a very long name and dozens of
    metadata entries may also lose whole words.
    """
    given = {name: customer.get(name) for name in KEY_FORMS}
    keys = {name: key[:MAXIMUM_LEGAL_NAME_LENGTH] for name, key in given.items() if key and isinstance(key, str)}
    words = [_join(word) for key in keys.values() for word in _split(key)[:1]]
    for word in _split(customer["legalName"][:MAXIMUM_LEGAL_NAME_LENGTH]):
        words += (*word.split(), _join(word))
    metadata = customer.get("metadata")
    entries = metadata if isinstance(metadata, Mapping) else {}
    phones = _phone_terms(customer.get("phone"))
    own = (EMPTY_NGRAM, sat_term(customer.get("satValidation")), *key_terms(keys), *phones, *_metadata_terms(entries))
    return list(dict.fromkeys((*own, *_whole(words), *_ngrams(words))))[:MAXIMUM_TERMS]


def sat_term(validation: object) -> str:
    """Return the search term for the status of the SAT's answer about a customer, or for no answer."""
    status = validation.get("status") if isinstance(validation, Mapping) else None
    return SAT_TERMS[status if status in SAT_STATUSES else UNCHECKED]


def with_sat_term(terms: Iterable[str], validation: object) -> list[str]:
    """Return the search terms with the term of another answer of the SAT in place of the present one."""
    return [sat_term(validation) if term in SAT_TERMS.values() else term for term in terms]


def _split(text: str) -> list[str]:
    """Split the text at white space, fold each word, and put a space in place of its punctuation.

    A spacing accent (U+00B4) folds to a space; that space is removed and does not split the word.
    """
    words = ("".join(fold(word).split()) for word in text.split())
    return [_without_punctuation(word) for word in words if word]


def _without_punctuation(word: str) -> str:
    """Return the word with a space in place of its punctuation; a word of only punctuation stays as it is."""
    if word.isalnum():
        return word
    return " ".join("".join(part) for is_between, part in groupby(word, _is_punctuation) if not is_between) or word


@lru_cache(1024)
def _is_punctuation(char: str) -> bool:
    """Return whether the character separates parts of a word; @ does not: the local part of an email is not a name."""
    return unicodedata.category(char).startswith("P") and char != "@"


def _join(word: str) -> str:
    return word.replace(" ", "")


def _query_word(word: str) -> str:
    """Return the word to search for, with a space between its parts.

    They are joined if a part has a character that is no letter, or if each is a single letter.
    """
    parts = word.split()
    return word if all(map(str.isalpha, parts)) and max(map(len, parts)) > 1 else _join(word)


def _any_of_joined_and_longest_part(word: str) -> dict[str, list[str]]:
    return {"$in": [each[:MAXIMUM_NGRAM_LENGTH] for each in (_join(word), max(word.split(), key=len))]}


def _prefix_condition(word: str) -> dict[str, Any]:
    """Return the condition that the word, or each of its parts, is a prefix of one of the customer's words."""
    if " " in word:
        return {"$or": [_prefix_condition(_join(word)), {"$and": [_prefix_condition(part) for part in word.split()]}]}
    return {"search": word if len(word) <= MAXIMUM_NGRAM_LENGTH else {"$regex": f"^{re.escape(word)}"}}


def _ngrams(words: Iterable[str]) -> Iterator[str]:
    """Yield the edge n-grams of each word."""
    for word in words:
        yield from [word[:length] for length in range(1, min(len(word), MAXIMUM_NGRAM_LENGTH) + 1)]


def _whole(words: Iterable[str]) -> Iterator[str]:
    """Yield the terms that a search for each whole word looks for."""
    for word in words:
        yield from (word[:MAXIMUM_NGRAM_LENGTH], word)


def key_terms(keys: Mapping[str, str]) -> Iterator[str]:
    """Return the search term of each exact key."""
    return (f"{name} {KEY_FORMS[name](value)}" for name, value in keys.items())  # no n-gram has a space


def _phone_terms(phone: object) -> list[str]:
    digits = NO_DIGIT.sub("", phone) if isinstance(phone, str) else ""
    return [PHONE_TERM + digits[-NATIONAL_DIGITS:]] if digits else []


def _metadata_terms(entries: Mapping[str, Any]) -> Iterator[str]:
    return (
        f"metadata {key} {value}"[:MAXIMUM_LEGAL_NAME_LENGTH]
        for key, value in entries.items()
        if isinstance(value, str)
    )
