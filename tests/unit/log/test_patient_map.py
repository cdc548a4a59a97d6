"""The patients' map as it's kept: whatever the order of updates, it's the map that one would make from nothing."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audit.log import patient_map
from gateway.audit.log.leaf import NO_HEAD
from gateway.audit.log.map_nodes import ROOT_PATH, encode_inner, hash_of, path_of
from gateway.audit.log.patient_map import EMPTY, MapDamaged
from gateway.store.interface import Holding
from tests.unit.log import naive
from tests.unit.log.maps import Shelf, crowded, held, nothing, patient, shelf_of

AGAIN = b"\xff" * 32
RANDOM_TAGS = st.binary(min_size=32, max_size=32)
CROWDED_TAGS = st.randoms(use_true_random=False).map(crowded)
BATCHES = st.lists(
    st.lists(st.tuples(RANDOM_TAGS | CROWDED_TAGS, st.integers(1, 3)), max_size=12, unique_by=lambda each: each[0]),
    max_size=5,
)


def test_small_maps_are_what_the_definition_says() -> None:
    left, right = held(bytes(32), 3), held(b"\x80" + bytes(31), 1 << 40)
    leaves = [
        naive.sha256(b"\x10", each.patient, naive.sha256(b"\x13", each.count.to_bytes(8, "big"), each.head))
        for each in (left, right)
    ]
    assert patient_map.build([]) == EMPTY == naive.sha256(b"\x12")
    assert patient_map.build([right]) == leaves[1]
    assert patient_map.build([right, left]) == naive.sha256(b"\x11", *leaves)


@settings(max_examples=50, deadline=None)
@given(BATCHES)
async def test_a_map_that_grew_is_the_map_made_from_nothing(batches: list[list[tuple[bytes, int]]]) -> None:
    shelf, all_of_them = Shelf(), dict[bytes, Holding]()
    for batch in batches:
        holdings = [held(tag, count) for tag, count in batch]
        all_of_them |= {each.patient: each for each in holdings}
        root = await shelf.put(holdings)
        assert root == patient_map.build(all_of_them.values()) == naive.map_root(all_of_them.values())
        assert root == await patient_map.root(shelf.get)
    # Not one node is left over, or missing.
    assert shelf.nodes == (await patient_map.updated(list(all_of_them.values()), nothing))[1]


async def test_many_patients_in_many_batches() -> None:
    chance, shelf, all_of_them = random.Random(3), Shelf(), dict[bytes, Holding]()
    for _ in range(6):
        batch = {
            each.patient: each for each in (patient(chance.randrange(900), chance.randrange(1, 9)) for _ in range(150))
        }
        all_of_them |= batch
        assert await shelf.put(list(batch.values())) == naive.map_root(all_of_them.values())
    assert shelf.nodes == (await patient_map.updated(list(all_of_them.values()), nothing))[1]


async def test_tags_that_differ_in_their_last_bit_alone_sit_at_the_very_bottom() -> None:
    first, second = held(AGAIN), held(AGAIN[:31] + b"\xfe")
    shelf = await shelf_of([first])
    assert await shelf.put([second]) == naive.map_root([first, second])
    assert len(shelf.nodes) == 256 + 2
    assert path_of(AGAIN, 256) in shelf.nodes


async def test_what_is_there_already_changes_nothing() -> None:
    patients = [patient(number) for number in range(50)]
    shelf = await shelf_of(patients)
    assert await patient_map.updated(patients, shelf.get) == (patient_map.build(patients), {})
    assert await patient_map.updated([], shelf.get) == (patient_map.build(patients), {})


async def test_an_update_takes_few_readings_of_few_nodes() -> None:
    patients = [patient(number) for number in range(5000)]
    shelf = await shelf_of(patients)
    shelf.asked.clear()
    await patient_map.updated([patient(number, 2) for number in range(4990, 5010)], shelf.get)
    assert len(shelf.asked) <= 5
    assert sum(shelf.asked) < 20 * 24
    shelf.asked.clear()
    await patient_map.updated([patient(number, 2) for number in range(1000)], shelf.get)
    assert max(shelf.asked) <= 1000


async def test_a_long_update_lets_others_have_their_turn() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    waiting = asyncio.create_task(other())
    await patient_map.updated([patient(number) for number in range(640)], nothing)
    waiting.cancel()
    assert turns >= 15


@pytest.mark.parametrize("depth", [0, 1, 7, 8, 9, 255, 256])
def test_no_two_places_share_a_path(depth: int) -> None:
    tag = naive.sha256(b"any")
    bits = f"{int.from_bytes(tag, 'big'):0256b}"[:depth] + "1"
    padded = bits.ljust((len(bits) + 7) // 8 * 8, "0")
    assert path_of(tag, depth) == int(padded, 2).to_bytes(len(padded) // 8, "big")
    assert depth or path_of(tag, depth) == ROOT_PATH


async def test_every_altered_node_on_the_way_is_noticed() -> None:
    patients = [patient(number) for number in range(16)]
    shelf, root, chance = await shelf_of(patients), patient_map.build(patients), random.Random(4)
    for path, node in list(shelf.nodes.items()):
        for worse in (flipped(node, chance), node[:-1], b"", b"\x10" + node[1:], b"\x11" + node[1:], None):
            if worse == node:
                continue
            shelf.nodes.pop(path)
            shelf.nodes |= {} if worse is None else {path: worse}
            with pytest.raises(MapDamaged):
                await patient_map.updated([held(each.patient, 2) for each in patients], shelf.get, expected=root)
            with pytest.raises(MapDamaged):
                await prove_all(patients, shelf, root)
            shelf.nodes[path] = node


async def prove_all(patients: list[Holding], shelf: Shelf, root: bytes) -> None:
    for each in patients:
        await patient_map.prove(each.patient, shelf.get, expected=root)


def flipped(node: bytes, chance: random.Random) -> bytes:
    worse = bytearray(node)
    worse[chance.randrange(len(worse))] ^= 1 << chance.randrange(8)
    return bytes(worse)


async def test_a_node_where_there_should_be_none_is_noticed() -> None:
    lone = held(bytes(32))
    shelf = await shelf_of([lone, held(b"\x40" + bytes(31))])
    stray = b"\x80" + bytes(31)
    shelf.nodes[path_of(stray, 1)] = (await shelf_of([held(stray)])).nodes[ROOT_PATH]
    with pytest.raises(MapDamaged, match="named above"):
        await patient_map.prove(stray, shelf.get)


async def test_a_leaf_of_another_place_is_noticed_even_under_the_right_hash() -> None:
    """Whoever altered the store, and every hash up to the root, still can't have a patient in two places."""
    left, right = held(bytes(32)), held(b"\x80" + bytes(31))
    shelf = await shelf_of([left, right])
    leaf = shelf.nodes[path_of(left.patient, 1)]
    other = shelf.nodes[path_of(right.patient, 1)]
    shelf.nodes[path_of(left.patient, 1)], shelf.nodes[path_of(right.patient, 1)] = other, leaf
    root = shelf.nodes[ROOT_PATH]
    shelf.nodes[ROOT_PATH] = root[:1] + root[33:] + root[1:33]
    with pytest.raises(MapDamaged, match="at a place"):
        await patient_map.prove(left.patient, shelf.get)


async def test_a_path_ends_with_the_tag_whatever_is_stored() -> None:
    shelf, node = Shelf(), encode_inner(EMPTY, EMPTY)
    shelf.nodes[path_of(AGAIN, 256)] = node
    for depth in range(255, -1, -1):
        node = shelf.nodes[path_of(AGAIN, depth)] = encode_inner(EMPTY, hash_of(node))
    with pytest.raises(MapDamaged, match="at a place"):
        await patient_map.prove(AGAIN, shelf.get)
    with pytest.raises(MapDamaged, match="at a place"):
        await patient_map.updated([held(AGAIN)], shelf.get)


async def test_another_root_than_the_expected_one_is_refused() -> None:
    shelf = await shelf_of([patient(1), patient(2)])
    with pytest.raises(MapDamaged, match="root"):
        await patient_map.updated([patient(3)], shelf.get, expected=EMPTY)
    with pytest.raises(MapDamaged):
        await patient_map.prove(patient(1).patient, shelf.get, expected=EMPTY)
    with pytest.raises(MapDamaged, match="root"):
        await patient_map.updated([patient(3)], nothing, expected=patient_map.build([patient(1), patient(2)]))


@pytest.mark.parametrize(
    "wrong",
    [
        Holding(bytes(31), 1, AGAIN),
        Holding(bytes(33), 1, AGAIN),
        Holding(bytes(32), 0, NO_HEAD),
        Holding(bytes(32), -1, AGAIN),
        Holding(bytes(32), 1 << 64, AGAIN),
        Holding(bytes(32), 1, b""),
    ],
    ids=["short tag", "long tag", "no rows", "fewer than none", "more than 64 bits", "no head"],
)
async def test_holdings_that_no_map_can_have(wrong: Holding) -> None:
    with pytest.raises(ValueError, match="A holding"):
        patient_map.build([wrong])
    with pytest.raises(ValueError, match="A holding"):
        await patient_map.updated([wrong], nothing)
