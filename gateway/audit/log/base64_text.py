"""Base64 with one spelling for each content, so that no proof and no key can be written in two ways."""

from __future__ import annotations

import base64


def encode_base64(content: bytes) -> str:
    """In the standard alphabet, with padding."""
    return base64.b64encode(content).decode()


def decode_base64(text: str) -> bytes:
    """What `encode_base64` makes this very text of. Raises ValueError where it makes it of nothing."""
    decoded = base64.b64decode(text, validate=True)
    if encode_base64(decoded) != text:
        raise ValueError("That isn't base64 in its one right spelling")
    return decoded
