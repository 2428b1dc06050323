"""What a customer is found by: the tokens that it stores, and the filter that a list asks with."""

from __future__ import annotations

import itertools
import unicodedata
from datetime import datetime
from typing import TYPE_CHECKING, Any

import mongomock
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from customer_service.repository.search import (
    EXACT_FIELDS,
    LIVING,
    LONGEST_PREFIX,
    CustomerQuery,
    fold,
    search_fields,
    words_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pymongo.collection import Collection

PIECES = [
    *("a", "an", "ana", "anab", "Ana", "ANA", "ÁNA", "ñ", "N", "año", "ano", "ß", "ss", "straße", "İ", "ﬁ", "Σ", "ς"),
    *("x" * LONGEST_PREFIX, "x" * (LONGEST_PREFIX + 1), "x" * (LONGEST_PREFIX + 1) + "y", "x" * 40),
    *(".*", "(", ")", "(a+)+$", "[", "\\", "^", "$", "|", "?", "*", "-", "#", "&", "'", '"', "~", "@", ".", ",", "L"),
    *(
        "🍕",
        "👩‍👩‍👧",
        "\u0301",
        "\u00b4",
        "¨",
        "\ufdfa",
        "\u200b",
        "T:",
        "E:a",
        "X:",
        "S.A.",
        "de",
        "C.V.",
        "1",
        "86500",
    ),
]
SPACES = [" ", "  ", "\t", "\n", "\x0b", "\x1c", "\x85", "\xa0", "\u1680", "\u2003", "\u2028", "\u202f", "\u3000"]
WORDS = st.lists(st.sampled_from(PIECES) | st.text(max_size=2), min_size=1, max_size=3).map("".join)
TEXTS = st.lists(WORDS | st.sampled_from(SPACES), max_size=5).map("".join) | st.lists(WORDS, max_size=4).map(" ".join)
KEYS = st.sampled_from(["ABC010101AB1", "Abc010101", "ana@x.mx", "Ana@X.mx", "crm 1", "crm", "&ab"]) | TEXTS
CUSTOMERS = st.fixed_dictionaries(
    {"legalName": TEXTS, "taxId": KEYS, "email": KEYS}, optional={"externalId": KEYS | st.none()}
)


@st.composite
def searches(draw: st.DrawFn) -> tuple[dict[str, Any], str, dict[str, str]]:
    """A customer and what is asked for, which is often a part of it."""
    customer = draw(CUSTOMERS)
    values = [value for value in customer.values() if value]
    parts = [word for value in values for word in value.split()] or ["a"]
    beginnings = st.builds(lambda word, end: word[: end + 1], st.sampled_from(parts), st.integers(0, 20))
    changed = beginnings.map(str.swapcase) | beginnings | WORDS
    q = draw(st.lists(changed, max_size=4).map(draw(st.sampled_from(SPACES)).join) | TEXTS)
    own = st.sampled_from(values or ["a"])
    exact = st.dictionaries(st.sampled_from(EXACT_FIELDS), own | own.map(str.swapcase) | KEYS, max_size=2)
    return customer, q, draw(exact | st.just({}))


def folded(text: str) -> str:
    """Fold in another way than the code does: character by character, and by category in place of class."""
    plain = (part for char in text for part in unicodedata.normalize("NFKD", char.casefold()))
    kept = [char for char in plain if not char.isspace() and unicodedata.combining(char) == 0]
    return "".join(kept).casefold()


def begins(word: str, customer: Mapping[str, Any]) -> bool:
    """A word of the name begins where it is written, and again where its leading punctuation ends.

    Of a key only the first word counts of which anything is left: a combining character alone is nothing.
    """
    names = [folded(part) for part in customer["legalName"].split()]
    bare = ["".join(itertools.dropwhile(is_punctuation, name)) for name in names]
    keys = [next(filter(None, map(folded, (customer.get(name) or "").split())), "") for name in EXACT_FIELDS]
    return not word or any(each.startswith(word) for each in (*names, *bare, *keys))


def is_punctuation(char: str) -> bool:
    return not char.isalnum() and char != "_"


def is_asked_for(customer: Mapping[str, Any], q: str, exact: Mapping[str, str]) -> bool:
    forms: dict[str, Callable[[str], str]] = {"externalId": str, "taxId": str.upper, "email": str.casefold}
    same = all(customer.get(name) and forms[name](customer[name]) == forms[name](exact[name]) for name in exact)
    return same and all(begins(folded(word), customer) for word in q.split())


@settings(max_examples=400)
@given(searches())
@example(({"legalName": "ANA", "taxId": "T", "email": "e"}, "*", {}))
@example(({"legalName": "ANA", "taxId": "T", "email": "e"}, "L", {}))
@example(({"legalName": "O\u00b4Brien", "taxId": "T", "email": "e"}, "obr", {}))
@example(({"legalName": "O\u00b4Brien", "taxId": "T", "email": "e"}, "O\u00b4B", {}))
@example(({"legalName": "ANA", "taxId": "T", "email": "e", "externalId": "crm 1"}, "1", {}))
@example(({"legalName": "ANA ANABEL", "taxId": "T", "email": "e"}, "ana anab", {}))
@example(({"legalName": "ANA", "taxId": "T", "email": "e"}, "ana anab", {}))
@example(({"legalName": "ANA ANA", "taxId": "T", "email": "e"}, "ana ana", {}))
@example(({"legalName": '"ANA', "taxId": "&ab", "email": "e"}, "ana ab", {}))
@example(({"legalName": "x" * 17 + "y", "taxId": "T", "email": "e"}, "x" * 17 + "z", {}))
@example(({"legalName": "a", "taxId": "T", "email": "\u0301 \u00f1"}, "\u00d1", {}))
def test_a_search_finds_what_a_brute_force_look_finds(asked: tuple[dict[str, Any], str, dict[str, str]]) -> None:
    customer, q, exact = asked
    query = CustomerQuery(words_of(q), exact)
    expected = is_asked_for(customer, q, exact)
    if query.is_hopeless():
        assert not expected or any(
            ord(char) < 32 or ord(char) == 127 for value in customer.values() for char in value or ""
        )
        return
    collection: Collection[dict[str, Any]] = mongomock.MongoClient().tests.customers
    collection.insert_one({**customer, "search": search_fields(customer)})
    conditions = query.conditions(query.tokens())
    for coarse in ([], [{"search.coarse": token} for token in query.coarse_tokens()]):
        assert (collection.find_one({"$and": [*coarse, *conditions]}) is not None) is expected


@given(st.text(max_size=20), st.text(max_size=20))
def test_the_fold_of_a_beginning_begins_the_fold(beginning: str, rest: str) -> None:
    assert fold(beginning + rest) == fold(beginning) + fold(rest)
    assert fold(fold(beginning)) == fold(beginning)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MUÑOZ", "munoz"),
        ("José Ángel", "jose angel"),
        ("Jose\u0301", "jose"),
        ("Straße", "strasse"),
        ("İzmir", "izmir"),
        ("ΟΔΟΣ", "οδοσ"),
        ("ﬁn", "fin"),
        ("🍕", "🍕"),
        ("", ""),
    ],
)
def test_fold(text: str, expected: str) -> None:
    assert fold(text) == expected


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("", ()),
        (" \t\u2003\u3000", ()),
        ("\u0301 \u00b4", ()),
        ("Pérez\xa0GARCÍA", ("garcia", "perez")),
        ("ana ANA ana", ("ana",)),
        ("an ana anab", ("anab",)),
        ("ana bana", ("bana", "ana")),
        ("b a", ("a", "b")),
        ("O\u00b4Brien", ("obrien",)),
        (".* (a+)+$", ("(a+)+$", ".*")),
    ],
)
def test_words_of(q: str, expected: tuple[str, ...]) -> None:
    assert words_of(q) == expected


@given(TEXTS)
def test_no_word_is_a_token_of_another_kind(q: str) -> None:
    assert all(word and not any(c.isspace() or "A" <= c <= "Z" for c in word) for word in words_of(q))


def test_search_fields() -> None:
    fields = search_fields({"legalName": "(Pan) ñu", "taxId": "Xa1", "email": "B@c.mx", "externalId": "Q 7"})
    assert fields["text"] == " (pan) nu pan) q b@c.mx xa1"
    prefixes = ["(", "(p", "(pa", "(pan", "(pan)", "p", "pa", "pan", "pan)", "n", "nu", "q", "x", "xa", "xa1"]
    email = ["b", "b@", "b@c", "b@c.", "b@c.m", "b@c.mx"]
    pairs = ["(pa pan", "(pa b@c", "b@c pan", "(pa xa1", "pan xa1", "b@c xa1", "(pan) b@c.m"]
    exact = ["X:Q 7", "T:XA1", "E:b@c.mx"]
    expected = [LIVING, *exact, *prefixes, *email, *("".join(sorted_pair(pair)) for pair in pairs)]
    assert fields["tokens"] == sorted(set(expected))
    coarse = ["(", "(pa", "(pan)", "p", "pan", "n", "q", "x", "xa1", "b", "b@c", "b@c.m"]
    assert fields["coarse"] == sorted([LIVING, *exact, *coarse])


def sorted_pair(pair: str) -> str:
    return " ".join(sorted(pair.split()))


@pytest.mark.parametrize(
    ("q", "tokens", "coarse"),
    [
        ("", [LIVING], [LIVING]),
        ("pe", ["pe"], ["p"]),
        ("Pérez", ["perez"], ["perez"]),
        ("garcia", ["garcia"], ["garci"]),
        ("y" * 20, ["y" * LONGEST_PREFIX], ["y" * 12]),
        ("y" * 17 + " " + "y" * 16 + "z", ["yyyyy yyyyy", "y" * LONGEST_PREFIX], ["y" * 12]),
        ("perez garcia", ["garci perez", "garcia"], ["garci", "perez"]),
        ("perez munoz", ["munoz perez"], ["munoz", "perez"]),
        ("pere garc", ["gar per", "garc", "pere"], ["gar", "per"]),
        ("perez ga", ["perez", "ga"], ["perez", "g"]),
        ("al garcia perez", ["garci perez", "garcia", "al"], ["garci", "perez", "a"]),
    ],
)
def test_a_search_asks_for_the_rarest_token_first(q: str, tokens: list[str], coarse: list[str]) -> None:
    query = CustomerQuery(words_of(q))
    assert (list(query.tokens()), list(query.coarse_tokens())) == (tokens, coarse)


def test_only_a_word_longer_than_its_token_is_looked_up_in_the_text() -> None:
    query = CustomerQuery(words_of("Pérez " + "y." * 9))
    assert query.conditions(["perez"]) == [
        {"search.tokens": "perez"},
        {"search.text": {"$regex": r"\ " + r"y\." * 9}},
    ]


def test_exact_keys_come_before_words_and_a_shared_tax_id_behind() -> None:
    query = CustomerQuery(("a.b",), {"taxId": "abc", "email": "Ñ@X.mx", "externalId": "aB"})
    assert query.tokens() == (*query.coarse_tokens()[:3], "a.b") == ("X:aB", "E:ñ@x.mx", "T:ABC", "a.b")
    for generic in ("XAXX010101000", "xexx010101000"):
        query = CustomerQuery(("ana",), {"taxId": generic, "email": "a"})
        assert query.tokens() == query.coarse_tokens() == ("E:a", "ana", f"T:{generic.upper()}")


def test_the_bounds_of_a_list() -> None:
    moment = datetime(2025, 1, 1)  # noqa: DTZ001 - as the repository has it
    query = CustomerQuery(ranges={"createdAt": {"gt": moment}, "updatedAt": {"gte": moment, "lt": moment}})
    created, updated = {"createdAt": {"$gt": moment}}, {"updatedAt": {"$gte": moment, "$lt": moment}}
    assert query.bounds("createdAt") == [created]
    assert query.bounds("_id") == []
    assert query.conditions([]) == [created, updated]
    assert [each.order for each in (query, CustomerQuery())] == ["createdAt", "_id"]


@pytest.mark.parametrize(("q", "hopeless"), [("a\x00", True), ("\x7f", True), ("a\x01b", True), ("a\tb", False)])
def test_no_text_has_a_control_character(q: str, *, hopeless: bool) -> None:
    assert CustomerQuery(words_of(q)).is_hopeless() is hopeless
