"""The client's certificate, as the TLS proxy in front hands it on (RFC 9440, `Client-Cert`).

The header is the proxy's word and nobody else's: anybody can write one. It is believed from the configured proxies
alone, known by their address or by the Unix socket through which they connect; from anybody else it is refused, so that
a proxy that forgets to strip it, or a way round the proxy, is noticed the first time.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import logging
import re
from collections.abc import Iterable
from typing import Final

from gateway import log
from gateway.caller.presented import Presented
from gateway.caller.refusals import not_from_the_proxy, not_signed_in

SOCKET: Final = "unix:"
_MOST_CHARACTERS: Final = 16 * 1024
_MOST_ADDRESSES: Final = 256
_BYTES: Final = re.compile(r":([A-Za-z0-9+/]+={0,2}):", re.ASCII)
"""One Byte Sequence (RFC 9651, section 3.3.5) without parameters: the DER certificate."""

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Proxies:
    """The proxies whose word is taken: IP addresses, small networks, or `unix:` and the path of our own socket."""

    def __init__(self, configured: Iterable[str]) -> None:
        """Raises ValueError where one is none of these, or a network of more than 256 addresses."""
        written = list(configured)
        self._sockets = frozenset(each for each in written if each.startswith(SOCKET))
        self._networks = tuple(_network(each) for each in written if each not in self._sockets)

    def __bool__(self) -> bool:
        return bool(self._sockets or self._networks)

    def believes(self, peer: str) -> bool:
        """Whether who connected is one of them. Who isn't known isn't."""
        if peer.startswith(SOCKET):
            return peer in self._sockets
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        plain = getattr(address, "ipv4_mapped", None) or address
        return any(plain in network for network in self._networks)


def _network(written: str) -> _Network:
    network = ipaddress.ip_network(written)
    if network.num_addresses > _MOST_ADDRESSES:
        raise ValueError(
            f"{written} is more than {_MOST_ADDRESSES} addresses: name the proxies, not a network of others"
        )
    return network


def certificate_thumbprint(presented: Presented, proxies: Proxies) -> str | None:
    """SHA-256 of the client's certificate as `x5t#S256` has it (RFC 8705, section 3.1); None where none was handed on.

    Raises BadRequest where somebody else than the proxy sent one, NotSignedIn where it isn't one certificate.
    """
    if not presented.certificate:
        return None
    if not proxies.believes(presented.peer):
        refusal = not_from_the_proxy()
        log.event("signin.refused", level=logging.WARNING, rule=refusal.rule, address=presented.peer)
        raise refusal
    if len(presented.certificate) > 1 or len(presented.certificate[0]) > _MOST_CHARACTERS:
        raise not_signed_in("certificate.header", "several certificates, or one of enormous size")
    match = _BYTES.fullmatch(presented.certificate[0].strip(" "))
    try:
        der = base64.b64decode(match[1], validate=True) if match else b""
    except binascii.Error:
        der = b""
    if not der:
        raise not_signed_in("certificate.header", "Client-Cert is not one byte sequence")
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
