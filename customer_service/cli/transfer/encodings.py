"""The encoding of a spreadsheet's file: by its byte order mark, else by the first line with a letter beyond ASCII."""

from __future__ import annotations

import codecs
import io
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, cast

from customer_service.cli.transfer.rows import READ_ERRORS, unreadable_after

if TYPE_CHECKING:
    from collections.abc import Iterator

UTF_8, UTF_16, WINDOWS_1252 = "UTF-8", "UTF-16", "Windows-1252"
MARKS = {codecs.BOM_UTF8: UTF_8, codecs.BOM_UTF16_LE: UTF_16, codecs.BOM_UTF16_BE: UTF_16}

# Text of another code page (DOS, Mac), or UTF-8 that was cut, decodes as Windows-1252 too, into other letters. So only
# the letters of Spanish are accepted. Ú of the DOS page becomes é, which is detected beside capitals.
NOT_SPANISH = re.compile(r"[^\x00-\x7fÁÉÍÓÚÜÑáéíóúüñªº°¿]|é(?=[A-Z])|(?<=[A-Z]{2})é")


class LineDecoder:
    """Decodes lines that were read as UTF-8 with surrogateescape; one that cannot be decoded keeps surrogates."""

    def __init__(self, encoding: str | None) -> None:
        """Begin with the encoding of the byte order mark, or None: then the first line that is not ASCII decides."""
        self.encoding = encoding

    def __call__(self, line: str) -> str:
        """Return the line, decoded in the one encoding of the file."""
        if line.isascii() or self.encoding == UTF_16:
            return line
        raw = line.encode("utf-8", "surrogateescape")
        encoding, text = _decode(raw)
        self.encoding = self.encoding or encoding
        return text if encoding and encoding == self.encoding else raw.decode("ascii", "surrogateescape")


def _decode(raw: bytes) -> tuple[str | None, str]:
    try:
        return UTF_8, raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("cp1252", "replace")
    return (None if NOT_SPANISH.search(text) else WINDOWS_1252), text


def is_utf_8(text: str) -> bool:
    """Return whether the text can be encoded as UTF-8: it has no bytes that were decoded as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def decoding(stream: BinaryIO) -> Iterator[tuple[io.TextIOWrapper, LineDecoder]]:
    """Yield the text of a stream, and what decodes its lines; the stream stays open. Raises Unreadable."""
    buffered = io.BufferedReader(cast("io.RawIOBase", stream))
    try:
        start = buffered.peek(len(codecs.BOM_UTF8))
    except READ_ERRORS as error:
        raise unreadable_after(0, error) from error
    encoding = next((encoding for mark, encoding in MARKS.items() if start.startswith(mark)), None)
    codec = ("utf-16", "surrogatepass") if encoding == UTF_16 else ("utf-8-sig", "surrogateescape")
    text = io.TextIOWrapper(buffered, *codec, newline="")
    try:
        yield text, LineDecoder(encoding)
    finally:
        text.detach()
        buffered.detach()
