"""An issuer's published key set (RFC 7517), reduced to the keys that may verify an access token.

A key that can't be used (another type or use, too short, malformed, or with its private half showing) is left out, as
RFC 7517 section 5 asks; it never makes the others unusable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key

from gateway.caller.compact import Malformed, decode_base64url, strict_json

_RSA_BITS: Final = range(2048, 8192 + 1)
"""NIST SP 800-131A asks for 2048 bits; a key of enormous length would only cost time."""
_RSA_EXPONENTS: Final = range(3, 2**32, 2)
_MEMBERS: Final = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
"""Members that only a private or a shared key has (RFC 7518, section 6)."""
_ALGORITHMS: Final = {
    ("RSA", None): frozenset({"RS256", "RS384", "RS512", "PS256"}),
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA", "Ed25519"}),
}
DEMO_MARK: Final = "connect_care_demo"
"""The demo identity provider marks its documents with this member, so that no production gateway believes it."""


class DemoKeys(Malformed):
    """The document is the demo identity provider's, which anybody can sign in to."""


class NoSuchKey(LookupError):
    """No single key of the set fits the token's `kid` and algorithm."""


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """One public key and the algorithms it may be used with."""

    kid: str | None
    algorithms: frozenset[str]
    key: Key
    thumbprint: str


class VerifyingKeys:
    """The usable keys of one issuer."""

    def __init__(self, keys: Sequence[VerifyingKey]) -> None:
        self._keys = tuple(keys)

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def algorithms(self) -> frozenset[str]:
        """Those that at least one of the keys may be used with."""
        return frozenset().union(*(key.algorithms for key in self._keys))

    def pick(self, kid: str | None, algorithm: str) -> VerifyingKey:
        """The one key for a token's header; a token may leave out `kid` only where there is but one key.

        Raises NoSuchKey, also where two keys would fit: guessing between them would make both trusted.
        """
        if kid is None and len(self._keys) != 1:
            raise NoSuchKey("the token names no key, and there is not exactly one")
        fitting = [key for key in self._keys if kid in (None, key.kid) and algorithm in key.algorithms]
        if len(fitting) != 1:
            raise NoSuchKey("no key" if not fitting else "several keys of that name")
        return fitting[0]


def read_key_set(body: bytes, *, allow_demo: bool) -> VerifyingKeys:
    """The usable keys of a JWK Set document. Raises Malformed where it isn't one, or is the demo's and may not be."""
    document = strict_json(body)
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise Malformed("not a JWK Set")
    refuse_demo(document, allow_demo=allow_demo)
    return VerifyingKeys(list(_usable(document["keys"])))


def refuse_demo(document: dict[str, Any], *, allow_demo: bool) -> None:
    """Raise DemoKeys where the document is the demo identity provider's and that isn't allowed."""
    if DEMO_MARK in document and not allow_demo:
        raise DemoKeys("this is the demo identity provider, which anybody can sign in to")


def _usable(entries: list[Any]) -> Iterator[VerifyingKey]:
    for entry in entries:
        try:
            yield read_key(entry)
        except (JoseError, ValueError, TypeError, LookupError):
            continue


def read_key(entry: dict[str, Any]) -> VerifyingKey:
    """One public JWK. Raises JoseError, ValueError, TypeError or LookupError for anything else."""
    kind = entry["kty"]
    if (
        not _PRIVATE.isdisjoint(entry)
        or entry.get("use", "sig") != "sig"
        or "verify" not in entry.get("key_ops", ["verify"])
    ):
        raise ValueError("not a public key for signatures")
    kid = entry.get("kid")
    if not isinstance(kid, str | None):
        raise TypeError("kid is not text")
    if kind == "RSA":
        _check_rsa(entry)
    algorithms = _ALGORITHMS[kind, entry.get("crv")]
    if "alg" in entry:
        algorithms &= {entry["alg"]}
    key = JWKRegistry.import_key({"kty": kind} | {name: entry[name] for name in _MEMBERS[kind]})
    return VerifyingKey(kid, algorithms, key, key.thumbprint())


def _check_rsa(entry: dict[str, Any]) -> None:
    modulus, exponent = (int.from_bytes(decode_base64url(entry[name])) for name in ("n", "e"))
    if modulus.bit_length() not in _RSA_BITS or exponent not in _RSA_EXPONENTS:
        raise ValueError("an RSA key outside the accepted sizes")
