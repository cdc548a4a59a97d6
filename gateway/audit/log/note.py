"""Signed notes: short texts with Ed25519 signatures, as https://c2sp.org/signed-note says, and the keys for them.

A note is a text that ends in a newline, an empty line, and a line for each signature: an em dash, the key's name, and
in base64 the key's id (4 bytes) with the signature of the text. Whoever verifies pins one key, and passes over others'
lines (a witness may add its own). Both keys are one line of text: `name+id+base64` for the one that is given away, and
`PRIVATE+KEY+name+id+base64` for the other. Go's `golang.org/x/mod/sumdb/note` reads and writes the same.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.audit.log.base64_text import decode_base64, encode_base64
from gateway.closed import is_open_to_others

KEY_BYTES: Final = 32
MOST_NOTE: Final = 16_384
"""Characters of a note; one of ours has about 400, and one more for each witness some 150."""
_MOST_NAME: Final = 200
_ED25519: Final = b"\x01"
_ID_BYTES: Final = 4
_PRIVATE: Final = "PRIVATE+KEY+"
_SIGNATURE: Final = re.compile(r"— (?P<name>[^ +]+) (?P<base64>[A-Za-z0-9+/]+={0,2})")


class NotSigned(ValueError):
    """The text isn't a note that the pinned key signed. Nothing in it can be believed."""


class Statement(Protocol):
    """What a key can sign: it says in whose name, which must be the key's."""

    @property
    def origin(self) -> str:
        """The name of the log, and of its key."""
        ...

    def body(self) -> str:
        """The text to sign; ends in a newline."""
        ...


def is_origin(name: str) -> bool:
    """Whether a log, and its key, can have this name: best a host and a path, such as `care.example.org/journal`."""
    return 0 < len(name) <= _MOST_NAME and name.isprintable() and not set(name) & {" ", "+"}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The key that a verifier pins: the log's name and 32 bytes."""

    origin: str
    key: bytes

    def __post_init__(self) -> None:
        if not is_origin(self.origin) or len(self.key) != KEY_BYTES:
            raise ValueError("A key has a name without spaces or +, of 200 characters at most, and 32 bytes")

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """From `name+id+base64`. Raises ValueError with what to do."""
        name, key_id, key = _parse_key(text.strip(), "the checkpoints' key: one line, name+id+base64")
        public = cls(name, key)
        if public.id.hex() != key_id:
            raise ValueError("The checkpoints' key doesn't have the id beside it: copy the whole line again")
        return public

    def __str__(self) -> str:
        return f"{self.origin}+{self.id.hex()}+{encode_base64(_ED25519 + self.key)}"

    @property
    def id(self) -> bytes:
        """The 4 bytes that say in a signature's line which key it is."""
        return hashlib.sha256(f"{self.origin}\n".encode() + _ED25519 + self.key).digest()[:_ID_BYTES]

    def open(self, note: str) -> str:
        """The text of a note that this key signed, exactly once. Raises `NotSigned`."""
        if len(note) > MOST_NOTE or any(not each.isprintable() and each != "\n" for each in note):
            raise NotSigned("The note is too long, or holds characters that no note has")
        head, gap, signatures = note.rpartition("\n\n")
        if not gap or not signatures.endswith("\n"):
            raise NotSigned("The note has no signature after its text")
        text = head + "\n"
        ours = [signature for line in signatures[:-1].split("\n") if (signature := self._signature(line)) is not None]
        if len(ours) != 1:
            raise NotSigned(f"The note has {len(ours)} signatures by the key of {self.origin}, and should have 1")
        self._verify(ours[0], text)
        return text

    def _signature(self, line: str) -> bytes | None:
        """The signature in a line, or None where it's by another key."""
        parts = _SIGNATURE.fullmatch(line)
        try:
            signed = decode_base64(parts["base64"]) if parts else b""
        except ValueError:
            signed = b""
        if parts is None or len(signed) <= _ID_BYTES:
            raise NotSigned("A line after the note's text isn't a signature")
        ours = parts["name"] == self.origin and signed[:_ID_BYTES] == self.id
        return signed[_ID_BYTES:] if ours else None

    def _verify(self, signature: bytes, text: str) -> None:
        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(signature, text.encode())
        except InvalidSignature as error:
            raise NotSigned(f"The note isn't what the key of {self.origin} signed: it was altered") from error


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The key that signs: the log's name and the 32 bytes that must stay secret."""

    origin: str
    seed: bytes = field(repr=False)

    @classmethod
    def new(cls, origin: str) -> SigningKey:
        """A new key, for a log of this name. Raises ValueError where a log can't have it."""
        if not is_origin(origin):
            raise ValueError("A log's name has no spaces and no +, and 200 characters at most")
        return cls(origin, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """From a file that only its owner can read. Raises ValueError with what to do."""
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                open_to_others = is_open_to_others(os.fstat(file.fileno()))
                text = file.read(MOST_NOTE).strip()
        except OSError as error:
            raise ValueError(
                f"The signing key {path} can't be read ({error.strerror}). Make one: connectcare audit key new FILE"
            ) from error
        if open_to_others:
            raise ValueError(f"The signing key {path} is open to others than its owner. Close it: chmod 600 {path}")
        return cls._parse(text, f"the signing key {path}")

    @classmethod
    def _parse(cls, text: str, what: str) -> SigningKey:
        if not text.startswith(_PRIVATE):
            raise ValueError(f"That isn't {what}: it begins with {_PRIVATE}")
        name, key_id, seed = _parse_key(text.removeprefix(_PRIVATE), what)
        key = cls(name, seed)
        if key.public.id.hex() != key_id:
            raise ValueError(f"That isn't {what} as it was made: its id doesn't fit")
        return key

    def save(self, path: Path) -> None:
        """Write the key to a new file that only its owner can read. Raises FileExistsError rather than replace one."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            secret = encode_base64(_ED25519 + self.seed)
            file.write(f"{_PRIVATE}{self.origin}+{self.public.id.hex()}+{secret}\n")

    @property
    def public(self) -> PublicKey:
        """What to give to whoever verifies."""
        return PublicKey(self.origin, Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw())

    def sign(self, statement: Statement) -> str:
        """The note. The same statement gives the same note. Raises ValueError for another log's statement."""
        if statement.origin != self.origin:
            raise ValueError(f"The key of {self.origin} doesn't sign for {statement.origin}")
        body = statement.body()
        signature = Ed25519PrivateKey.from_private_bytes(self.seed).sign(body.encode())
        return f"{body}\n— {self.origin} {encode_base64(self.public.id + signature)}\n"


def _parse_key(text: str, what: str) -> tuple[str, str, bytes]:
    """Name, id and the 32 bytes. The base64 may hold a +, and the name none."""
    name, key_id, encoded = [*text.split("+", 2), "", ""][:3]
    try:
        typed = decode_base64(encoded)
    except ValueError:
        typed = b""
    if not is_origin(name) or typed[:1] != _ED25519 or len(typed) != 1 + KEY_BYTES:
        raise ValueError(f"That isn't {what}")
    return name, key_id, typed[1:]
