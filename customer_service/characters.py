"""Characters that are not seen, and texts that look the same."""

from __future__ import annotations

import re
import unicodedata

IGNORABLE = (
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    r"\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
)
"""The characters of Unicode's Default_Ignorable_Code_Point up to U+FFFF, as a class of regular expressions has them."""

BIDI_CONTROLS = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""The twelve characters of Unicode's Bidi_Control, in the same form."""

LONGEST_COMPARED = 300  # normalizing takes quadratic time, and no longer text is accepted anywhere

_IGNORABLE = re.compile(rf"[{IGNORABLE}\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]")
_BIDI_CONTROL = re.compile(f"[{BIDI_CONTROLS}]")


def is_blank(text: str) -> bool:
    """Whether a text has no character that is seen."""
    return not _IGNORABLE.sub("", text).strip()


def has_bidi_control(text: str) -> bool:
    """Whether a text can show its characters in another order than it has them."""
    return not text.isascii() and _BIDI_CONTROL.search(text) is not None


def comparable(text: str) -> str:
    """Return the text in the form that unique keys are compared in: without invisible characters, in NFC."""
    if text.isascii() or len(text) > LONGEST_COMPARED:
        return text
    return unicodedata.normalize("NFC", _IGNORABLE.sub("", text))
