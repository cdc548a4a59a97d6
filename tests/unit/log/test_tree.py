"""The Merkle tree against RFC 6962's definitions, Certificate Transparency's known answers, and altered proofs."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.log.leaf import Leaf, chain
from gateway.audit.log.tree import (
    EMPTY_ROOT,
    Frontier,
    ProofFailed,
    consistency_proof,
    inclusion_proof,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from tests.unit.log import naive

# The inputs, roots and proofs of Certificate Transparency's own tests (google/certificate-transparency, merkletree).
CT_INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
CT_LEAVES = [naive.sha256(b"\x00", bytes.fromhex(each)) for each in CT_INPUTS]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
CT_INCLUSION = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
CT_CONSISTENCY = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]

LEAVES = naive.leaf_hashes(131)
ROOTS = [naive.tree_root(LEAVES[:size]) for size in range(132)]
RANGE_HASH = naive.range_hash_of(LEAVES)


@pytest.mark.parametrize("size", range(9))
def test_the_root_is_the_known_one(size: int) -> None:
    assert root_of(CT_LEAVES[:size]).hex() == CT_ROOTS[size]


@pytest.mark.parametrize(("index", "size", "known"), CT_INCLUSION)
async def test_the_inclusion_proof_is_the_known_one(index: int, size: int, known: list[str]) -> None:
    proof = await inclusion_proof(index, size, naive.range_hash_of(CT_LEAVES))
    assert [each.hex() for each in proof] == known
    verify_inclusion(CT_LEAVES[index], index, size, proof, bytes.fromhex(CT_ROOTS[size]))


@pytest.mark.parametrize(("old", "new", "known"), CT_CONSISTENCY)
async def test_the_consistency_proof_is_the_known_one(old: int, new: int, known: list[str]) -> None:
    proof = await consistency_proof(old, new, naive.range_hash_of(CT_LEAVES))
    assert [each.hex() for each in proof] == known
    verify_consistency(old, new, bytes.fromhex(CT_ROOTS[old]), bytes.fromhex(CT_ROOTS[new]), proof)


async def test_every_inclusion_proof_up_to_130_leaves_is_the_definition_and_verifies() -> None:
    for size in range(1, 131):
        for index in range(size):
            proof = await inclusion_proof(index, size, RANGE_HASH)
            verify_inclusion(LEAVES[index], index, size, proof, ROOTS[size])
            if size < 34:
                assert list(proof) == naive.path(index, LEAVES[:size])


async def test_every_consistency_proof_up_to_130_leaves_is_the_definition_and_verifies() -> None:
    for new in range(131):
        for old in range(new + 1):
            proof = await consistency_proof(old, new, RANGE_HASH)
            verify_consistency(old, new, ROOTS[old], ROOTS[new], proof)
            if old > 0 and new < 34:
                assert list(proof) == naive.subproof(old, LEAVES[:new], True)


def test_the_frontier_is_the_definition_at_every_size() -> None:
    frontier = Frontier()
    for size, leaf_hash in enumerate(LEAVES):
        assert (frontier.size, frontier.root()) == (size, ROOTS[size])
        assert len(frontier.hashes) == size.bit_count()
        assert Frontier.from_bytes(frontier.to_bytes()) == frontier
        assert Frontier().extend(LEAVES[:size]) == frontier
        frontier = frontier.append(leaf_hash)


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=300), st.integers(0, 300))
def test_append_and_extend_agree_wherever_one_takes_over(leaves: list[bytes], cut: int) -> None:
    frontier = Frontier().extend(leaves[:cut])
    for leaf_hash in leaves[cut:]:
        frontier = frontier.append(leaf_hash)
    assert frontier == Frontier().extend(leaves)
    assert frontier.root() == naive.tree_root(leaves)


def test_appending_leaves_the_older_frontier_as_it_was() -> None:
    older = Frontier().extend(LEAVES[:7])
    older.append(LEAVES[7])
    assert older.root() == ROOTS[7]
    with pytest.raises(AttributeError):
        older.size = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    "encoded",
    [b"", bytes(7), bytes(8) + bytes(32), (3).to_bytes(8, "big") + bytes(32), (3).to_bytes(8, "big") + bytes(65)],
    ids=["nothing", "too short", "a hash too many", "a hash too few", "a byte too many"],
)
def test_a_frontier_that_was_cut_or_grown_is_refused(encoded: bytes) -> None:
    with pytest.raises(ValueError, match="A frontier"):
        Frontier.from_bytes(encoded)


async def same_leaves(first: int, last: int) -> bytes:
    """The hash of so many leaves that are all alike, however many."""
    leaf, count = LEAVES[0], last - first
    if count == 1:
        return leaf
    width = naive.split(count)
    left = leaf
    for _ in range(width.bit_length() - 1):
        left = node_hash(left, left)
    return node_hash(left, await same_leaves(0, count - width))


@pytest.mark.parametrize("size", [2**40, 2**40 + 1, 2**40 - 1, 10**12 + 7, 2**62 + 2**31 + 1])
async def test_a_huge_log_has_short_proofs(size: int) -> None:
    root = await same_leaves(0, size)
    for index in (0, 1, size // 3, size // 2, size - 2, size - 1):
        proof = await inclusion_proof(index, size, same_leaves)
        assert len(proof) <= size.bit_length()
        verify_inclusion(LEAVES[0], index, size, proof, root)
        old = index + 1
        proof = await consistency_proof(old, size, same_leaves)
        assert len(proof) <= size.bit_length() + 1
        verify_consistency(old, size, await same_leaves(0, old), root, proof)


def altered(proof: tuple[bytes, ...], chance: random.Random) -> list[list[bytes]]:
    """The proof in every way that it can be a little wrong."""
    worse = [[*proof, LEAVES[0]], [LEAVES[0], *proof], [*proof, bytes(31)]]
    for place, each in enumerate(proof):
        flipped = bytearray(each)
        flipped[chance.randrange(32)] ^= 1 << chance.randrange(8)
        rest = (proof[:place], proof[place + 1 :])
        worse += [[*rest[0], bytes(flipped), *rest[1]], [*rest[0], *rest[1]], [*rest[0], each[:31], *rest[1]]]
        worse += [[*rest[0], each, each, *rest[1]], [*rest[0], each + b"\x00", *rest[1]]]
    if len(proof) > 1:
        worse.append([*reversed(proof)])
    return worse


async def test_no_altered_inclusion_proof_passes() -> None:
    chance = random.Random(1)
    for size in range(1, 35):
        for index in range(size):
            proof = await inclusion_proof(index, size, RANGE_HASH)
            for worse in altered(proof, chance):
                with pytest.raises(ProofFailed):
                    verify_inclusion(LEAVES[index], index, size, worse, ROOTS[size])
            for other in range(-1, size + 1):
                if other != index:
                    with pytest.raises(ProofFailed):
                        verify_inclusion(LEAVES[index], other, size, proof, ROOTS[size])
            for wrong in ((LEAVES[index + 1], ROOTS[size]), (LEAVES[index], ROOTS[size + 1])):
                with pytest.raises(ProofFailed):
                    verify_inclusion(wrong[0], index, size, proof, wrong[1])


async def test_no_altered_consistency_proof_passes() -> None:
    chance = random.Random(2)
    for new in range(1, 35):
        for old in range(new + 1):
            proof = await consistency_proof(old, new, RANGE_HASH)
            for worse in altered(proof, chance):
                with pytest.raises(ProofFailed):
                    verify_consistency(old, new, ROOTS[old], ROOTS[new], worse)
            if old:
                for roots in ((ROOTS[old - 1], ROOTS[new]), (ROOTS[old], ROOTS[new + 1])):
                    with pytest.raises(ProofFailed):
                        verify_consistency(old, new, *roots, proof)


@given(st.data())
async def test_a_rewritten_log_is_not_shown_to_extend_the_older_one(data: st.DataObject) -> None:
    old = data.draw(st.integers(1, 60))
    new = data.draw(st.integers(old, 61))
    place = data.draw(st.integers(0, old - 1))
    leaves = LEAVES[:new]
    leaves[place] = LEAVES[130]
    forged = await consistency_proof(old, new, naive.range_hash_of(leaves))
    with pytest.raises(ProofFailed):
        verify_consistency(old, new, ROOTS[old], naive.tree_root(leaves), forged)


async def test_a_log_never_shrinks_and_has_no_leaf_after_its_last() -> None:
    with pytest.raises(ValueError, match="can't extend"):
        await consistency_proof(5, 4, RANGE_HASH)
    with pytest.raises(ValueError, match="none with index 4"):
        await inclusion_proof(4, 4, RANGE_HASH)
    with pytest.raises(ProofFailed, match="can't extend"):
        verify_consistency(5, 4, ROOTS[5], ROOTS[4], [])
    with pytest.raises(ProofFailed, match="none with index 4"):
        verify_inclusion(LEAVES[4], 4, 4, [], ROOTS[4])


@pytest.mark.parametrize(
    ("old", "new", "old_root", "new_root"),
    [(0, 3, ROOTS[1], ROOTS[3]), (0, 0, EMPTY_ROOT, ROOTS[1]), (0, 0, ROOTS[1], ROOTS[1]), (3, 3, ROOTS[3], ROOTS[4])],
)
def test_what_needs_no_proof_still_needs_the_right_roots(old: int, new: int, old_root: bytes, new_root: bytes) -> None:
    with pytest.raises(ProofFailed):
        verify_consistency(old, new, old_root, new_root, [])


def test_leaves_nodes_and_chains_never_share_a_hash() -> None:
    left, right = LEAVES[:2]
    assert len({node_hash(left, right), naive.sha256(b"\x00", left, right), chain(left, right)}) == 3
    assert Leaf(1, None, 0, left).hash() == naive.sha256(b"\x00", Leaf(1, None, 0, left).encode())
