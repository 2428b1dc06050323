"""The digest that stands for bytes: in ETags, cache keys, stored keys and checkpoints."""

from __future__ import annotations

from hashlib import blake2b

DIGEST_BYTES = 16


def digest(content: bytes, size: int = DIGEST_BYTES) -> bytes:
    """Return the BLAKE2b digest of the content, in this many bytes."""
    return blake2b(content, digest_size=size).digest()
