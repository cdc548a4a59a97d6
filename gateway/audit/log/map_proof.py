"""The patients' map as a stranger sees it: its hashes, and a proof out of it, verified with nothing but the root.

The map is a sparse Merkle trie. A tag's bits, from the highest, lead from the root to the left (0) or right (1); an
empty part has one fixed hash, and a leaf sits at the shallowest place where it is alone. All hashes are SHA-256. First
bytes keep the kinds apart from each other, and from the log's leaves (0x00), nodes (0x01) and chains (0x02), in the way
of RFC 6962:

    leaf   0x10, tag (32 bytes), SHA-256(0x13, count (8, big-endian), head (32))
    inner  0x11, left hash, right hash
    empty  0x12

Count and head have a hash of their own, since to prove that one patient isn't there may mean to show another's leaf:
so it shows that one's tag, and neither how often nor in which rows.

From the root down, the first node on a tag's path that isn't inner is the only answer that this root allows for the
tag, even in a map that was badly made. So a proof needs no trust in whoever keeps the map.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final

import msgspec

from gateway.audit.log.base64_text import decode_base64, encode_base64
from gateway.audit.log.leaf import HASH_BYTES, NO_HEAD
from gateway.audit.log.tree import ProofFailed

TAG_BYTES: Final = 32
TAG_BITS: Final = TAG_BYTES * 8
MOST_ROWS: Final = (1 << 64) - 1
EMPTY: Final = hashlib.sha256(b"\x12").digest()
"""The hash of an empty part of the map, and the root of a map without patients."""

LEAF_PREFIX: Final = b"\x10"
INNER_PREFIX: Final = b"\x11"
_VALUE: Final = struct.Struct(">sQ32s")
_VALUE_PREFIX: Final = b"\x13"
_sha256 = hashlib.sha256


def value_hash(count: int, head: bytes) -> bytes:
    """What the map says of a patient: how many rows, and the head of their chain."""
    return _sha256(_VALUE.pack(_VALUE_PREFIX, count, head)).digest()


def leaf_hash(tag: bytes, value: bytes) -> bytes:
    """The hash of a patient's leaf; `value` is a `value_hash`."""
    return _sha256(LEAF_PREFIX + tag + value).digest()


def inner_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node with two children, one of which may be `EMPTY`."""
    return _sha256(INNER_PREFIX + left + right).digest()


def bit(tag: bytes, depth: int) -> int:
    """Where the tag's path goes on from this depth: 0 left, 1 right."""
    return tag[depth >> 3] >> (7 - (depth & 7)) & 1


class OtherLeaf(msgspec.Struct, frozen=True):
    """Another patient's leaf, at the place where the tag's own would be."""

    tag: bytes
    value: bytes


class MapProof(msgspec.Struct, frozen=True):
    """The hashes beside a tag's path, from the root down, and what stands at its end: nothing (None) or another
    patient's leaf for a tag that isn't in the map; None for one that is, since the claim itself says the leaf."""

    siblings: tuple[bytes, ...]
    other: OtherLeaf | None = None

    def to_json(self) -> dict[str, str]:
        """For JSON. `path` has a digit for each sibling, 0 for an empty one; `hashes` are the others, end to end."""
        shown = {
            "path": "".join("0" if each == EMPTY else "1" for each in self.siblings),
            "hashes": encode_base64(b"".join(each for each in self.siblings if each != EMPTY)),
        }
        return shown if self.other is None else shown | {"other": encode_base64(self.other.tag + self.other.value)}

    @staticmethod
    def from_json(shown: object) -> MapProof:
        """What `to_json` made, in the one spelling that it makes. Raises `ProofFailed` for anything else."""
        if not isinstance(shown, dict) or not {"path", "hashes"} <= shown.keys() <= {"path", "hashes", "other"}:
            raise ProofFailed("The map's proof isn't an object with path, hashes and perhaps other")
        path, hashes = shown["path"], _hashes(shown["hashes"])
        if not isinstance(path, str) or len(path) > TAG_BITS or set(path) - {"0", "1"}:
            raise ProofFailed(f"The path of the map's proof isn't {TAG_BITS} digits 0 and 1 at most")
        if len(hashes) != path.count("1") or EMPTY in hashes:
            raise ProofFailed("The map's proof doesn't have one hash for each 1 of its path")
        following = iter(hashes)
        siblings = tuple(next(following) if digit == "1" else EMPTY for digit in path)
        return MapProof(siblings, _other(shown["other"]) if "other" in shown else None)


def verify(root: bytes, tag: bytes, count: int, head: bytes, proof: MapProof) -> None:
    """Raises `ProofFailed` unless the map with this root says of the tag: `count` rows, with this head.

    A count of 0 with `NO_HEAD` claims that the log holds nothing about the patient.
    """
    if any(len(each) != HASH_BYTES for each in (root, tag, head, *proof.siblings)):
        raise ProofFailed(f"A tag or a hash doesn't have {HASH_BYTES} bytes")
    if len(proof.siblings) > TAG_BITS:
        raise ProofFailed("The map's proof is longer than a tag")
    node = _end(tag, count, head, proof)
    for depth in range(len(proof.siblings) - 1, -1, -1):
        sibling = proof.siblings[depth]
        node = inner_hash(sibling, node) if bit(tag, depth) else inner_hash(node, sibling)
    if node != root:
        raise ProofFailed("The patients' map with this root doesn't say this of the patient")


def _end(tag: bytes, count: int, head: bytes, proof: MapProof) -> bytes:
    """The hash that the claim puts at the end of the path."""
    if not 0 <= count <= MOST_ROWS:
        raise ProofFailed("The count isn't one that the map can hold")
    if count:
        if proof.other is not None:
            raise ProofFailed("The map's proof shows another patient's leaf where this one's should be")
        return leaf_hash(tag, value_hash(count, head))
    if head != NO_HEAD:
        raise ProofFailed("A chain without rows has no head")
    return EMPTY if proof.other is None else _other_hash(tag, proof.other, len(proof.siblings))


def _other_hash(tag: bytes, other: OtherLeaf, depth: int) -> bytes:
    if len(other.tag) != TAG_BYTES or len(other.value) != HASH_BYTES:
        raise ProofFailed(f"A tag or a hash doesn't have {HASH_BYTES} bytes")
    if other.tag == tag:
        raise ProofFailed("The map's proof shows the patient's own leaf, so the patient is there")
    if any(bit(other.tag, each) != bit(tag, each) for each in range(depth)):
        raise ProofFailed("The leaf that the map's proof shows isn't on the patient's path")
    return leaf_hash(other.tag, other.value)


def _other(shown: object) -> OtherLeaf:
    tag_and_value = _hashes(shown)
    if len(tag_and_value) != 2:
        raise ProofFailed("The other leaf of the map's proof isn't a tag and a hash")
    return OtherLeaf(*tag_and_value)


def _hashes(shown: object) -> tuple[bytes, ...]:
    """Hashes that stand end to end in base64."""
    try:
        joined = decode_base64(str(shown))
    except ValueError as error:
        raise ProofFailed("The map's proof holds something else than base64") from error
    if not isinstance(shown, str) or len(joined) % HASH_BYTES:
        raise ProofFailed(f"The map's proof holds something else than hashes of {HASH_BYTES} bytes")
    return tuple(joined[start : start + HASH_BYTES] for start in range(0, len(joined), HASH_BYTES))
