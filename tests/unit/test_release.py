"""The last step: what is about to be shown is on the disk first, and in words that tell nothing clinical."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.sdk.model import Answer, Gap, Item, Outcome, Section
from connectors.sdk.organisations import OrganisationType
from gateway.audit.journal import Journal
from gateway.audit.row import Alarm, Kind, Row, SourceLine, Who
from gateway.audit.scrub import SCRUBBED
from gateway.caller.model import Caller, Role
from gateway.choice.model import Basis, Channel, Choice, Permission, Scope, StatedBy
from gateway.choice.permission import Permissions
from gateway.choice.sharing import SharingChoices
from gateway.errors import NoPermission, OptedOut
from gateway.manifest import ManifestLine
from gateway.policy.model import Decision, Shown
from gateway.release import release, release_row, source_lines
from gateway.sealed import Sealer
from tests.stores import Place

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PATIENT = "9990000018"
SEALER = Sealer(bytes(32))
ASHA = Caller(
    issuer="https://issuer.example",
    user_id="555021935107",
    name="Asha Rahman",
    role_profile_id="555254242106",
    job_role_code="R0260",
    role=Role.GP,
    organisation="G85005",
    organisation_name="South Lewisham Group Practice",
    organisation_type=OrganisationType.GP_PRACTICE,
    client_id="viewer",
)


class Gateway:
    """The parts around the last step, on one clock."""

    def __init__(self, place: Place) -> None:
        self.now = NOON
        self.store = place.open(clock=self.clock)
        self.journal = Journal(self.store, SEALER, lambda: "hash-now", self.clock)
        self.choices = SharingChoices(self.store, SEALER, self.journal, self.may, self.clock)
        self.permissions = Permissions(self.store, SEALER, self.journal, self.may, self.clock)

    def clock(self) -> datetime:
        return self.now

    @staticmethod
    def may(action: str, caller: Caller) -> Decision:
        return Decision(Shown.WHOLE, f"{action}.{caller.role}", "yes")

    async def granted(self) -> Permission:
        return await self.permissions.grant(ASHA, PATIENT, Basis.PATIENT_AGREED, "", Scope.STANDARD, "r-0")

    def row(self, permission: Permission, **changes: Any) -> Row:
        made: dict[str, Any] = {
            "permission": permission,
            "intent": 1,
            "policy_hash": "hash-then",
            "items": [an_item("Observation", "17", Section.RESULTS)],
            "lines": [ManifestLine("RJ2", "Trust", Outcome.ANSWERED)],
        }
        made |= changes
        items = list(made["items"])
        sent = [json.dumps(item.resource).encode() for item in items]
        return release_row(
            self.journal, ASHA, "r-1", "POST /records", PATIENT, **({"sent": sent} | made | {"items": items})
        )


@pytest.fixture
def gateway(place: Place) -> Gateway:
    return Gateway(place)


def an_item(resource_type: str, original_id: str, section: Section | None, source: str = "RJ2") -> Item:
    resource = {"resourceType": resource_type, "id": original_id, "note": "canary-words"}
    sealed = SEALER.seal_id(PATIENT, source, resource_type, original_id)
    return Item(source, resource, section, original_id, sealed_id=sealed)


async def test_a_release_is_on_the_disk_when_it_returns_and_says_what_was_seen(gateway: Gateway) -> None:
    permission = await gateway.granted()
    items = [
        an_item("Observation", "17", Section.RESULTS),
        an_item("Observation", "18", Section.RESULTS),
        an_item("AllergyIntolerance", "1", Section.ALLERGIES, "G85005"),
        an_item("Practitioner", "9", None),
        Item("RJ2", {"resourceType": "Patient", "id": PATIENT}, Section.DEMOGRAPHICS, "5", sealed_id=PATIENT),
    ]
    row = gateway.row(
        permission,
        items=iter(items),
        sections={Section.RESULTS, Section.ALLERGIES},
        withheld={"hide-sensitive": 2},
        outlined={"outline-contacts": 1},
        alarms=[Alarm(source="RJ2", kind="wrong-patient", count=3)],
        subject="Patient/$everything",
    )
    seq = await release(gateway.store, row)
    [kept] = await gateway.store.rows(after=1)
    assert (kept.seq, kept.row) == (seq, row)
    assert (row.kind, row.status, row.intent, row.who) == (Kind.RELEASE, 200, 1, Who.of(ASHA))
    assert (row.permission, row.basis, row.scope) == (permission.id, "patient-agreed", "standard")
    assert row.policy_hash == "hash-then", "the policy that decided, not the one of a moment later"
    assert row.seen == {"results": 2, "allergies": 1, "supporting": 1, "demographics": 1}
    assert (row.withheld, row.outlined) == ({"hide-sensitive": 2}, {"outline-contacts": 1})
    listed = {f"{prefix}.{digest}" for prefix, digests in row.seen_ids.items() for digest in digests}
    assert listed == {item.sealed_id for item in items[:4]}
    assert len(row.seen_ids) == 2
    assert "canary-words" not in repr(row)
    assert PATIENT not in repr(row)


@pytest.mark.parametrize("total", [None, 0, 17])
async def test_a_count_only_answer_leaves_the_number_that_was_told(gateway: Gateway, total: int | None) -> None:
    await release(gateway.store, gateway.row(await gateway.granted(), items=[], total=total))
    [kept] = await gateway.store.rows(after=1)
    assert (kept.row.total, kept.row.seen) == (total, {})


@pytest.mark.parametrize("sealed_id", ["", PATIENT, "17", "x.y", "x" * 54])
async def test_an_item_without_a_sealed_id_cannot_be_shown(gateway: Gateway, sealed_id: str) -> None:
    permission = await gateway.granted()
    item = Item("RJ2", {"resourceType": "Observation"}, Section.RESULTS, "17", sealed_id=sealed_id)
    with pytest.raises(ValueError, match="no sealed id"):
        gateway.row(permission, items=[item])


async def test_after_an_opt_out_there_is_no_release(gateway: Gateway) -> None:
    row = gateway.row(await gateway.granted())
    await gateway.choices.record(ASHA, PATIENT, Choice.OPTED_OUT, StatedBy.PATIENT, Channel.PHONE, "r-2")
    with pytest.raises(OptedOut):
        await release(gateway.store, row)
    await gateway.choices.record(ASHA, PATIENT, Choice.OPTED_IN, StatedBy.PATIENT, Channel.PHONE, "r-3")
    with pytest.raises(NoPermission):
        await release(gateway.store, row)
    assert await release(gateway.store, gateway.row(await gateway.granted())) == 7


async def test_after_the_permissions_end_there_is_no_release(gateway: Gateway) -> None:
    permission = await gateway.granted()
    row = gateway.row(permission)
    gateway.now = permission.expires_at - timedelta(microseconds=1)
    await release(gateway.store, row)
    gateway.now = permission.expires_at
    with pytest.raises(NoPermission):
        await release(gateway.store, row)
    gateway.now = NOON
    await gateway.permissions.withdraw(ASHA, permission.id, "r-2")
    with pytest.raises(NoPermission):
        await release(gateway.store, row)


def test_a_source_line_says_outcome_gaps_and_time_and_no_number() -> None:
    lines = [
        ManifestLine("RJ2", "Trust", Outcome.PARTIAL, {Section.RESULTS: Gap.TIMED_OUT}),
        ManifestLine("RPG", "Mental health trust", Outcome.NOT_ASKED),
    ]
    answers = [
        Answer("RJ2", Outcome.PARTIAL, took_ms=51.26, detail=f"timed out on Patient/{PATIENT}"),
        Answer("709", Outcome.ANSWERED),
    ]
    assert source_lines(lines, answers) == {
        "RJ2": SourceLine(
            outcome="partial", gaps={"results": "timed-out"}, took_ms=51.3, detail=f"timed out on Patient/{SCRUBBED}"
        ),
        "RPG": SourceLine(outcome="not-asked"),
        "709": SourceLine(outcome="answered", detail="not shown"),  # asking is an access, whatever the manifest tells
    }


async def test_what_was_sent_is_kept_as_digests_in_the_order_of_the_ids(gateway: Gateway) -> None:
    permission = await gateway.granted()
    items = [
        an_item("Observation", "17", Section.RESULTS),
        Item("RJ2", {"resourceType": "Patient", "id": PATIENT}, Section.DEMOGRAPHICS, "5", sealed_id=PATIENT),
        an_item("Observation", "18", Section.RESULTS),
        an_item("AllergyIntolerance", "1", Section.ALLERGIES, "G85005"),
    ]
    sent = [b'{"value":0.10}', b'{"id":"patient"}', b'{"value":0.1}', b"{}"]
    row = gateway.row(permission, items=items, sent=sent)
    assert {prefix: len(digests) for prefix, digests in row.sent.items()} == {
        **{prefix: len(digests) for prefix, digests in row.seen_ids.items()},
        "Patient": 1,
    }
    digest_of = {item.sealed_id: SEALER.sent_digest(body) for item, body in zip(items, sent, strict=True)}
    for prefix, ids in row.seen_ids.items():
        assert row.sent[prefix] == [digest_of[f"{prefix}.{each}"] for each in ids]
    assert row.sent["Patient"] == [digest_of[PATIENT]]
    assert all(len(each) == 16 for digests in row.sent.values() for each in digests)
    assert "value" not in repr(row.sent)


@pytest.mark.parametrize("sent", [[], [b"{}", b"{}"]])
async def test_an_item_whose_bytes_are_not_there_cannot_be_shown(gateway: Gateway, sent: list[bytes]) -> None:
    permission = await gateway.granted()
    with pytest.raises(ValueError, match="zip"):
        gateway.row(permission, items=[an_item("Observation", "17", Section.RESULTS)], sent=sent)


def test_a_digest_of_what_was_sent_is_keyed_and_tells_every_byte() -> None:
    digests = {SEALER.sent_digest(body) for body in (b"", b"0.1", b"0.10", b"0.1 ")}
    assert len(digests) == 4
    assert SEALER.sent_digest(b"0.1") == SEALER.sent_digest(b"0.1")
    assert Sealer(bytes([1]) * 32).sent_digest(b"0.1") not in digests
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{16}", each) for each in digests)
