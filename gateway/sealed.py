"""Sealed ids, patient tags and page cursors: identifiers that reveal nothing and can't be made up.

A sealed id is `prefix.digest`, 54 characters. The prefix is the deterministic authenticated encryption (AES-SIV,
RFC 5297) of patient and source: stable, so that a client may keep it, and openable by the gateway alone, so that a read
by id knows whose consent to check. The digest is keyed BLAKE2b over type and original id.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
from binascii import b2a_base64
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from connectors.sdk.nhs_number import is_nhs_number
from gateway.closed import is_open_to_others

_ODS_DIGITS: Final = " 0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ODS_LENGTH: Final = 6
_ODS: Final = re.compile(rf"[0-9A-Z]{{1,{_ODS_LENGTH}}}")
_PREFIX_LENGTH: Final = 39
_DIGEST_LENGTH: Final = 14
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"
# Base32 two characters at a time: a record has hundreds of digests, and the library's loop is slow on short input.
_PAIRS: Final = [first + second for first in _ALPHABET for second in _ALPHABET]
_PAIR_PLACES: Final = tuple(range(62, 1, -10))
SEALED_LENGTH: Final = _PREFIX_LENGTH + 1 + _DIGEST_LENGTH
MASTER_KEY_BYTES: Final = 32
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_SEALED_ID: Final = re.compile(rf"[a-z2-7]{{{_PREFIX_LENGTH}}}\.[a-z2-7]{{{_DIGEST_LENGTH}}}")


class Unsealable(ValueError):
    """The text was not sealed by this gateway, or was altered since."""


def is_sealed(text: str) -> bool:
    """True for what has the form of a sealed id, whoever made it."""
    return len(text) == SEALED_LENGTH and _SEALED_ID.fullmatch(text) is not None


def load_master_key(path: Path, *, closed: bool = False) -> bytes:
    """Read the master key: 32 bytes in hexadecimal. Raises ValueError with what to do where it isn't that.

    `closed` demands that nobody but the file's owner can read it: whoever has the key can name every patient in the
    store.
    """
    try:
        with path.open() as file:
            open_to_others = is_open_to_others(os.fstat(file.fileno()))
            key = bytes.fromhex(file.read().strip())
    except OSError as error:
        raise ValueError(
            f"The key file {path} can't be read ({error.strerror}). Make one: connectcare keys new FILE"
        ) from error
    except ValueError as error:
        raise ValueError(f"The key file {path} isn't hexadecimal. Make one: connectcare keys new FILE") from error
    if closed and open_to_others:
        raise ValueError(f"The key file {path} is open to others than its owner. Close it: chmod 600 {path}")
    if len(key) != MASTER_KEY_BYTES:
        raise ValueError(f"The key file {path} must hold 32 bytes in hexadecimal. Make one: connectcare keys new FILE")
    return key


def new_master_key(path: Path) -> None:
    """Write a new master key that only its owner can read. Raises FileExistsError rather than replace one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(MASTER_KEY_BYTES) + "\n")


class Sealer:
    """Seals with keys derived from one master key, a different one for each use (HKDF-SHA256)."""

    def __init__(self, master_key: bytes) -> None:
        def derived(use: str, length: int) -> bytes:
            return HKDF(algorithm=SHA256(), length=length, salt=None, info=f"connect-care/{use}".encode()).derive(
                master_key
            )

        self._ids = AESSIV(derived("ids", 64))
        self._patients = AESSIV(derived("patients", 64))
        self._cursors = AESSIV(derived("cursors", 64))
        self._texts = AESSIV(derived("texts", 64))
        # Copied for each digest: to key a new one costs more than the digest itself.
        self._digests = hashlib.blake2b(key=derived("digests", 32), digest_size=9)
        self._sent = hashlib.blake2b(key=derived("sent", 32), digest_size=12)
        self._tag_key = derived("patient-tags", 32)
        self._question_key = derived("questions", 32)
        self._fingerprint = derived("key-check/2", 16).hex()
        # One record asks for few prefixes; an unbounded memo would keep NHS numbers in memory for ever.
        self.prefix = lru_cache(maxsize=64)(self._prefix)

    def fingerprint(self) -> str:
        """Names the master key and reveals nothing of it: 32 hexadecimal digits, the same for the same key."""
        return self._fingerprint

    def opens(self, sealed_patient: str) -> bool:
        """True where this key sealed it."""
        try:
            self.open_patient(sealed_patient)
        except Unsealable:
            return False
        return True

    def patient_tag(self, nhs_number: str) -> str:
        """The HMAC-SHA256 tag that names a patient in the store and in the log: 64 hexadecimal digits, the same for the
        same patient, and useless without the key (NHS numbers are few enough to try them all)."""
        return hmac.digest(self._tag_key, nhs_number.encode(), "sha256").hex()

    def question_tag(self, question: str) -> str:
        """Names a question in the audit: the same for the same question, and useless without the key. Letters and the
        digits 2 to 7, so that no run of it could be taken for an NHS number."""
        keyed = hashlib.blake2b(question.encode(), key=self._question_key, digest_size=20)
        return _base32(keyed.digest())

    def seal_patient(self, nhs_number: str) -> str:
        """The NHS number under authenticated encryption, for those rows that must be able to name the patient."""
        return _base32(self._patients.encrypt(nhs_number.encode(), None))

    def open_patient(self, sealed: str) -> str:
        """Raises Unsealable."""
        return self._open(self._patients, sealed).decode()

    def seal_text(self, text: str, bound_to: str) -> str:
        """What a person wrote, readable only with the key and only where it belongs: `bound_to` is its row's id.

        An empty text stays empty.
        """
        return _base64(self._texts.encrypt(text.encode(), [bound_to.encode()])) if text else ""

    def open_text(self, sealed: str, bound_to: str) -> str:
        """Raises Unsealable where it was altered, moved from another row, or never sealed."""
        try:
            return self._texts.decrypt(_from_base64(sealed), [bound_to.encode()]).decode() if sealed else ""
        except (ValueError, InvalidTag) as error:
            raise Unsealable("not a text of this row") from error

    def _prefix(self, nhs_number: str, source: str) -> str:
        if not is_nhs_number(nhs_number):
            # Nine digits are sealed and the check digit is made again: a wrong one would open as another number.
            raise ValueError("not an NHS number")
        packed = int(nhs_number[:9]).to_bytes(4, "big") + _pack_ods(source).to_bytes(4, "big")
        return _base32(self._ids.encrypt(packed, None))

    def seal_id(self, nhs_number: str, source: str, resource_type: str, original_id: str) -> str:
        """54 characters that obey FHIR's id rule, for one resource of one source about one patient."""
        return f"{self.prefix(nhs_number, source)}.{self.digest(resource_type, original_id)}"

    def digest(self, resource_type: str, original_id: str) -> str:
        """The second half of a sealed id."""
        keyed = self._digests.copy()
        keyed.update(f"{resource_type}/{original_id}".encode())
        number = int.from_bytes(keyed.digest(), "big")
        return "".join([_PAIRS[number >> place & 1023] for place in _PAIR_PLACES])

    def sent_digest(self, sent: bytes) -> str:
        """The keyed digest of a resource as it was sent: 16 characters. Equal for equal bytes; without the key nobody
        can try out what a short resource might have said."""
        keyed = self._sent.copy()
        keyed.update(sent)
        return b2a_base64(keyed.digest(), newline=False).translate(_URL_SAFE).decode()

    def open_id(self, sealed: str) -> tuple[str, str]:
        """(NHS number, ODS code of the source) of a sealed id. Raises Unsealable."""
        if not _SEALED_ID.fullmatch(sealed):
            raise Unsealable("not a sealed id")
        packed = self._open(self._ids, sealed[:_PREFIX_LENGTH])
        nine = f"{int.from_bytes(packed[:4], 'big'):09d}"
        return _with_check_digit(nine), _unpack_ods(int.from_bytes(packed[4:], "big"))

    def patient_of(self, sealed: str) -> str | None:
        """The NHS number of the patient whom a sealed id is about; None for what isn't one."""
        try:
            return self.open_id(sealed)[0]
        except Unsealable:
            return None

    def seal_cursor(self, state: dict[str, Any], bound_to: str) -> str:
        """A page cursor that only the caller named by `bound_to` can use."""
        return _base64(self._cursors.encrypt(msgspec.json.encode(state), [bound_to.encode()]))

    def open_cursor(self, cursor: str, bound_to: str) -> dict[str, Any]:
        """Raises Unsealable where it was altered or belongs to somebody else."""
        try:
            opened = self._cursors.decrypt(_from_base64(cursor), [bound_to.encode()])
            return msgspec.json.decode(opened, type=dict[str, Any])
        except (ValueError, InvalidTag) as error:
            raise Unsealable("not a cursor of this caller") from error

    @staticmethod
    def _open(cipher: AESSIV, sealed: str) -> bytes:
        try:
            opened = cipher.decrypt(_from_base32(sealed), None)
        except (ValueError, InvalidTag) as error:
            raise Unsealable("not sealed here") from error
        # Base32 has spare bits at the end: only the spelling that we made is accepted.
        if _base32(_from_base32(sealed)) != sealed:
            raise Unsealable("not sealed here")
        return opened


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _from_base64(text: str) -> bytes:
    """Raises ValueError. The decoder skips what isn't base64: only the spelling that we made is accepted."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if _base64(data) != text:
        raise ValueError("another spelling")
    return data


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()


def _from_base32(text: str) -> bytes:
    if not text.isascii() or text != text.lower():
        raise ValueError("not our base32")
    return base64.b32decode(text.upper() + "=" * (-len(text) % 8))


def _pack_ods(code: str) -> int:
    if not _ODS.fullmatch(code):
        raise ValueError("an ODS code of an organisation has one to six capitals or digits")
    number = 0
    for character in code.ljust(_ODS_LENGTH):
        number = number * len(_ODS_DIGITS) + _ODS_DIGITS.index(character)
    return number


def _unpack_ods(number: int) -> str:
    characters = []
    for _ in range(_ODS_LENGTH):
        number, index = divmod(number, len(_ODS_DIGITS))
        characters.append(_ODS_DIGITS[index])
    return "".join(reversed(characters)).rstrip()


def _with_check_digit(nine: str) -> str:
    for digit in "0123456789":
        if is_nhs_number(nine + digit):
            return nine + digit
    raise Unsealable("not sealed here")
