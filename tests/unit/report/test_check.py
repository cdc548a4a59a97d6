"""The check: that it never breaks, whatever it is given, how small the proof is, and what a stranger's checker says."""

from __future__ import annotations

import dataclasses
import json
import random
import runpy
import subprocess
import sys
from bisect import bisect_left
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from gateway.audit.checkpoints import LogForked
from gateway.audit.log.base64_text import encode_base64
from gateway.audit.log.checkpoint import NotSigned, SigningKey, open_note
from gateway.audit.log.map_proof import EMPTY, MapProof, OtherLeaf
from gateway.audit.log.notary import SignerUnavailable
from gateway.audit.log.patient_map import MapDamaged
from gateway.audit.log.signer import SignerAhead
from gateway.audit.log.tree import inclusion_proof
from gateway.audit.report import service
from gateway.audit.report.as_json import as_json
from gateway.audit.report.check import check_report, judged
from gateway.audit.report.make import NotProven
from gateway.audit.report.model import Erasure, Marker, Period
from gateway.audit.report.service import Reports
from gateway.audit.row import Erased, Kind
from tests.quick import only
from tests.unit.report.attacks import EARLIER_REPORT, NEWER_CHECKPOINT, PINNED_KEY, as_erased, lie
from tests.unit.report.test_hidden_entries import scene
from tests.unit.report.world import GP, KEY, NOBODY, OFFICER, OTHER, PATIENT, START, World

VERIFIER: Final = Path(__file__).parents[3] / "docs" / "verify-report.py"
MOST: Final = 2048
RENDERED: Final = {
    "a_row_called_erased", "a_row_called_erased_by_a_later_checkpoint", "a_row_called_erased_by_a_forged_row",
    "a_row_called_erased_by_a_row_that_does_not_say_so", "the_proof_of_an_erasure_left_out", "another_head",
    "an_older_report_with_a_newer_time", "a_line_left_out", "a_line_of_the_past_repeated", "a_line_in_other_words",
    "another_person_in_a_line", "best_interests_called_permission", "a_harmless_answer_at_the_top",
    "somebody_left_out_of_the_people", "another_sentence_of_completeness", "a_part_of_the_time_called_the_whole",
    "a_member_that_nobody_checks", "a_member_twice", "a_line_left_out_of_the_page", "the_page_of_another_report",
}  # fmt: skip
"""Attacks on the lines, which the stranger's checker leaves to whoever reads the rows that it prints."""


async def signed(*looks: str) -> World:
    world = World()
    for patient in looks:
        world.look(patient)
    await world.sign()
    return world


async def test_a_verdict_says_what_is_proven() -> None:
    world = await signed(PATIENT, OTHER)
    verdict = judged(as_json(await world.maker.make(PATIENT)), KEY.public)
    assert verdict.told() == (
        "These 2 rows are all that the journal holds about this patient up to 3 May 2026 at 10:08am; nobody else "
        "looked."
    )
    nobody = judged(as_json(await world.maker.make(NOBODY)), KEY.public)
    assert nobody.told().endswith("about this patient up to 3 May 2026 at 10:08am; nobody looked.")
    wrong = judged(b"{}", KEY.public)
    assert wrong.told().startswith("This report does NOT hold:\n  This isn't")


async def test_rows_after_the_checkpoint_are_shown_as_not_proven_yet() -> None:
    world = await signed(PATIENT)
    world.look(PATIENT)
    data = as_json(await world.maker.make(PATIENT))
    assert check_report(data, KEY.public) == []
    assert [event.get("proven", True) for event in json.loads(data)["events"]] == [True, False]
    assert "1 line at the end is new, and can't be proven yet." in " ".join(json.loads(data)["introduction"])


async def test_a_part_of_the_time_is_proven_by_all_rows() -> None:
    world = await signed(PATIENT, PATIENT, PATIENT)
    period = Period(since=START + timedelta(minutes=3), until=START + timedelta(minutes=5))
    report = await world.maker.make(PATIENT, period)
    assert check_report(as_json(report), KEY.public) == []
    assert [event.rows for event in report.events] == [(3, 4)]
    assert len(report.proof.rows) == 6
    assert "from 3 May 2026 at 10:07am to 3 May 2026 at 10:09am" in " ".join(report.introduction)


async def test_without_a_checkpoint_there_is_no_report() -> None:
    world = World()
    world.look()
    with pytest.raises(NotProven, match="no signed checkpoint") as caught:
        await world.maker.make(PATIENT)
    assert caught.value.status == 503


async def test_a_journal_that_was_tampered_with_makes_no_report() -> None:
    world = await signed(PATIENT, PATIENT)
    entry = world.kept[1]
    assert entry.row is not None
    world.kept[1] = type(entry)(entry.leaf, entry.row.replace(b"12", b"13"), entry.salt, entry.head)
    with pytest.raises(NotProven, match="aren't all rows"):
        await world.maker.make(PATIENT)


async def test_an_unreadable_row_makes_no_report() -> None:
    world = await signed(PATIENT, PATIENT)
    entry = world.kept[1]
    world.kept[1] = type(entry)(entry.leaf, b"{}", entry.salt, entry.head)
    with pytest.raises(NotProven, match="Row 2 can't be read"):
        await world.maker.make(PATIENT)


async def test_a_map_of_another_checkpoint_makes_no_report() -> None:
    world = await signed(PATIENT)
    before = dict(world.nodes)
    world.look()
    await world.sign()
    world.nodes = before
    with pytest.raises(NotProven):
        await world.maker.make(PATIENT)


async def test_a_checkpoint_of_another_key_makes_no_report() -> None:
    world = await signed(PATIENT)
    stranger = SigningKey.new(KEY.origin)
    maker = dataclasses.replace(world.maker, public=stranger.public)
    with pytest.raises(NotProven, match="0 signatures"):
        await maker.make(PATIENT)


@pytest.mark.parametrize(
    ("error", "goes_on"),
    [
        (SignerUnavailable("no"), True),
        (MapDamaged("no"), True),
        (SignerAhead(9, 3), True),
        (LogForked("no"), False),
        (NotSigned("no"), False),
    ],
)
async def test_a_journal_that_was_forked_makes_no_report_and_one_that_nobody_signs_makes_an_older_one(
    error: Exception, goes_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_MOMENT", 0.0)
    world = await signed(PATIENT)

    async def fails() -> bool:
        raise error

    reports = Reports(world.maker, None, None, fails)  # type: ignore[arg-type]
    if goes_on:
        await reports._sign_up_to(3)
    else:
        with pytest.raises(NotProven):
            await reports._sign_up_to(3)


async def test_a_page_has_nothing_signed_while_a_checkpoint_is_fresh() -> None:
    world = await signed(PATIENT)
    reports = Reports(world.maker, None, None, None, timedelta(seconds=10))  # type: ignore[arg-type]
    at = open_note(world.notes[-1].note, KEY.public).at
    for seconds, is_fresh in ((0, True), (9.9, True), (10, False)):
        world.now = at + timedelta(seconds=seconds)
        assert await reports._is_fresh() is is_fresh
    stranger = dataclasses.replace(world.maker, public=SigningKey.new("elsewhere").public)
    with pytest.raises(NotProven):
        await dataclasses.replace(reports, maker=stranger)._is_fresh()


async def test_a_report_waits_for_as_many_checkpoints_as_it_takes() -> None:
    world, calls = await signed(PATIENT), 0

    async def one_more() -> bool:
        nonlocal calls
        calls += 1
        world.look()
        await world.sign()
        return True

    await Reports(world.maker, None, None, one_more)._sign_up_to(7)  # type: ignore[arg-type]
    assert calls == 3
    await Reports(world.maker, None, None, one_more)._sign_up_to(10_000)  # type: ignore[arg-type]
    assert calls == 23


async def test_a_checkpoint_that_comes_meanwhile_is_taken_up(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await signed(PATIENT)
    world.look()
    notes = world.newest_checkpoint

    async def old_once() -> Any:
        kept = await notes()
        if len(world.notes) == 1:
            await world.sign()
        return kept

    monkeypatch.setattr(world, "newest_checkpoint", old_once)
    report = await world.maker.make(PATIENT)
    assert report.proof.count == 4


async def test_an_erasure_of_the_patients_own_is_proven_by_their_own_row() -> None:
    world = await signed(PATIENT, OTHER, PATIENT)
    world.erase([1, 2], patient=PATIENT)
    await world.sign()
    report = await world.maker.make(PATIENT)
    assert check_report(as_json(report), KEY.public) == []
    assert report.proof.erasures == ()
    assert report.events[0].text.startswith("2 lines from before 3 May 2026 were erased on 3 May 2026.")


async def test_several_erasures_each_prove_their_rows() -> None:
    world = await signed(PATIENT, OTHER)
    world.now += timedelta(days=400)
    world.look(PATIENT)
    await world.sign()
    world.erase([1, 2, 3, 4])
    world.now += timedelta(days=400)
    world.erase([5, 6])
    world.look(PATIENT)
    await world.sign()
    report = await world.maker.make(PATIENT)
    assert check_report(as_json(report), KEY.public) == []
    assert len(report.proof.erasures) == 2
    assert [event.rows for event in report.events] == [(1, 2, 3, 4), (5, 6)]


async def test_what_was_erased_since_the_checkpoint_waits_for_the_next() -> None:
    world = await signed(PATIENT)
    world.erase([1, 2])
    with pytest.raises(NotProven, match="nothing shows that it was erased"):
        await world.maker.make(PATIENT)
    await world.sign()
    assert check_report(as_json(await world.maker.make(PATIENT)), KEY.public) == []


@pytest.mark.parametrize("named", [None, Erased(rows="7-x", digest=""), Erased(rows="900", digest="")])
async def test_an_erasure_that_does_not_name_the_row_proves_nothing(named: Erased | None) -> None:
    world = await signed(PATIENT)
    seq = world.add(Kind.ERASED, None, None, erased=named)
    world.add(Kind.ERASED, PATIENT, None, erased=named)
    checkpoint = await world.sign()
    report = await world.maker.make(PATIENT)
    marked = world.kept[seq - 1]
    assert marked.row is not None
    assert marked.salt is not None
    path = await inclusion_proof(seq - 1, checkpoint.size, world.range_hash)
    marker = Marker(
        seq=seq, row=encode_base64(marked.row), salt=encode_base64(marked.salt), path=tuple(map(encode_base64, path))
    )
    missing = (as_erased(report.proof.rows[0]), *report.proof.rows[1:])
    erasures = (Erasure(marker=marker, dated_by=report.proof.note),)
    problems = check_report(lie(report, rows=missing, erasures=erasures), KEY.public)
    assert "Row 1 is left out, and nothing shows that it was erased." in problems
    nowhere = msgspec.structs.replace(marker, seq=0)
    problems = check_report(lie(report, erasures=(Erasure(marker=nowhere, dated_by=report.proof.note),)), KEY.public)
    assert "That rows were erased isn't proven" in problems[0]


async def test_a_row_both_shown_and_erased() -> None:
    world = await signed(PATIENT)
    data = json.loads(as_json(await world.maker.make(PATIENT)))
    data["proof"]["rows"][0]["commitment"] = encode_base64(bytes(32))
    assert "Row 1 is said to be erased, and shows its content." in check_report(json.dumps(data).encode(), KEY.public)


async def test_an_earlier_report_is_gone_on_from_also_where_rows_were_erased_since() -> None:
    world = await signed(PATIENT, PATIENT)
    earlier = await world.maker.make(PATIENT)
    world.look(PATIENT)
    world.erase([1, 2])
    await world.sign()
    later = as_json(await world.maker.make(PATIENT))
    newest = open_note(earlier.proof.note, KEY.public)
    assert check_report(later, KEY.public, earlier=as_json(earlier), newest=newest) == []
    assert check_report(as_json(earlier), KEY.public, earlier=later)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("patient", "tag"), "zz", "tag isn't one"),
        (("patient", "tag"), "00" * 32, "isn't about this patient"),
        (("patient", "nhsNumber"), "9990000408", "isn't about an NHS number"),
        (("made",), "2001-01-01T00:00:00Z", "made before its checkpoint"),
        (("made",), "2026-05-03T00:00:00", "times that no calendar has"),
        (("period", "since"), "0001-01-01T00:00:00Z", "times that no calendar has"),
        (("format",), "connect-care-access-report/0", "is connect-care-access-report/0"),
        (("proof", "key"), "another", "isn't the one that you pinned"),
        (("proof", "head"), "AAAA", "head of the chain isn't base64"),
        (("proof", "count"), -1, "should hold"),
        (("proof", "count"), 10**30, "should hold"),
        (("proof", "rows", 0, "seq"), 0, "comes after 0"),
        (("proof", "rows", 0, "seq"), 1 << 63, "has the number"),
        (("proof", "rows", 0, "salt"), "AAAA", "salt of row 1"),
        (("proof", "rows", 0, "row"), "e30=", "Row 1 can't be read"),
        (("proof", "rows", 0, "row"), "?", "content of row 1"),
        (("proof", "map"), {"path": "2"}, "not the right ones"),
        (("proof", "note"), "", "has no signature"),
        (("title",), "Nobody looked", "'title' isn't what the rows say"),
        (("introduction",), [], "'introduction' isn't"),
    ],
)
async def test_what_is_wrong_is_said(path: tuple[Any, ...], value: Any, told: str) -> None:
    world = await signed(OTHER, PATIENT)
    data = json.loads(as_json(await world.maker.make(PATIENT)))
    at = data
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    assert told in " ".join(check_report(json.dumps(data).encode(), KEY.public))


async def test_no_bytes_break_the_check() -> None:
    """A report with any byte of it altered holds no more, or says the very same."""
    world = await signed(OTHER, PATIENT, PATIENT)
    world.erase([3, 4])
    await world.sign()
    honest = await world.maker.make(PATIENT)
    data, rng = as_json(honest), random.Random(5)
    for _ in range(400):
        altered = bytearray(data)
        for _ in range(1 + rng.randrange(3)):
            altered[rng.randrange(len(altered))] = rng.randrange(256)
        verdict = judged(bytes(altered), KEY.public)
        assert verdict.problems or msgspec.structs.replace(verdict.report, made=honest.made) == honest


def proof_size(map_proof: MapProof, note: str) -> int:
    """Bytes of what stands beside the rows."""
    beside = {"key": str(KEY.public), "note": note, "count": 123_456, "head": "A" * 44, "map": map_proof.to_json()}
    return len(json.dumps(beside))


@pytest.mark.parametrize("patients", only({50_000}, (50_000, 1_000_000)))
def test_a_proof_among_a_million_patients_has_two_kilobytes_at_most(patients: int) -> None:
    """Each depth of a tag's path has a hash where somebody shares the path so far, and none where nobody does."""
    rng = random.Random(11)
    tags = sorted(rng.getrandbits(64) for _ in range(patients))
    closest = min(range(len(tags) - 1), key=lambda place: tags[place] ^ tags[place + 1])
    sample = [tags[closest], *rng.sample(tags, 300), *(rng.getrandbits(64) for _ in range(300))]
    longest = max((path_of(tag, tags) for tag in sample), key=lambda path: (path.count("1"), len(path)))
    siblings = tuple(rng.randbytes(32) if digit == "1" else EMPTY for digit in longest)
    note = KEY.sign(_checkpoint())
    assert 16 <= longest.count("1") <= 28
    assert proof_size(MapProof(siblings), note) <= MOST
    assert proof_size(MapProof(siblings, OtherLeaf(rng.randbytes(32), rng.randbytes(32))), note) <= MOST
    assert proof_size(MapProof((rng.randbytes(32),) * 24), note) <= MOST


def path_of(tag: int, tags: list[int]) -> str:
    """The path of a map's proof for a tag, as `MapProof.to_json` has it."""
    path = ""
    for depth in range(64):
        width = 63 - depth
        first = tag >> width + 1 << width + 1
        if sum(1 for _ in within(first, first + (1 << width + 1), tags, tag)) == 0:
            return path
        sibling = (tag >> width ^ 1) << width
        path += "1" if any(True for _ in within(sibling, sibling + (1 << width), tags, tag)) else "0"
    return path


def within(first: int, last: int, tags: list[int], tag: int) -> Any:
    place = bisect_left(tags, first)
    while place < len(tags) and tags[place] < last:
        if tags[place] != tag:
            yield tags[place]
            return
        place += 1


def _checkpoint() -> Any:
    from gateway.audit.log.checkpoint import Checkpoint

    return Checkpoint(KEY.origin, 123_456_789, bytes(32), bytes(32), START, 123_456_000)


async def test_the_proof_of_a_report_is_what_was_measured() -> None:
    world = await signed(OTHER, PATIENT, *[f"99900{number:05d}" for number in range(20_000, 20_050)])
    report = await world.maker.make(PATIENT)
    proof = msgspec.to_builtins(report.proof)
    size = len(json.dumps({name: proof[name] for name in ("key", "note", "count", "head", "map")}))
    assert size == proof_size(MapProof.from_json(report.proof.map), report.proof.note) - 5
    assert size <= MOST


def strangers_verdict(check: Any, data: bytes) -> bool:
    """Whether `docs/verify-report.py` is content."""
    from cryptography.exceptions import InvalidSignature

    try:
        check(json.loads(data), str(KEY.public))
    except (InvalidSignature, Exception):
        return False
    return True


async def test_a_checker_that_knows_nothing_of_the_gateway_comes_to_the_same() -> None:
    check = runpy.run_path(str(VERIFIER), run_name="verifier")["check"]
    at = await scene(2)
    assert strangers_verdict(check, as_json(at.report))
    assert strangers_verdict(check, as_json(at.earlier))
    for nobody in (NOBODY, "9990009880", "9990009945"):
        assert strangers_verdict(check, as_json(await at.world.maker.make(nobody)))
    for name, attack in PINNED_KEY.items():
        if name not in RENDERED:
            assert not strangers_verdict(check, await attack(at)), name
    for attack in (*NEWER_CHECKPOINT.values(), *EARLIER_REPORT.values()):
        assert strangers_verdict(check, await attack(at)), "consistent in itself: it takes something from elsewhere"


async def test_the_strangers_checker_on_the_command_line(tmp_path: Path) -> None:
    world = await signed(OTHER, PATIENT)
    world.add(Kind.AUDIT_READ, PATIENT, msgspec.structs.replace(OFFICER, name="Eve\x1b[2J"))
    report, key = tmp_path / "report.json", tmp_path / "key.pub"
    report.write_bytes(as_json(await world.maker.make(PATIENT)))
    key.write_text(f"{KEY.public}\n")
    done = run(report, key)
    assert done.returncode == 0, done.stderr
    assert "These 2 rows are all that the log holds about this patient" in done.stdout
    assert "1 more rows came later" in done.stdout
    report.write_bytes(report.read_bytes().replace(b'"count": 2', b'"count": 1'))
    assert "does NOT hold" in run(report, key).stderr
    source = VERIFIER.read_text()
    assert "gateway" not in source
    assert "connectors" not in source
    assert GP.name in done.stdout


def run(report: Path, key: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(VERIFIER), str(report), str(key)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
