"""From the bytes of a query string or form to name and value pairs, read in exactly one way.

Web frameworks read leniently: they drop empty pieces, put a replacement character where the bytes are not UTF-8, and
some take `;` for `&`. A piece that two readers could read differently is refused here instead.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.errors import BadRequest
from gateway.search.refuse import malformed

MAX_PARAMETERS: Final = 24
MAX_LENGTH: Final = 8192
_STRAY_PERCENT: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ALLOWED: Final = re.compile(rb"[!-~]*")


def pairs_of(query: bytes, form: bytes = b"") -> list[tuple[str, str]]:
    """The decoded pairs of a query string and of a POST `_search` form, in order; `form` after `query`.

    Raises BadRequest for anything that isn't plain `name=value` joined by `&`: empty pieces, missing names, stray
    percent signs, bytes that aren't UTF-8, more than 24 parameters or 8 KiB.
    """
    pairs = [_pair(piece) for part in (query, form) if part for piece in _pieces(part)]
    if len(pairs) > MAX_PARAMETERS:
        raise malformed(f"A search takes at most {MAX_PARAMETERS} parameters.")
    return pairs


def _pieces(part: bytes) -> list[bytes]:
    if len(part) > MAX_LENGTH:
        raise malformed(f"A search takes at most {MAX_LENGTH} bytes of parameters.")
    if not _ALLOWED.fullmatch(part):
        raise malformed("The parameters hold characters that must be percent-encoded.")
    return part.split(b"&")


def _pair(piece: bytes) -> tuple[str, str]:
    name, equals, value = piece.partition(b"=")
    if not name or not equals:
        raise malformed("Each parameter is a name, an equals sign and a value, joined to the next by one `&`.")
    return _decoded(name), _decoded(value)


def _decoded(text: bytes) -> str:
    if _STRAY_PERCENT.search(text):
        raise malformed("A percent sign in the parameters is not followed by two hexadecimal digits.")
    try:
        return unquote_to_bytes(text.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise _not_utf8() from None


def _not_utf8() -> BadRequest:
    return malformed("The parameters aren't UTF-8.")
