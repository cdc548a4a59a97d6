"""One address in its one spelling, so that two that mean the same compare as the same (RFC 3986, section 6.2)."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9._~-]", re.ASCII)
_USUAL_PORTS: Final = {"http": 80, "https": 443}


def normalised(url: str) -> str | None:
    """Scheme, host, port and path in their one spelling, without query and fragment; None where it isn't an absolute
    http(s) URL. Letters of scheme and host, the usual port, escapes that needn't be and dot segments are evened out."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if (
        parts.scheme not in _USUAL_PORTS
        or not host
        or "@" in parts.netloc
        or not url.isascii()
        or not url.isprintable()
    ):
        return None
    named = f"[{host}]" if ":" in host else host
    shown = named if port in (None, _USUAL_PORTS[parts.scheme]) else f"{named}:{port}"
    return f"{parts.scheme}://{shown}{_without_dots(_ESCAPE.sub(_spelt, parts.path))}"


def _spelt(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if _UNRESERVED.fullmatch(character) else escape[0].upper()


def _without_dots(path: str) -> str:
    """RFC 3986, section 5.2.4, for a path that is absolute or empty."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
    ends_open = bool(segments) and segments[-1] in (".", "..")
    return "/" + "/".join(kept) + ("/" if ends_open and kept else "")
