"""What a browser calls an origin."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

_USUAL_PORTS: Final = {"http": 80, "https": 443}


def is_origin(text: str) -> bool:
    """True for an origin exactly as browsers send it: scheme, host and, where it isn't the usual one, port."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    if not parts.hostname or "*" in text or port == _USUAL_PORTS.get(parts.scheme, port):
        return False
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return text == f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")
