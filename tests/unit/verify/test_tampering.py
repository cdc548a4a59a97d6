"""Whoever has the store but not the key can change nothing unseen: from the pinned key and an older checkpoint."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest

from gateway.store.folder import DATABASE
from tests.tampering import TABLES, WAYS, Tamperer, tampered
from tests.unit.verify.conftest import Kept


def caught(kept: Kept, work: Path, seed: int, ways: Iterable[int]) -> tuple[Counter[str], list[str]]:
    """How often each thing was done, and what wasn't caught."""
    done: Counter[str] = Counter()
    missed: list[str] = []
    for number, way in enumerate(ways):
        chance = random.Random(f"{seed}/{number}")
        with tampered(kept.facts.folder, work, chance, WAYS[way], kept.pinned.size, kept.newest.size) as (copy, said):
            report = kept.verified(copy)
        done[said.partition(":")[0]] += 1
        if report.holds:
            missed.append(f"{number}: {WAYS[way].__name__}: {said}")
    return done, missed


def test_a_store_that_nobody_touched_holds(kept: Kept) -> None:
    report = kept.verified(kept.facts.folder, kept.pinned, kept.newest)
    assert report.holds, report.told()
    assert "erased rows: their commitments stand" in report.told()


def test_every_way_of_tampering_is_caught(kept: Kept, tmp_path: Path) -> None:
    done, missed = caught(kept, tmp_path, 1, [way % len(WAYS) for way in range(60)])
    assert missed == []
    assert len(done) > 20


@pytest.mark.slow
def test_a_thousand_tamperings_are_caught(kept: Kept, tmp_path: Path) -> None:
    done, missed = caught(kept, tmp_path, 2, [way % len(WAYS) for way in range(1_000)])
    assert missed == []
    assert sum(done.values()) == 1_000
    assert {said.split()[1].partition(".")[0] for said in done if said.startswith("edit ")} == set(TABLES)


def test_what_no_one_can_see_from_an_older_checkpoint_alone(kept: Kept, tmp_path: Path) -> None:
    """A store that is cut back to an earlier checkpoint, consistently, is the store as it was then. Who pinned a newer
    checkpoint, or has a copy of the rows, sees it all the same."""

    def cut_back(t: Tamperer) -> str:
        t.rebuild(t.journal()[: kept.pinned.size], keep_checkpoints=False)
        for table in ("sharing_choice", "permission", "privacy_case", "case_entry"):
            t.db.execute(f"DELETE FROM {table}")
        return "cut back"

    with tampered(kept.facts.folder, tmp_path, random.Random(1), cut_back, 0, 0) as (copy, _):
        told = [str(finding) for finding in kept.verified(copy).findings]
        assert not [each for each in told if "missing" in each or "checkpoint" in each]
        told = [str(finding) for finding in kept.verified(copy, kept.newest).findings]
        assert any("the log is shorter than the pinned checkpoint" in each for each in told)


def scribbled(kept: Kept, work: Path, seed: int) -> tuple[bool, bool]:
    """Random bytes in the database's file: whether the verification still held, and whether anything can be read
    differently from before."""
    chance = random.Random(f"scribble/{seed}")
    copy = work / "scribbled"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(kept.facts.folder, copy)
    file = copy / "store" / DATABASE
    content = bytearray(file.read_bytes())
    for _ in range(chance.choice([1, 1, 20])):
        at = chance.randrange(100) if chance.random() < 0.1 else chance.randrange(len(content))
        length = chance.choice([1, 4, 600])
        content[at : at + length] = chance.randbytes(len(content[at : at + length]))
    file.write_bytes(content)
    report = kept.verified(copy)
    assert not any("Traceback" in str(each) for each in report.findings)
    return report.holds, dumped(file) != dumped(kept.facts.folder / "store" / DATABASE)


def dumped(file: Path) -> object:
    """All that the journal's tables hold; what went wrong, where they can't be read."""
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            return [connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in TABLES]
    except (sqlite3.Error, UnicodeError) as error:
        return str(error)


def test_random_bytes_in_the_file_end_in_a_sentence(kept: Kept, tmp_path: Path) -> None:
    outcomes = [scribbled(kept, tmp_path, seed) for seed in range(25)]
    assert not any(holds and differs for holds, differs in outcomes)
    assert any(differs for _, differs in outcomes)


@pytest.mark.slow
def test_many_random_bytes_end_in_a_sentence(kept: Kept, tmp_path: Path) -> None:
    outcomes = [scribbled(kept, tmp_path, seed) for seed in range(25, 500)]
    assert not any(holds and differs for holds, differs in outcomes)
