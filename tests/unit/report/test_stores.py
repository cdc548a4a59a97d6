"""The same report from either store, while checkpoints come and rows are erased."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime

from connectors.sdk.organisations import OrganisationType
from gateway.audit.checkpoints import Checkpointer
from gateway.audit.journal import Journal
from gateway.audit.log.patient_map import MapDamaged
from gateway.audit.log.signer import LocalSigner, SignerAhead
from gateway.audit.report.as_json import as_json
from gateway.audit.report.check import check_report
from gateway.audit.report.make import ReportMaker
from gateway.audit.report.model import Period, What
from gateway.audit.report.service import Reports
from gateway.audit.row import Kind
from gateway.caller.model import Caller, Role
from gateway.policy.model import Decision, Shown
from gateway.store.interface import Store
from gateway.store.moments import utc_now
from tests.stores import Place
from tests.unit.report.world import KEY, NOBODY, OTHER, PATIENT, SEALER, World

ASKS = Caller(
    issuer="https://issuer.example", user_id="u", name="Priya Nair", role_profile_id="p", job_role_code="R0001",
    role=Role.PRIVACY_OFFICER, organisation="RJ2", organisation_name="Lewisham Hospital",
    organisation_type=OrganisationType.ACUTE_TRUST, client_id="c",
)  # fmt: skip
PEOPLE = [PATIENT, OTHER, *(f"99900{number:05d}" for number in range(30_000, 30_030))]


async def look(store: Store, patient: str) -> None:
    intent = await store.append(World().row(Kind.INTENT, patient))
    await store.append(World().row(Kind.RELEASE, patient, intent=intent, basis="patient-agreed", seen={"results": 1}))


async def test_a_report_while_others_are_looked_at_and_signed_and_erased(place: Place) -> None:
    store = place.open()
    checkpointer = Checkpointer(store, LocalSigner(KEY), utc_now, 10)
    maker = ReportMaker(store, SEALER, KEY.public, utc_now)
    journal = Journal(store, SEALER, lambda: "h", utc_now)
    reports = Reports(maker, journal, lambda *_: Decision(Shown.WHOLE, "r", "why"), checkpointer.checkpoint)

    async def busy() -> None:
        for round_ in range(6):
            await asyncio.gather(*(look(store, patient) for patient in PEOPLE))
            with suppress(MapDamaged, SignerAhead):  # somebody else was first
                await checkpointer.checkpoint()
            if round_ == 2:
                await store.erase(before=datetime(2026, 6, 1, tzinfo=UTC), row=World().row(Kind.ERASED, None, None))

    async def ask() -> None:
        for _ in range(6):
            report = await reports.make(ASKS, OTHER, Period(), "r-1")
            assert [event.proven for event in report.events if event.what is What.AUDIT_READ][-1]
            assert check_report(as_json(report), KEY.public) == []

    await asyncio.gather(busy(), ask())
    while await checkpointer.checkpoint():
        pass
    report = await maker.make(PATIENT)
    assert check_report(as_json(report), KEY.public) == []
    assert [event.what.value for event in report.events] == ["erased", "looked", "looked", "looked"]
    assert (await maker.make(NOBODY)).proof.count == 0
    await store.aclose()
