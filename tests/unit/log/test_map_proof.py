"""Proofs out of the patients' map: what is so can be shown to a stranger, and nothing else can."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from gateway.audit.log import patient_map
from gateway.audit.log.base64_text import encode_base64
from gateway.audit.log.leaf import NO_HEAD, Leaf, chain
from gateway.audit.log.map_proof import (
    EMPTY,
    MapProof,
    OtherLeaf,
    inner_hash,
    leaf_hash,
    value_hash,
    verify,
)
from gateway.audit.log.tree import EMPTY_ROOT, ProofFailed, node_hash
from tests.unit.log.maps import Shelf, crowded, held, nothing, patient, shelf_of
from tests.unit.log.naive import sha256


@dataclass(frozen=True)
class Claim:
    root: bytes
    tag: bytes
    count: int
    head: bytes
    proof: MapProof

    def check(self) -> None:
        verify(self.root, self.tag, self.count, self.head, self.proof)


async def claim_of(shelf: Shelf, root: bytes, tag: bytes, count: int, head: bytes) -> Claim:
    return Claim(root, tag, count, head, await patient_map.prove(tag, shelf.get, expected=root))


async def claims(present: int, absent: int) -> list[Claim]:
    """True claims: about patients who are there and who aren't, some of them in a crowd of like tags."""
    chance = random.Random(5)
    crowd = {tag: held(tag, 7) for tag in (crowded(chance) for _ in range(present // 4))}
    patients = [*crowd.values(), *(patient(number, number % 5 + 1) for number in range(present - len(crowd)))]
    shelf, root = await shelf_of(patients), patient_map.build(patients)
    tags = {each.patient for each in patients}
    strangers = [tag for tag in (crowded(chance) for _ in range(absent)) if tag not in tags][: absent // 4]
    strangers += [patient(10_000 + number).patient for number in range(absent - len(strangers))]
    here = [await claim_of(shelf, root, each.patient, each.count, each.head) for each in patients]
    return [*here, *[await claim_of(shelf, root, tag, 0, NO_HEAD) for tag in strangers]]


async def test_who_is_there_and_who_is_not_can_be_shown() -> None:
    checked = await claims(150, 150)
    for each in checked:
        each.check()
        assert MapProof.from_json(json.loads(json.dumps(each.proof.to_json()))) == each.proof
    kinds = {(bool(each.count), each.proof.other is None) for each in checked}
    assert kinds == {(True, True), (False, True), (False, False)}


async def test_in_an_empty_map_nobody_is_there() -> None:
    proof = await patient_map.prove(bytes(32), nothing)
    verify(EMPTY, bytes(32), 0, NO_HEAD, proof)
    assert proof == MapProof(())
    with pytest.raises(ProofFailed):
        verify(EMPTY, bytes(32), 1, bytes(32), proof)


async def test_in_a_map_of_one_everybody_else_is_absent() -> None:
    only, root = patient(1), patient_map.build([patient(1)])
    shelf = await shelf_of([only])
    for claim in (
        await claim_of(shelf, root, only.patient, only.count, only.head),
        await claim_of(shelf, root, patient(2).patient, 0, NO_HEAD),
    ):
        claim.check()


def bit_flipped(content: bytes, chance: random.Random) -> bytes:
    worse = bytearray(content)
    worse[chance.randrange(len(worse))] ^= 1 << chance.randrange(8)
    return bytes(worse)


def with_siblings(claim: Claim, change: Callable[[list[bytes]], object]) -> Claim:
    siblings = list(claim.proof.siblings)
    change(siblings)
    return replace(claim, proof=MapProof(tuple(siblings), claim.proof.other))


def with_other(claim: Claim, other: OtherLeaf | None) -> Claim:
    return replace(claim, proof=MapProof(claim.proof.siblings, other))


def mutations(claim: Claim, another: Claim, chance: random.Random) -> list[Claim]:
    """False claims, and true ones with another proof, each one step from this true one."""
    depth = len(claim.proof.siblings)
    place = chance.randrange(depth)
    path_bit = 1 << (7 - (place & 7))
    other_way = bytes(each ^ (path_bit if at == place >> 3 else 0) for at, each in enumerate(claim.tag))
    other = claim.proof.other
    return [
        replace(claim, root=bit_flipped(claim.root, chance)),
        replace(claim, root=EMPTY),
        replace(claim, root=claim.root[:31]),
        replace(claim, tag=other_way),
        replace(claim, tag=claim.tag[:31]),
        replace(claim, tag=another.tag),
        replace(claim, count=claim.count + 1),
        replace(claim, count=claim.count - 1),
        replace(claim, count=claim.count + (1 << 64)),
        replace(claim, count=0, head=NO_HEAD) if claim.count else replace(claim, count=1),
        replace(claim, head=bit_flipped(claim.head, chance)),
        replace(claim, head=claim.head[:31]),
        replace(claim, proof=another.proof),
        with_siblings(claim, lambda all_: all_.__setitem__(place, bit_flipped(all_[place], chance))),
        with_siblings(claim, lambda all_: all_.__setitem__(place, all_[place] + b"\x00")),
        with_siblings(claim, lambda all_: all_.pop(place)),
        with_siblings(claim, lambda all_: all_.insert(place, EMPTY)),
        with_siblings(claim, lambda all_: all_.insert(place, all_[place])),
        with_siblings(claim, lambda all_: all_.extend([EMPTY] * 257)),
        with_siblings(claim, lambda all_: all_.reverse()),
        with_other(claim, OtherLeaf(another.tag, another.head) if other is None else None),
        with_other(claim, OtherLeaf(claim.tag, value_hash(claim.count, claim.head))),
        with_other(claim, OtherLeaf(b"", b"")),
        *([with_other(claim, OtherLeaf(other.tag, bit_flipped(other.value, chance)))] if other else []),
        *([with_other(claim, OtherLeaf(bit_flipped(other.tag, chance), other.value))] if other else []),
    ]


async def test_a_thousand_altered_proofs_and_claims_are_all_caught() -> None:
    true_claims, chance, caught = await claims(150, 150), random.Random(6), 0
    while caught < 1000:
        claim, another = chance.sample(true_claims, 2)
        for worse in mutations(claim, another, chance):
            if worse == claim:  # a proof with one sibling is the same backwards
                continue
            with pytest.raises(ProofFailed):
                worse.check()
            caught += 1


async def test_a_patient_who_is_there_cannot_be_hidden() -> None:
    """Every way to end the path at or above the patient's own leaf, with all the hashes right."""
    patients = [patient(number) for number in range(32)]
    shelf, root = await shelf_of(patients), patient_map.build(patients)
    for one in patients:
        siblings = (await patient_map.prove(one.patient, shelf.get)).siblings
        for depth in range(len(siblings) + 1):
            with pytest.raises(ProofFailed):
                verify(root, one.patient, 0, NO_HEAD, MapProof(siblings[:depth]))
            for other in patients:
                leaf = OtherLeaf(other.patient, value_hash(other.count, other.head))
                with pytest.raises(ProofFailed):
                    verify(root, one.patient, 0, NO_HEAD, MapProof(siblings[:depth], leaf))


async def test_an_older_state_of_the_patient_does_not_pass_for_the_newer() -> None:
    older, newer = patient(1, 1), patient(1, 2)
    shelf = await shelf_of([older, patient(2), patient(3)])
    proof = await patient_map.prove(older.patient, shelf.get)
    root = await shelf.put([newer])
    with pytest.raises(ProofFailed):
        verify(root, older.patient, older.count, older.head, proof)


WRONG_JSON: list[object] = [
    None,
    [],
    "",
    {},
    {"path": "1"},
    {"path": "", "hashes": "", "more": ""},
    {"path": 1, "hashes": ""},
    {"path": None, "hashes": ""},
    {"path": "", "hashes": None},
    {"path": "2", "hashes": ""},
    {"path": "０", "hashes": ""},
    {"path": "1", "hashes": ""},
    {"path": "0", "hashes": "A" * 43 + "="},
    {"path": "1", "hashes": "A" * 42 + "B="},
    {"path": "1", "hashes": "A" * 43},
    {"path": "1", "hashes": "A" * 43 + "=\n"},
    {"path": "1", "hashes": "é" * 44},
    {"path": "0" * 257, "hashes": ""},
    {"path": "", "hashes": "", "other": None},
    {"path": "", "hashes": "", "other": ""},
    {"path": "", "hashes": "", "other": "A" * 43 + "="},
]


@pytest.mark.parametrize("shown", WRONG_JSON, ids=range(len(WRONG_JSON)))
def test_json_that_is_no_proof(shown: object) -> None:
    with pytest.raises(ProofFailed):
        MapProof.from_json(shown)


def test_an_empty_sibling_has_one_spelling() -> None:
    shown = MapProof((EMPTY, bytes(32))).to_json()
    assert shown == {"path": "01", "hashes": encode_base64(bytes(32))}
    with pytest.raises(ProofFailed):
        MapProof.from_json({"path": "11", "hashes": encode_base64(EMPTY + bytes(32))})


async def test_a_thousand_altered_spellings_are_all_caught() -> None:
    true_claims, chance = await claims(60, 60), random.Random(7)
    for _ in range(1000):
        claim = chance.choice(true_claims)
        shown = claim.proof.to_json()
        key = chance.choice(sorted(shown))
        at = chance.randrange(len(shown[key]))
        instead = chance.choice(["", "0", "1", "A", "B", "=", "+", " ", shown[key][at] * 2])
        if instead == shown[key][at]:
            continue
        shown[key] = shown[key][:at] + instead + shown[key][at + 1 :]
        with pytest.raises(ProofFailed):
            replace(claim, proof=MapProof.from_json(shown)).check()


def test_no_hash_of_the_log_is_one_of_the_map() -> None:
    one, two = sha256(b"one"), sha256(b"two")
    of_the_log = {
        node_hash(one, two),
        chain(one, two),
        sha256(b"\x00", one, two),
        Leaf(1, one, 1, two).hash(),
        EMPTY_ROOT,
    }
    of_the_map = {leaf_hash(one, two), inner_hash(one, two), value_hash(1, two), EMPTY}
    assert len(of_the_log | of_the_map) == 9


async def shown_sizes(patients: int, sampled: int) -> list[int]:
    """The bytes of proofs as compact JSON: of patients who are there, and of as many who aren't."""
    holdings = [patient(number) for number in range(patients)]
    shelf = await shelf_of(holdings)
    wanted = [*holdings[:sampled], *(patient(patients + number) for number in range(sampled))]
    proofs = [await patient_map.prove(each.patient, shelf.get) for each in wanted]
    return [len(json.dumps(each.to_json(), separators=(",", ":"))) for each in proofs]


async def test_a_proof_is_small() -> None:
    sizes = await shown_sizes(1000, 200)
    assert max(sizes) < 800


@pytest.mark.slow
async def test_a_proof_out_of_a_hundred_thousand_patients_is_under_1000_bytes() -> None:
    sizes = await shown_sizes(100_000, 2000)
    assert max(sizes) < 1000
