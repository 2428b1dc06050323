"""Invisible and control characters, forms of texts to compare, and repair of mojibake and HTML entities."""

from __future__ import annotations

import html
import re
import unicodedata
from contextlib import suppress

from customer_service.fiscal.limits import MAXIMUM_LEGAL_NAME_LENGTH

ASCII_CONTROLS = r"\u0000-\u001f\u007f"
"""The control characters of ASCII, for a character class of a regular expression."""

CONTROL_CHARACTERS = rf"{ASCII_CONTROLS}-\u009f"
"""The control characters of Unicode (category Cc), in the same form."""

CONTROL_CHARACTER = re.compile(f"[{CONTROL_CHARACTERS}]")
UNSTORABLE = re.compile(rf"[{CONTROL_CHARACTERS}\ud800-\udfff]")  # also lone surrogates, which UTF-8 does not have

IGNORABLE = (
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
)
"""The characters of Unicode's Default_Ignorable_Code_Point up to U+FFFF, in the same form."""

NOT_PRINTED = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff"
"""The twelve characters of Unicode's Bidi_Control, and U+FFFE and U+FFFF, which XML forbids, in the same form.

Source: XML 1.0, section 2.2.
"""

_IGNORABLE = re.compile(rf"[{IGNORABLE}\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]")
_HTML_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,31});")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_NOT_PRINTED = re.compile(f"[{NOT_PRINTED}]")


def is_blank(text: str) -> bool:
    """Return whether a text has no visible character."""
    return not _IGNORABLE.sub("", text).strip()


def is_printable(text: str) -> bool:
    """Return whether an invoice can print each character: none changes the order of the text, and XML allows all."""
    return text.isascii() or _NOT_PRINTED.search(text) is None


def comparable(text: str) -> str:
    """Return the form of a text in which unique keys are compared: NFC without invisible characters."""
    if text.isascii() or len(text) > MAXIMUM_LEGAL_NAME_LENGTH:  # normalizing takes quadratic time
        return text
    return unicodedata.normalize("NFC", _IGNORABLE.sub("", text))


def plain_spaces(text: str) -> str:
    """Return the text with one plain space between words, and without invisible characters."""
    return " ".join(_IGNORABLE.sub("", text).split())


def without_html_entities(text: str) -> str:
    """Return the text with each HTML entity, such as `&amp;`, replaced by its character."""
    return _HTML_ENTITY.sub(lambda entity: html.unescape(entity[0]), text)


def without_mojibake(text: str) -> str:
    """Return the original text if its UTF-8 was decoded as Windows-1252."""
    return _NOT_ASCII.sub(lambda garbled: _read_as_utf_8(garbled[0]), text)


def has_lost_characters(text: str) -> bool:
    """Return whether the text has signs of lost characters, which cannot be restored."""
    return "\ufffd" in text or "Ã?" in text


def folded(text: str) -> str:
    """Return the text in capitals without accents and punctuation, with one space between words."""
    letters = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return re.sub(r"[\W_]+", " ", letters).strip().upper()


def _read_as_utf_8(text: str) -> str:
    with suppress(UnicodeError):
        return text.encode("cp1252").decode()
    return text
