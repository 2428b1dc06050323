"""What Cache stores, and when it drops it."""

from __future__ import annotations

import threading

import pytest

from customer_service.repository.expiring_cache import STAMP_SLOTS, Cache


class Clock:
    """A clock that stands until it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> Cache[str]:
    """A cache of three values for five seconds."""
    return Cache(3, 5, clock)


def test_a_loaded_value_is_cached(cache: Cache[str]) -> None:
    assert cache.get("a") is None
    assert cache.load("a", lambda: "A") == "A"
    assert cache.get("a") == "A"
    assert (cache.hits, cache.misses) == (1, 1)


def test_none_is_not_cached(cache: Cache[str]) -> None:
    assert cache.load("a", lambda: None) is None
    assert cache.get("a") is None


def test_an_error_is_not_cached(cache: Cache[str]) -> None:
    with pytest.raises(ZeroDivisionError):
        cache.load("a", lambda: str(1 / 0))
    assert cache.get("a") is None


def test_the_age_of_a_value_counts_from_the_start_of_its_load(cache: Cache[str], clock: Clock) -> None:
    def slowly() -> str:
        clock.now += 4
        return "A"

    cache.load("a", slowly)
    assert cache.get("a") == "A"
    clock.now = 4.99
    assert cache.get("a") == "A"
    clock.now = 5
    assert cache.get("a") is None


def test_a_full_cache_drops_the_oldest_entry(cache: Cache[str]) -> None:
    for key in "abacd":
        cache.load(key, key.upper)
    assert [cache.get(key) for key in "abcd"] == ["A", None, "C", "D"]


def test_invalidate_drops_every_value_of_the_subject(cache: Cache[str]) -> None:
    cache.load(("one", "a"), lambda: "A", "a")
    cache.load(("two", "a"), lambda: "A", "a")
    cache.load(("one", "b"), lambda: "B", "b")
    assert hash("a") % STAMP_SLOTS != hash("b") % STAMP_SLOTS
    cache.invalidate("a")
    assert [cache.get(key) for key in (("one", "a"), ("two", "a"), ("one", "b"))] == [None, None, "B"]


@pytest.mark.parametrize("how", ["drop", "clear"])
def test_a_value_that_is_being_loaded_is_not_cached_after_an_invalidation(cache: Cache[str], how: str) -> None:
    def meanwhile() -> str:
        cache.invalidate("a") if how == "drop" else cache.clear()
        return "old"

    assert cache.load("a", meanwhile, "a") == "old"
    assert cache.get("a") is None
    assert cache.load("a", lambda: "new", "a") == "new"
    assert cache.get("a") == "new"


def test_clear_drops_every_value(cache: Cache[str]) -> None:
    for key in "ab":
        cache.load(key, key.upper, key)
    cache.clear()
    assert [cache.get(key) for key in "ab"] == [None, None]


def test_no_invalidation_is_lost_between_threads() -> None:
    cache: Cache[int] = Cache(50)
    current = dict.fromkeys(range(20), 0)
    wrong: list[tuple[int, int]] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            for key in current:
                before = current[key]
                kept = cache.get(key)
                if kept is None:
                    kept = cache.load(key, lambda key=key: current[key], key)  # type: ignore[misc]
                if kept < before:
                    wrong.append((kept, before))

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for number in range(1, 20_000):
        key = number % 20
        current[key], old = number, current[key]
        cache.invalidate(key)
        assert old < number
    done.set()
    for reader in readers:
        reader.join()
    stale = [key for key in current if cache.get(key) not in (None, current[key])]
    assert stale == []
    assert cache.hits
