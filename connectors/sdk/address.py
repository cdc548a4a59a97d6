"""Which URLs belong to a source: its base address, and what lies plainly below it."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

from connectors.sdk.errors import WrongContent

# White space would end the request line early; R4 puts nothing but ids, types and operations into a path.
_PRINTABLE: Final = re.compile(r"[!-~]*")
_PATH: Final = re.compile(r"[A-Za-z0-9._~$/:@!'()*,+=&-]*")
# A search as connectors write it, `Type?query`: it can lead nowhere but below the base.
_PLAIN_SEARCH: Final = re.compile(r"[A-Za-z]+\?[!\"$-~]+")


def address_fault(address: str) -> str | None:
    """What keeps an address from being a source's base address, as the end of a sentence; None where nothing does."""
    try:
        parts = urlsplit(address)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return "is not a URL"
    if not whole or not _PRINTABLE.fullmatch(address):
        return "must be a whole http or https URL"
    if "@" in parts.netloc:
        return "must not hold a user name or password; use auth"
    return "must not hold a query or fragment" if "?" in address or "#" in address else None


def resolve(base_url: str, url: str) -> str:
    """The absolute URL of a call or next link. Raises WrongContent where it leaves the base path or the origin.

    `base_url` ends without a slash. Nothing of a foreign authority survives: the answer is the base's own origin, with
    the path and query of the link.
    """
    if _PLAIN_SEARCH.fullmatch(url):
        return f"{base_url}/{url}"
    base = urlsplit(base_url)
    try:
        parts = urlsplit(urljoin(base_url + "/", url))
        stays = _origin(parts) == _origin(base) and "@" not in parts.netloc
    except ValueError as error:
        raise WrongContent("a link of the source is not a URL") from error
    if not stays or not _PRINTABLE.fullmatch(url) or not _under(parts.path, base.path):
        raise WrongContent("a link of the source leaves its own base address")
    return f"{base.scheme}://{base.netloc}{parts.path}" + (f"?{parts.query}" if parts.query else "")


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    port = parts.port if parts.port is not None else {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, port


def _under(path: str, base: str) -> bool:
    """True for the base path and plain paths below it: no dot segments, and nothing that a server might decode to one.

    What lies below is held to an allow-list of characters, so percent signs, backslashes and `;` are out altogether.
    """
    below = path.removeprefix(base)
    if not path.startswith(base) or (below and not below.startswith("/")):
        return False
    return _PATH.fullmatch(below) is not None and not any(
        segment == "." or segment.startswith("..") for segment in below.split("/")
    )
