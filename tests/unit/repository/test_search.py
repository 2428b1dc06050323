"""The search terms that a customer stores, and those for which a list searches."""

from __future__ import annotations

import itertools
import unicodedata
from datetime import datetime
from typing import TYPE_CHECKING, Any

import mongomock
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from customer_service.fiscal.characters import comparable
from customer_service.fiscal.limits import MAXIMUM_LEGAL_NAME_LENGTH
from customer_service.repository.customers import CustomerRepository
from customer_service.repository.search import (
    EMPTY_NGRAM,
    EXACT_FIELDS,
    MAXIMUM_NGRAM_LENGTH,
    MAXIMUM_TERMS,
    READABLE,
    SAT_TERMS,
    CustomerQuery,
    fold,
    phone_of,
    search_terms,
    with_sat_term,
    words_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pymongo.collection import Collection

MAXIMUM_KEYS = 120

PIECES = [
    *("a", "an", "ana", "anab", "Ana", "ANA", "ÁNA", "ñ", "N", "año", "ano", "ß", "ss", "straße", "İ", "ﬁ", "Σ", "ς"),
    *("x" * MAXIMUM_NGRAM_LENGTH, "x" * (MAXIMUM_NGRAM_LENGTH + 1), "x" * (MAXIMUM_NGRAM_LENGTH + 1) + "y", "x" * 40),
    *(".*", "(", ")", "(a+)+$", "[", "\\", "^", "$", "|", "?", "*", "-", "#", "&", "'", '"', "~", "@", ".", ",", "L"),
    *(
        "🍕",
        "👩‍👩‍👧",
        "\u0301",
        "\u00b4",
        "¨",
        "\ufdfa",
        "\u200b",
        "taxId",
        "email",
        "metadata",
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
PHONES = {"8650086500": None, "86500 1": "x", "ANA": "86500-86500", "EVA": "8650", "86501": "+52 186 500 8650"}
ENTRIES = st.dictionaries(st.sampled_from(["a", "a b", "b"]), st.sampled_from(["", "b c", "c", "x" * 400]), max_size=2)


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
    """A word is looked for joined; and if it is all letters, and no initials, also by each of its parts.

    A name is found by its parts, joined and apart. Of a key only the first word counts of which anything is left, and
    only joined: a combining character alone is nothing.
    """
    names = [parts(folded(each)) for each in customer["legalName"].split()]
    firsts = [next(filter(None, map(folded, (customer.get(name) or "").split())), "") for name in EXACT_FIELDS]
    found_by = [*("".join(each) for each in (*names, *map(parts, firsts))), *itertools.chain(*names)]

    def is_found(text: str) -> bool:
        return any(each.startswith(text) for each in found_by)

    own = parts(word)
    apart = all(part.isalpha() for part in own) and any(len(part) > 1 for part in own)
    return is_found("".join(own)) or (apart and all(map(is_found, own)))


def parts(word: str) -> list[str]:
    """Return what stands between the punctuation, or the word itself if nothing does."""
    spaced = "".join(" " if is_punctuation(char) else char for char in word)
    return spaced.split() or [word]


def is_punctuation(char: str) -> bool:
    return char != "@" and unicodedata.category(char) in {"Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po"}


def is_asked_for(customer: Mapping[str, Any], q: str, exact: Mapping[str, str]) -> bool:
    forms: dict[str, Callable[[str], str]] = {
        "externalId": comparable,
        "taxId": lambda text: text.strip().upper(),
        "email": str.casefold,
    }
    same = all(customer.get(name) and forms[name](customer[name]) == forms[name](exact[name]) for name in exact)
    return same and all(begins(folded(word), customer) for word in q.split() if folded(word))


@settings(max_examples=400)
@given(searches())
@example(({"legalName": "ANA", "taxId": "T", "email": "e"}, "*", {}))
@example(({"legalName": "ANA", "taxId": "T", "email": "e"}, "L", {}))
@example(({"legalName": "O\u00b4Brien", "taxId": "T", "email": "e"}, "obr", {}))
@example(({"legalName": "O\u00b4Brien", "taxId": "T", "email": "e"}, "O\u00b4B", {}))
@example(({"legalName": "ANA", "taxId": "T", "email": "e", "externalId": "crm 1"}, "1", {}))
@example(({"legalName": "O'BRIEN & CIA", "taxId": "T", "email": "e"}, "O\u2019BRIEN", {}))
@example(({"legalName": "O BRIEN", "taxId": "T", "email": "e"}, "O'BRIEN", {}))
@example(({"legalName": "O ANA", "taxId": "T", "email": "e"}, "O'BRIEN", {}))
@example(({"legalName": "S A", "taxId": "T", "email": "e"}, "S.A.", {}))
@example(({"legalName": "X", "taxId": "T", "email": "jose.perez@x.mx", "externalId": "crm-1"}, "jose.perez crm-", {}))
@example(({"legalName": "X 2", "taxId": "T", "email": "e", "externalId": "crm-1"}, "crm-2", {}))
@example(({"legalName": "ANA ANABEL", "taxId": "T", "email": "e"}, "ana anab", {}))
@example(({"legalName": "ANA", "taxId": "T", "email": "e"}, "ana anab", {}))
@example(({"legalName": "ANA ANA", "taxId": "T", "email": "e"}, "ana ana", {}))
@example(({"legalName": '"ANA', "taxId": "&ab", "email": "e"}, "ana ab", {}))
@example(({"legalName": "x" * 17 + "y", "taxId": "T", "email": "e"}, "x" * 17 + "z", {}))
@example(({"legalName": "a", "taxId": "T", "email": "\u0301 \u00f1"}, "\u00d1", {}))
@example(({"legalName": "ANA", "taxId": "T ", "email": "e", "externalId": "a\u200bb"}, "", {"taxId": " t"}))
@example(({"legalName": "ANA", "taxId": "T ", "email": "e", "externalId": "a\u200bb"}, "", {"externalId": "ab"}))
def test_a_search_finds_the_same_as_a_full_scan(asked: tuple[dict[str, Any], str, dict[str, str]]) -> None:
    customer, q, exact = asked
    assume(len(search_terms(customer)) < MAXIMUM_TERMS)  # of more, some beginnings are left out
    query = CustomerQuery(words_of(q), exact)
    expected = is_asked_for(customer, q, exact)
    if query.matches_nothing():
        assert not expected or any(
            ord(char) < 32 or ord(char) == 127 for value in customer.values() for char in value or ""
        )
        return
    assert is_found(customer, query) is expected


@given(ENTRIES, ENTRIES)
@example({"a": "b c"}, {"a b": "c"})
@example({"a": "x" * 400}, {"a": "x" * 400})
@example({"a": "x" * 400}, {"a": "x" * 399})
def test_each_entry_of_the_metadata_is_found(stored: dict[str, str], asked: dict[str, str]) -> None:
    customer = {"legalName": "metadata a b c", "taxId": "T", "email": "e", "metadata": stored}
    assert is_found(customer, CustomerQuery(metadata=asked)) is (asked.items() <= stored.items())


@pytest.mark.parametrize("metadata", [None, [], "a", {"a": 1}, {"a": None}, {"a": ["b"]}])
def test_metadata_of_another_type_is_not_searchable(metadata: object) -> None:
    customer = {"legalName": "ANA", "taxId": "T", "email": "e", "metadata": metadata}
    assert is_found(customer, CustomerQuery(("ana",)))
    assert not any(term.startswith("metadata ") for term in search_terms(customer))


def is_found(customer: dict[str, Any], query: CustomerQuery) -> bool:
    collection: Collection[dict[str, Any]] = mongomock.MongoClient().tests.customers
    collection.insert_one({**customer, "search": search_terms(customer)})
    terms = [{"search": term} for term in query.terms()]
    return collection.find_one({"$and": [*terms, *query.conditions()]}) is not None


@given(st.text(max_size=20), st.text(max_size=20))
def test_the_fold_of_a_prefix_is_a_prefix_of_the_fold(beginning: str, rest: str) -> None:
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
        (".* (a+)+$", ("a++$", ".*")),
        ("O'Brien García", ("o brien", "garcia")),
        ("O\u2019Brien O'B. brien", ("o brien", "brien", "ob")),
        ("S.T.P.R.M. crm-1 ana@x.mx", ("ana@xmx", "stprm", "crm1")),
        ("(ana) -- ana-", ("ana", "--")),
    ],
)
def test_words_of(q: str, expected: tuple[str, ...]) -> None:
    assert words_of(q) == expected


@given(TEXTS)
def test_no_n_gram_equals_a_term_of_another_kind(q: str) -> None:
    spaced = [term for term in CustomerQuery(words_of(q)).terms() if " " in str(term) and isinstance(term, str)]
    assert spaced == []


def test_search_terms() -> None:
    own = {"legalName": "(Comercializadora) ñ-u!", "taxId": "Xa1", "email": "B@c.mx", "externalId": "Q 7"}
    terms = search_terms({**own, "metadata": {"a b": "C"}})
    name = [*beginnings("comerciali"), "comercializadora"]
    words = [*beginnings("nu", "u", "xa1", "b@cmx", "q")]
    keys = ["externalId Q 7", "taxId XA1", "email b@c.mx", "metadata a b C", "satValidation unchecked"]
    assert sorted(terms) == sorted({EMPTY_NGRAM, *name, *words, *keys})


LONG_NAMES = {
    "words": " ".join(f"{letter * 2}kuvwxyz0" for letter in "abcdefghijklmnopqrstuvwx"),
    "parts": "-".join(f"palabra{number}larga" for number in range(30))[:300],
    "letters": " ".join(map(chr, range(0x4E00, 0x4E00 + 150))),
}


@pytest.mark.parametrize("name", LONG_NAMES)
def test_a_customer_makes_a_bounded_number_of_index_keys(name: str) -> None:
    own = {"taxId": "GODE561231GR8", "email": "contabilidad@example.com", "externalId": "customer-4711"}
    customer = {"legalName": LONG_NAMES[name], **own, "metadata": {f"key{number}": "x" for number in range(50)}}
    terms = search_terms(customer)
    of_no_active_customer = {"blockedAt", "erasedAt"}
    active = [each for each in CustomerRepository.INDEXES if not of_no_active_customer & set(each.document["key"])]
    others = len(active)  # `_id` has one too, and one of these holds the terms
    assert len(terms) + others == MAXIMUM_KEYS
    for asked in (*({key: value} for key, value in own.items()), {}):
        assert is_found(customer, CustomerQuery(exact=asked, metadata={"key49": "x"}, sat_status="unchecked"))


def test_each_whole_word_of_a_long_name_is_found() -> None:
    """The first words are found by each beginning too."""
    name = LONG_NAMES["words"]
    customer = {"legalName": name, "taxId": "T", "email": "e"}
    assert len(search_terms(customer)) == MAXIMUM_TERMS
    for word in name.split():
        assert is_found(customer, CustomerQuery(words_of(word)))
    assert is_found(customer, CustomerQuery(words_of(name)))
    assert all(is_found(customer, CustomerQuery(words_of(name[:length]))) for length in range(1, 20))
    assert not is_found(customer, CustomerQuery(words_of(name.split()[-1][:5])))


@pytest.mark.parametrize(
    ("validation", "status"),
    [
        ({"status": "not-found"}, "not-found"),
        *((odd, "unchecked") for odd in (None, 5, "matched", {}, {"status": ["matched"]}, {"status": "unchecked"})),
    ],
)
def test_the_term_of_the_answer(validation: object, status: str) -> None:
    customer = {"legalName": "ANA", "taxId": "T", "email": "e", "satValidation": validation}
    terms = search_terms(customer)
    assert [term for term in terms if term in SAT_TERMS.values()] == [SAT_TERMS[status]]
    assert [each for each in SAT_TERMS if is_found(customer, CustomerQuery(("ana",), sat_status=each))] == [status]
    assert sorted(
        with_sat_term(search_terms({**customer, "satValidation": {"status": "matched"}}), validation)
    ) == sorted(terms)


@pytest.mark.parametrize("words", [("o brien",), ("hermanos lopez",)])
def test_the_sat_status_is_the_last_term_if_there_are_words(words: tuple[str, ...]) -> None:
    terms = CustomerQuery(words, sat_status="unchecked").terms()
    assert (len(terms), terms[1:]) == (2, [SAT_TERMS["unchecked"]])


def beginnings(*words: str) -> set[str]:
    return {word[:length] for word in words for length in range(1, len(word) + 1)}


def test_long_texts_of_another_program_make_a_bounded_number_of_terms() -> None:
    long = "x" * 10_000
    terms = search_terms({"legalName": long, "taxId": long, "email": long, "metadata": {"a": long}})
    assert max(map(len, terms)) <= MAXIMUM_LEGAL_NAME_LENGTH + len("taxId ")
    assert len(terms) < 2 * MAXIMUM_NGRAM_LENGTH


@pytest.mark.parametrize(
    ("q", "terms"),
    [
        ("", [EMPTY_NGRAM]),
        ("pe", ["pe"]),
        ("Pérez GARCÍA", ["garcia", "perez"]),
        ("y" * 20, ["y" * MAXIMUM_NGRAM_LENGTH]),
        ("O'Brien S.A.", ["sa"]),
        ("y" * 20 + " " + "y" * 15 + "z", ["y" * MAXIMUM_NGRAM_LENGTH]),
    ],
)
def test_a_query_has_an_n_gram_of_each_word(q: str, terms: list[str]) -> None:
    assert CustomerQuery(words_of(q)).terms() == terms


def test_only_a_word_longer_than_its_n_gram_is_compared_whole() -> None:
    query = CustomerQuery(words_of("abcdefghij " + "y+" * 9))
    assert query.conditions() == [{"search": {"$regex": "^" + r"y\+" * 9}}]


def test_a_word_with_punctuation_is_found_joined_or_by_all_its_parts() -> None:
    query = CustomerQuery(words_of("hermanos-comercializadora"))
    joined, long = "hermanosco", "comerciali"
    assert query.terms() == [{"$in": [joined, long]}]
    parts = [{"search": "hermanos"}, {"search": {"$regex": "^comercializadora"}}]
    assert query.conditions() == [{"$or": [{"search": {"$regex": "^hermanoscomercializadora"}}, {"$and": parts}]}]
    assert CustomerQuery(words_of("O'Brien García")).terms() == ["garcia"]


def test_exact_keys_are_compared_in_one_form() -> None:
    query = CustomerQuery(("ana",), {"taxId": "abc", "email": "Ñ@X.mx", "externalId": "aB"}, {"a b": "C"})
    assert query.terms() == ["taxId ABC", "email ñ@x.mx", "externalId aB", "ana", "metadata a b C"]
    assert query.conditions() == [{"metadata.a b": "C"}]


def test_a_search_by_phone_also_finds_what_its_words_find() -> None:
    customers = [{"legalName": name, "taxId": "T", "email": "e", "phone": phone} for name, phone in PHONES.items()]
    query = CustomerQuery(words_of("86500 86500"), phone=phone_of("86500 86500"))
    assert [each["legalName"] for each in customers if is_found(each, query)] == ["8650086500", "86500 1", "ANA"]


def test_each_word_of_a_phone_bounds_the_search() -> None:
    query = CustomerQuery(words_of("00000 123456789012"), phone=phone_of("00000 123456789012"))
    term = "phone 3456789012"
    assert query.terms() == [{"$in": ["1234567890", term]}, {"$in": ["00000", term]}]
    assert query.conditions() == [{"$or": [{"search": term}, {"search": {"$regex": "^123456789012"}}]}]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("6474010101", "6474010101"),
        ("+52 1 (647) 401\u201101\u00a001.", "6474010101"),
        ("647401010", None),
        ("647401010x1", None),
        ("6474010101\n", None),
        ("٦٤٧٤٠١٠١٠١", None),
        ("", None),
    ],
)
def test_phone_of(text: str, expected: str | None) -> None:
    assert phone_of(text) == expected


def test_the_conditions_of_time_ranges() -> None:
    moment = datetime(2025, 1, 1)  # noqa: DTZ001 - as the repository has it
    query = CustomerQuery(ranges={"createdAt": {"gt": moment}, "updatedAt": {"gte": moment, "lt": moment}})
    assert query.conditions() == [
        {"createdAt": READABLE | {"$gt": moment}},
        {"updatedAt": READABLE | {"$gte": moment, "$lt": moment}},
    ]
    assert [each.order for each in (query, CustomerQuery())] == ["createdAt", "_id"]


@pytest.mark.parametrize(("q", "nothing"), [("a\x00", True), ("\x7f", True), ("a\x01b", True), ("a\tb", False)])
def test_a_query_with_a_control_character_matches_nothing(q: str, *, nothing: bool) -> None:
    assert CustomerQuery(words_of(q)).matches_nothing() is nothing
