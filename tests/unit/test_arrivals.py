"""When a request is whole: however its bytes are cut, at its last byte and not before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customer_service.arrivals import MAXIMUM_BODY_BYTES, MAXIMUM_CHUNKED_BYTES, MAXIMUM_HEAD_BYTES, Arrival
from customer_service.errors import BodyTooLarge, HeadTooLarge

GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /customers HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n" + b"0\r\n\r\n{12345}\n"
CHUNKS = b"5\r\nabcde\r\n1a;name=value\r\n" + b"0\r\n\r\n" + b"z" * 21 + b"\r\n0\r\n"
CHUNKED_HEAD = b"PUT /customers HTTP/1.1\r\ntransfer-encoding : chunked\r\n\r\n"
CHUNKED = CHUNKED_HEAD + CHUNKS + b"\r\n"
TRAILED = CHUNKED_HEAD + CHUNKS + b"Digest: x\r\nOther: y\r\n\r\n"


def whole_at(request: bytes, cuts: list[int]) -> int:
    """Return how much of the request had arrived when it was called whole, cut at these places."""
    arrival = Arrival()
    for start, end in zip([0, *cuts], [*cuts, len(request)], strict=True):
        arrival.data += request[start:end]
        if arrival.is_whole():
            return end
    return -1


@pytest.mark.parametrize("request_", [GET, POST, CHUNKED, TRAILED], ids=["get", "length", "chunks", "trailers"])
@given(data=st.data())
def test_it_is_whole_at_its_last_byte(request_: bytes, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(request_) - 1), max_size=len(request_)).map(sorted))
    assert whole_at(request_, cuts) == len(request_)


@pytest.mark.parametrize("request_", [GET, POST, CHUNKED, TRAILED], ids=["get", "length", "chunks", "trailers"])
def test_byte_by_byte(request_: bytes) -> None:
    assert whole_at(request_, list(range(1, len(request_)))) == len(request_)


@pytest.mark.parametrize("request_", [GET, POST, CHUNKED])
def test_what_follows_changes_nothing(request_: bytes) -> None:
    assert Arrival(request_ + b"GET /").is_whole()


def test_of_two_lengths_the_longer_counts() -> None:
    head = b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 3\r\n\r\n"
    assert not Arrival(head + b"ab").is_whole()
    assert Arrival(head + b"abc").is_whole()


def test_a_body_that_is_said_to_be_too_large_need_not_arrive() -> None:
    assert Arrival(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAXIMUM_BODY_BYTES + 1)).is_whole()
    assert not Arrival(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % MAXIMUM_BODY_BYTES).is_whole()


@pytest.mark.parametrize("chunks", [b"xyz\r\n", b"\r\n", b"-1\r\n", b"123456789\r\n"])
def test_a_chunk_of_no_size_is_handed_over_to_be_refused(chunks: bytes) -> None:
    assert Arrival(CHUNKED_HEAD + chunks).is_whole()


def test_a_head_without_end_is_too_large() -> None:
    arrival = Arrival(b"GET / HTTP/1.1\r\nX: ")
    arrival.data += b"a" * (MAXIMUM_HEAD_BYTES - len(arrival.data))
    assert not arrival.is_whole()
    arrival.data += b"a"
    with pytest.raises(HeadTooLarge):
        arrival.is_whole()


@pytest.mark.parametrize("chunk", [b"1\r\na\r\n", b"1" + b"a" * 1_000_000, b"fffffff\r\n" + b"a" * 10_000])
def test_chunks_without_end_are_too_large(chunk: bytes) -> None:
    chunks = chunk * (MAXIMUM_CHUNKED_BYTES // len(chunk) + 1)
    assert not Arrival(CHUNKED_HEAD + chunks[:MAXIMUM_CHUNKED_BYTES]).is_whole()
    arrival = Arrival(CHUNKED_HEAD)
    assert not arrival.is_whole()
    arrival.data += chunks
    with pytest.raises(BodyTooLarge):
        arrival.is_whole()


def test_who_waits_for_a_word_is_told_once() -> None:
    arrival = Arrival(b"POST / HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-Continue\r\n")
    assert not arrival.is_whole()
    assert not arrival.wants_a_word()
    arrival.data += b"\r\n"
    assert not arrival.is_whole()
    assert arrival.wants_a_word()
    assert not arrival.wants_a_word()


def test_who_waits_for_nothing_is_told_nothing() -> None:
    arrival = Arrival(POST[:-1])
    assert not arrival.is_whole()
    assert not arrival.wants_a_word()


def test_another_coding_is_the_parsers_to_refuse() -> None:
    assert Arrival(b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n").is_whole()
    assert not Arrival(b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n").is_whole()
