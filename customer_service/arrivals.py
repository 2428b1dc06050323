"""What has arrived of a request, and whether that is all of it."""

from __future__ import annotations

import re

from customer_service.errors import BodyTooLarge, HeadTooLarge

MAXIMUM_HEAD_BYTES = 65_536
MAXIMUM_BODY_BYTES = 1_000_000
MAXIMUM_CHUNKED_BYTES = 2 * MAXIMUM_BODY_BYTES  # with what stands around the chunks
END = b"\r\n\r\n"
LENGTH = re.compile(rb"\ncontent-length[ \t]*:[ \t]*(\d{1,18})", re.IGNORECASE)
CODING = re.compile(rb"\ntransfer-encoding[ \t]*:([^\r\n]*)", re.IGNORECASE)
EXPECTS = re.compile(rb"\nexpect[ \t]*:[ \t]*100-continue", re.IGNORECASE)
CHUNK_SIZE = re.compile(rb"[0-9a-fA-F]{1,8}(?=[;\s])")
LINE_BREAK = b"\r\n"
NAMES = re.compile(rb"\n(origin|x-request-id|traceparent)[ \t]*:[ \t]*([^\s,]{1,128})[ \t]*\r", re.IGNORECASE)


class Arrival:
    """The bytes of a request so far.

    It decides nothing but when to hand them to the parser, which is the one to judge them: what cannot be understood
    here is handed over, to be refused there. `has_rest` says that the body is not waited for.
    """

    def __init__(self, data: bytes = b"") -> None:
        """Begin with what arrived behind the request before, if anything did."""
        self.data = bytearray(data)
        self.has_rest = False
        self._searched = 0
        self._body_at: int | None = None
        self._end: int | None = None
        self._chunk_at = 0
        self._told = False

    def is_whole(self) -> bool:
        """Whether nothing more is needed to answer; raises HeadTooLarge or BodyTooLarge.

        A body whose length is said to be too large need not arrive at all: the application refuses it unread.
        """
        if self._body_at is None:
            self._read_head()
        elif self._end is None:
            self._read_chunks(self._body_at)
        return self._end is not None and len(self.data) >= self._end

    def wants_a_word(self) -> bool:
        """Whether the client waits to be told to send the body (RFC 9110, section 10.1.1); once only."""
        if self._told or self._body_at is None:
            return False
        self._told = True
        return EXPECTS.search(self.data, 0, self._body_at) is not None

    def names(self) -> dict[str, str]:
        """Return what the head names itself, its trace and its page by, in lower-case names of fields."""
        found = NAMES.findall(self.data, 0, MAXIMUM_HEAD_BYTES)
        return {name.decode().lower(): value.decode("latin-1") for name, value in found}

    def _read_head(self) -> None:
        end = self.data.find(END, max(0, self._searched - len(END)))
        if end < 0:
            self._searched = len(self.data)
            if self._searched > MAXIMUM_HEAD_BYTES:
                raise HeadTooLarge
            return
        self._body_at = self._chunk_at = end + len(END)
        coding = CODING.search(self.data, 0, end)
        if coding is not None and b"chunked" in coding[1].lower():
            self._read_chunks(self._body_at)
            return
        length = max((int(each) for each in LENGTH.findall(self.data, 0, end)), default=0)
        self.has_rest = length > MAXIMUM_BODY_BYTES
        self._end = self._body_at + (0 if self.has_rest else length)

    def _read_chunks(self, body_at: int) -> None:
        """Step from chunk to chunk as far as they have arrived (RFC 9112, section 7.1)."""
        while self._end is None and (line_end := self.data.find(b"\n", self._chunk_at)) >= 0:
            size = CHUNK_SIZE.match(self.data, self._chunk_at)
            if size is None:
                self._end = line_end
            elif length := int(size[0], 16):
                self._chunk_at = line_end + 1 + length + len(LINE_BREAK)
            elif (end := self.data.find(END, line_end - 1)) >= 0:  # with or without trailers between
                self._end = end + len(END)
            else:
                break
        if self._end is None and len(self.data) - body_at > MAXIMUM_CHUNKED_BYTES:
            raise BodyTooLarge
