"""What a gateway could do that wants to hide a look: each attack makes a report that lies, as well as it can be made.

The attacker has the source and the whole journal: a report with other rows is rendered anew, so that its lines fit its
rows. Not the signing key, but for `forked`: whoever has that can sign two histories, and only somebody who holds a
piece of the other one can tell.
"""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import msgspec

from gateway.audit.log.base64_text import decode_base64, encode_base64
from gateway.audit.log.checkpoint import Checkpoint, SigningKey, open_note
from gateway.audit.log.leaf import NO_HEAD
from gateway.audit.report.as_html import as_html
from gateway.audit.report.as_json import as_json
from gateway.audit.report.assemble import assemble
from gateway.audit.report.erased import gone
from gateway.audit.report.model import Erasure, Marker, Patient, ProofRow, Report
from gateway.audit.report.opened import commitment_of, opened
from gateway.audit.row import Erased, Kind, Row
from tests.unit.report.world import KEY, NOBODY, OTHER, PATIENT, SEALER, World


@dataclass
class Scene:
    """A journal of several patients with honest reports: the patient's own, an earlier one, and another patient's."""

    world: World
    report: Report
    earlier: Report
    other: Report
    rng: random.Random

    @property
    def newest(self) -> Checkpoint:
        """The checkpoint that somebody else has seen."""
        return open_note(self.report.proof.note, KEY.public)


Attack = Callable[[Scene], Awaitable[bytes]]
PINNED_KEY: Final[dict[str, Attack]] = {}
"""What the pinned key alone gives away."""
NEWER_CHECKPOINT: Final[dict[str, Attack]] = {}
"""What takes a checkpoint from elsewhere: the report is consistent, and old or of another history."""
EARLIER_REPORT: Final[dict[str, Attack]] = {}
"""What takes an earlier report of the same patient."""


def attack(among: dict[str, Attack]) -> Callable[[Attack], Attack]:
    """Register an attack under its name."""

    def register(made: Attack) -> Attack:
        among[made.__name__] = made  # type: ignore[attr-defined]
        return made

    return register


def lie(report: Report, patient: Patient | None = None, **changed: Any) -> bytes:
    """The report with another proof, its lines made of that proof's rows."""
    proof = msgspec.structs.replace(report.proof, **changed)
    whose = patient or report.patient
    checkpoint = open_note(report.proof.note, KEY.public)
    chain = opened(proof.rows, bytes.fromhex(whose.tag), proof.count, checkpoint.size, [])
    head = changed.get("head", encode_base64(chain.head))
    proof = msgspec.structs.replace(proof, head=head)
    erased = gone(chain.rows, proof.erasures, KEY.public, checkpoint, [])
    return as_json(assemble(proof, chain.rows, whose, report.period, report.made, checkpoint.at, erased))


def without(rows: tuple[ProofRow, ...], *places: int) -> tuple[ProofRow, ...]:
    return tuple(row for place, row in enumerate(rows) if place not in places)


def some(scene: Scene) -> int:
    return scene.rng.randrange(scene.report.proof.count)


def full(scene: Scene) -> int:
    """The place of a row that isn't erased."""
    rows = scene.report.proof.rows
    return scene.rng.choice([place for place in range(scene.report.proof.count) if rows[place].row])


def edited(report: Report, change: Callable[[Any], None]) -> bytes:
    """The JSON with something in it changed, and nothing made to fit."""
    shown = json.loads(as_json(report))
    change(shown)
    return json.dumps(shown).encode()


def with_row(scene: Scene, place: int, row: ProofRow) -> tuple[ProofRow, ...]:
    rows = list(scene.report.proof.rows)
    rows[place] = row
    return tuple(rows)


@attack(PINNED_KEY)
async def a_row_left_out(scene: Scene) -> bytes:
    proof = scene.report.proof
    return lie(scene.report, rows=without(proof.rows, some(scene)), count=proof.count - 1)


@attack(PINNED_KEY)
async def a_row_left_out_and_the_count_kept(scene: Scene) -> bytes:
    return lie(scene.report, rows=without(scene.report.proof.rows, some(scene)))


@attack(PINNED_KEY)
async def several_rows_left_out(scene: Scene) -> bytes:
    proof = scene.report.proof
    places = scene.rng.sample(range(proof.count), min(proof.count, 1 + scene.rng.randrange(4)))
    return lie(scene.report, rows=without(proof.rows, *places), count=proof.count - len(places))


@attack(PINNED_KEY)
async def the_last_row_left_out(scene: Scene) -> bytes:
    proof = scene.report.proof
    return lie(scene.report, rows=proof.rows[: proof.count - 1], count=proof.count - 1)


@attack(PINNED_KEY)
async def the_first_row_left_out(scene: Scene) -> bytes:
    proof = scene.report.proof
    return lie(scene.report, rows=proof.rows[1:], count=proof.count - 1)


@attack(PINNED_KEY)
async def left_out_and_renumbered(scene: Scene) -> bytes:
    proof, place = scene.report.proof, some(scene)
    rows = list(without(proof.rows, place))
    for later in range(place, proof.count - 1):
        rows[later] = msgspec.structs.replace(rows[later], seq=proof.rows[later].seq)
    return lie(scene.report, rows=tuple(rows), count=proof.count - 1)


@attack(PINNED_KEY)
async def a_row_under_another_number(scene: Scene) -> bytes:
    place = some(scene)
    row = scene.report.proof.rows[place]
    return lie(scene.report, rows=with_row(scene, place, msgspec.structs.replace(row, seq=row.seq + 1)))


@attack(PINNED_KEY)
async def another_patients_row(scene: Scene) -> bytes:
    place, theirs = some(scene), scene.rng.choice([row for row in scene.other.proof.rows if row.row])
    shown = msgspec.structs.replace(theirs, seq=scene.report.proof.rows[place].seq)
    return lie(scene.report, rows=with_row(scene, place, shown))


@attack(PINNED_KEY)
async def another_patients_proof(scene: Scene) -> bytes:
    other = scene.other.proof
    return lie(scene.report, rows=other.rows, count=other.count, map=other.map)


@attack(PINNED_KEY)
async def two_rows_exchanged(scene: Scene) -> bytes:
    rows, place = list(scene.report.proof.rows), scene.rng.randrange(scene.report.proof.count - 1)
    one, two = rows[place], rows[place + 1]
    rows[place] = msgspec.structs.replace(two, seq=one.seq)
    rows[place + 1] = msgspec.structs.replace(one, seq=two.seq)
    return lie(scene.report, rows=tuple(rows))


@attack(PINNED_KEY)
async def a_row_put_in_anothers_place(scene: Scene) -> bytes:
    place = full(scene)
    before = place - 1 if place else scene.report.proof.count - 1
    seq = scene.report.proof.rows[before].seq
    return lie(scene.report, rows=with_row(scene, before, msgspec.structs.replace(
        scene.report.proof.rows[place], seq=seq)))  # fmt: skip


@attack(PINNED_KEY)
async def another_name_in_a_row(scene: Scene) -> bytes:
    place = full(scene)
    shown = scene.report.proof.rows[place]
    row = msgspec.json.decode(decode_base64(shown.row), type=Row)
    assert row.who is not None
    altered = msgspec.structs.replace(row, who=msgspec.structs.replace(row.who, name="Somebody Harmless"))
    content = encode_base64(msgspec.json.encode(altered, order="sorted"))
    return lie(scene.report, rows=with_row(scene, place, msgspec.structs.replace(shown, row=content)))


@attack(PINNED_KEY)
async def a_row_with_another_salt(scene: Scene) -> bytes:
    place = full(scene)
    salt = encode_base64(scene.rng.randbytes(32))
    shown = msgspec.structs.replace(scene.report.proof.rows[place], salt=salt)
    return lie(scene.report, rows=with_row(scene, place, shown))


@attack(PINNED_KEY)
async def a_bit_of_a_row_turned(scene: Scene) -> bytes:
    place = full(scene)
    shown = scene.report.proof.rows[place]
    content = bytearray(decode_base64(shown.row))
    content[scene.rng.randrange(len(content))] ^= 1 << scene.rng.randrange(8)
    turned = msgspec.structs.replace(shown, row=encode_base64(bytes(content)))
    return edited(scene.report, lambda said: said["proof"]["rows"].__setitem__(place, msgspec.to_builtins(turned)))


@attack(PINNED_KEY)
async def an_erased_row_dropped(scene: Scene) -> bytes:
    proof = scene.report.proof
    erased = [place for place, row in enumerate(proof.rows) if row.commitment]
    return lie(scene.report, rows=without(proof.rows, scene.rng.choice(erased)), count=proof.count - 1)


@attack(PINNED_KEY)
async def a_row_called_erased(scene: Scene) -> bytes:
    return lie(scene.report, rows=with_row(scene, place := full(scene), as_erased(scene.report.proof.rows[place])))


@attack(PINNED_KEY)
async def a_row_called_erased_by_a_later_checkpoint(scene: Scene) -> bytes:
    erasures = tuple(
        msgspec.structs.replace(erasure, dated_by=scene.report.proof.note) for erasure in scene.report.proof.erasures
    )
    rows = with_row(scene, place := full(scene), as_erased(scene.report.proof.rows[place]))
    return lie(scene.report, rows=rows, erasures=erasures)


@attack(PINNED_KEY)
async def a_row_called_erased_by_a_row_that_does_not_say_so(scene: Scene) -> bytes:
    erasure = scene.report.proof.erasures[0]
    mine = scene.report.proof.rows[full(scene)]
    marker = Marker(seq=mine.seq, row=mine.row, salt=mine.salt, path=erasure.marker.path)
    rows = with_row(scene, place := full(scene), as_erased(scene.report.proof.rows[place]))
    return lie(scene.report, rows=rows, erasures=(Erasure(marker=marker, dated_by=scene.report.proof.note),))


@attack(PINNED_KEY)
async def a_row_called_erased_by_a_forged_row(scene: Scene) -> bytes:
    erasure = scene.report.proof.erasures[0]
    row = msgspec.json.decode(decode_base64(erasure.marker.row), type=Row)
    every = Erased(rows=f"1-{scene.newest.size}", digest="0" * 64)
    forged = msgspec.structs.replace(row, erased=every)
    marker = msgspec.structs.replace(erasure.marker, row=encode_base64(msgspec.json.encode(forged, order="sorted")))
    rows = with_row(scene, place := full(scene), as_erased(scene.report.proof.rows[place]))
    return lie(scene.report, rows=rows, erasures=(Erasure(marker=marker, dated_by=scene.report.proof.note),))


def as_erased(row: ProofRow) -> ProofRow:
    return ProofRow(seq=row.seq, commitment=encode_base64(commitment_of(row)))


@attack(PINNED_KEY)
async def the_proof_of_an_erasure_left_out(scene: Scene) -> bytes:
    return lie(scene.report, erasures=())


@attack(PINNED_KEY)
async def another_count(scene: Scene) -> bytes:
    count = scene.report.proof.count + scene.rng.choice([-2, -1, 1, 2])
    return edited(scene.report, lambda said: said["proof"].update(count=max(count, 0)))


@attack(PINNED_KEY)
async def another_head(scene: Scene) -> bytes:
    return lie(scene.report, head=encode_base64(scene.rng.randbytes(32)))


@attack(PINNED_KEY)
async def proven_rows_called_new(scene: Scene) -> bytes:
    return lie(scene.report, count=scene.report.proof.count - 1 - scene.rng.randrange(2))


@attack(PINNED_KEY)
async def nobody_looked(scene: Scene) -> bytes:
    absent = await scene.world.maker.make(NOBODY)
    return lie(scene.report, rows=(), count=0, head=encode_base64(NO_HEAD), map=absent.proof.map)


@attack(PINNED_KEY)
async def nobody_looked_by_ones_own_proof(scene: Scene) -> bytes:
    return lie(scene.report, rows=(), count=0, head=encode_base64(NO_HEAD))


@attack(PINNED_KEY)
async def the_map_of_an_older_checkpoint(scene: Scene) -> bytes:
    old = scene.earlier.proof
    return lie(scene.report, rows=old.rows, count=old.count, map=old.map)


@attack(PINNED_KEY)
async def an_older_note_with_newer_rows(scene: Scene) -> bytes:
    return edited(scene.report, lambda said: said["proof"].update(note=scene.earlier.proof.note))


@attack(PINNED_KEY)
async def an_older_report_with_a_newer_time(scene: Scene) -> bytes:
    newer = json.loads(as_json(scene.report))
    return edited(scene.earlier, lambda said: said.update({name: newer[name] for name in ("upTo", "complete", "made")}))


@attack(PINNED_KEY)
async def a_hash_of_the_map_turned(scene: Scene) -> bytes:
    def turn(said: Any) -> None:
        hashes = bytearray(decode_base64(said["proof"]["map"]["hashes"]))
        hashes[scene.rng.randrange(len(hashes))] ^= 1
        said["proof"]["map"]["hashes"] = encode_base64(bytes(hashes))

    return edited(scene.report, turn)


@attack(PINNED_KEY)
async def another_keys_signature(scene: Scene) -> bytes:
    theirs = SigningKey.new(KEY.origin)
    note = theirs.sign(scene.newest)
    return edited(scene.report, lambda said: said["proof"].update(note=note, key=str(theirs.public)))


@attack(PINNED_KEY)
async def the_notes_size_altered(scene: Scene) -> bytes:
    note, size = scene.report.proof.note, scene.newest.size
    return edited(scene.report, lambda said: said["proof"].update(note=note.replace(f"\n{size}\n", f"\n{size + 1}\n")))


@attack(PINNED_KEY)
async def a_line_left_out(scene: Scene) -> bytes:
    place = scene.rng.randrange(len(scene.report.events))
    return edited(scene.report, lambda said: said["events"].pop(place))


@attack(PINNED_KEY)
async def a_line_of_the_past_repeated(scene: Scene) -> bytes:
    place = scene.rng.randrange(len(scene.report.events))
    return edited(scene.report, lambda said: said["events"].append(said["events"][place]))


@attack(PINNED_KEY)
async def a_line_in_other_words(scene: Scene) -> bytes:
    place = scene.rng.randrange(len(scene.report.events))
    return edited(scene.report, lambda said: said["events"][place].update(text="Nobody looked at your record."))


@attack(PINNED_KEY)
async def another_person_in_a_line(scene: Scene) -> bytes:
    place = scene.rng.choice([place for place, event in enumerate(scene.report.events) if event.who])
    return edited(scene.report, lambda said: said["events"][place]["who"].update(name="Somebody Harmless"))


@attack(PINNED_KEY)
async def best_interests_called_permission(scene: Scene) -> bytes:
    shown = as_json(scene.report).replace(b'"no-best-interests"', b'"yes"')
    assert shown != as_json(scene.report)
    return shown


@attack(PINNED_KEY)
async def a_harmless_answer_at_the_top(scene: Scene) -> bytes:
    place = scene.rng.randrange(len(scene.report.glance))
    return edited(scene.report, lambda said: said["glance"][place].update(answer=["No. Nobody."]))


@attack(PINNED_KEY)
async def somebody_left_out_of_the_people(scene: Scene) -> bytes:
    return edited(scene.report, lambda said: said["organisations"].pop())


@attack(PINNED_KEY)
async def another_sentence_of_completeness(scene: Scene) -> bytes:
    return edited(scene.report, lambda said: said.update(complete="Nobody looked."))


@attack(PINNED_KEY)
async def a_part_of_the_time_called_the_whole(scene: Scene) -> bytes:
    part = scene.report.events[-1].at
    assert part is not None
    report = scene.report
    events = [event for event in json.loads(as_json(report))["events"] if event.get("at") and event["number"] > 2]
    return edited(report, lambda said: said.update(events=events, period={"since": part.isoformat(), "until": None}))


@attack(PINNED_KEY)
async def a_member_that_nobody_checks(scene: Scene) -> bytes:
    return edited(scene.report, lambda said: said.update(note="Nobody looked. Never mind the rest."))


@attack(PINNED_KEY)
async def a_member_twice(scene: Scene) -> bytes:
    return as_json(scene.report).replace(b'"complete":', b'"complete": "Nobody looked.",\n  "complete":')


@attack(PINNED_KEY)
async def a_line_left_out_of_the_page(scene: Scene) -> bytes:
    page = as_html(scene.report)
    lines = page.split(b"\n")
    place = scene.rng.choice([place for place, line in enumerate(lines) if line.startswith(b"<tr><th scope")])
    return b"\n".join(line for at, line in enumerate(lines) if at != place)


@attack(PINNED_KEY)
async def the_page_of_another_report(scene: Scene) -> bytes:
    old = as_html(scene.earlier)
    theirs, ours = (page.split(b"base64,")[1].split(b'"')[0] for page in (old, as_html(scene.report)))
    return old.replace(theirs, ours)


@attack(NEWER_CHECKPOINT)
async def an_older_report(scene: Scene) -> bytes:
    return as_json(scene.earlier)


@attack(NEWER_CHECKPOINT)
async def forked(scene: Scene) -> bytes:
    """The gateway has the key, and signs a history in which a look didn't happen."""
    world = World()
    hidden = scene.report.proof.rows[full(scene)].seq
    for entry in scene.world.kept:
        blank = World().row(Kind.AUDIT_READ, OTHER)
        world.append(msgspec.json.decode(entry.row, type=Row) if entry.row and entry.leaf.seq != hidden else blank)
    world.now = scene.world.now
    await world.sign()
    return as_json(await world.maker.make(PATIENT))


@attack(EARLIER_REPORT)
async def by_another_tag(scene: Scene) -> bytes:
    """The report is true, of somebody at whom nobody looked; only the number above it is the patient's."""
    absent = await scene.world.maker.make(NOBODY)
    whose = Patient(nhs_number=PATIENT, tag=SEALER.patient_tag(NOBODY))
    return lie(absent, whose)


@attack(EARLIER_REPORT)
async def forked_since(scene: Scene) -> bytes:
    """As `forked`, and the log has grown: the checkpoints can't be compared, the patient's own rows can."""
    world = World()
    keep = scene.earlier.proof.rows[scene.rng.randrange(scene.earlier.proof.count)].seq
    for entry in scene.world.kept:
        blank = World().row(Kind.AUDIT_READ, OTHER)
        world.append(msgspec.json.decode(entry.row, type=Row) if entry.row and entry.leaf.seq != keep else blank)
    world.now = scene.world.now + timedelta(hours=1)
    world.add(Kind.AUDIT_READ, OTHER)
    await world.sign()
    return as_json(await world.maker.make(PATIENT))
