"""Sessions: kept sealed, found by a name that only the browser has, and ended in time. Against both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.errors import NotSignedIn, Refusal
from gateway.launch import pending
from gateway.launch.session import PatientSession, PatientSessions, Resumed, Session, Sessions, new_csrf
from gateway.launch.settings import SessionTimes
from gateway.sealed import Sealer
from gateway.store.parts.sessions import KeptSession

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
SEALER = Sealer(b"1" * 32)
PATIENT = "9990000409"


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def after(self, **time: float) -> None:
        self.now = NOON + timedelta(**time)


class Kept:
    """A store with one worker's memory; `touches` counts writes that only say that somebody is there."""

    def __init__(self) -> None:
        self.held: dict[str, KeptSession] = {}
        self.touches = 0

    async def keep_session(self, session: KeptSession, now: datetime, instead_of: str | None = None) -> None:
        self.held.pop(instead_of or "", None)
        self.held[session.id] = session

    async def session(self, session_id: str) -> KeptSession | None:
        return self.held.get(session_id)

    async def touch_session(self, session_id: str, idle_until: datetime) -> None:
        self.touches += 1
        old = self.held[session_id]
        self.held[session_id] = KeptSession(id=old.id, sealed=old.sealed, idle_until=idle_until, ends_at=old.ends_at)

    async def end_session(self, session_id: str) -> bool:
        return self.held.pop(session_id, None) is not None


def a_session() -> Session:
    return Session(system="EHR", counts_as="x", nhs_number=PATIENT, csrf=new_csrf(), token="secret-token")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def sessions(kept: Kept, clock: Clock) -> Sessions:
    return Sessions(kept, SEALER, SessionTimes(idle=15, longest=60), clock)


async def test_what_is_kept_holds_neither_the_token_nor_the_patient_nor_the_cookie(
    sessions: Sessions, kept: Kept
) -> None:
    name = (await sessions.begin(a_session())).name
    everything = str(kept.held)
    assert name not in everything
    assert PATIENT not in everything
    assert "secret-token" not in everything
    assert (await sessions.resume(name)).session.token == "secret-token"
    assert "secret-token" not in repr(await sessions.resume(name))


async def test_it_ends_when_nobody_is_there(sessions: Sessions, clock: Clock) -> None:
    name = (await sessions.begin(a_session())).name
    clock.after(minutes=14, seconds=59)
    await sessions.resume(name)
    clock.after(minutes=29)
    await sessions.resume(name)
    clock.after(minutes=44, seconds=1)
    with pytest.raises(NotSignedIn):
        await sessions.resume(name)


async def test_it_ends_whatever_happens(sessions: Sessions, clock: Clock) -> None:
    name = (await sessions.begin(a_session())).name
    for minute in range(10, 60, 10):
        clock.after(minutes=minute)
        assert (await sessions.resume(name)).ends_at == NOON + timedelta(hours=1)
    clock.after(minutes=60)
    with pytest.raises(NotSignedIn):
        await sessions.resume(name)


async def test_it_never_outlives_the_sign_in(sessions: Sessions, clock: Clock) -> None:
    name = (await sessions.begin(a_session(), until=NOON + timedelta(minutes=5))).name
    clock.after(minutes=5)
    with pytest.raises(NotSignedIn):
        await sessions.resume(name)


async def test_asking_whether_it_holds_prolongs_nothing(sessions: Sessions, kept: Kept, clock: Clock) -> None:
    name = (await sessions.begin(a_session())).name
    clock.after(minutes=10)
    asked = await sessions.standing(name)
    assert (asked.left, asked.may_stay, kept.touches) == (timedelta(minutes=5), True, 0)
    assert (await sessions.resume(name)).left == timedelta(minutes=15)
    for minute in (20, 30, 40, 50):
        clock.after(minutes=minute)
        await sessions.resume(name)
    asked = await sessions.standing(name)
    assert (asked.left, asked.may_stay) == (timedelta(minutes=10), False)
    clock.after(minutes=60)
    with pytest.raises(NotSignedIn):
        await sessions.standing(name)


async def test_not_every_page_is_a_write(sessions: Sessions, kept: Kept, clock: Clock) -> None:
    name = (await sessions.begin(a_session())).name
    for second in range(0, 60, 5):
        clock.after(seconds=second)
        await sessions.resume(name)
    assert kept.touches == 0
    clock.after(seconds=60)
    await sessions.resume(name)
    assert kept.touches == 1


async def test_another_session_s_content_opens_nothing(sessions: Sessions, kept: Kept) -> None:
    mine, theirs = (await sessions.begin(a_session())).name, (await sessions.begin(a_session())).name
    first, second = kept.held
    kept.held[first] = KeptSession(
        id=first, sealed=kept.held[second].sealed, idle_until=NOON + timedelta(1), ends_at=NOON + timedelta(1)
    )
    with pytest.raises(NotSignedIn):
        await sessions.resume(mine)
    assert (await sessions.resume(theirs)).session.nhs_number == PATIENT


async def test_staff_and_patients_open_nothing_of_each_other(sessions: Sessions, kept: Kept, clock: Clock) -> None:
    """One cookie, two kinds: what the name leads to is sealed to its own, and the newest is the browser's only one."""
    of_patients = PatientSessions(kept, SEALER, SessionTimes(), clock)
    theirs = PatientSession(
        system="P", registration="r", nhs_number=PATIENT, account="a", proofing="P9", token_id="t", csrf=new_csrf()
    )
    assert PATIENT not in repr(theirs)
    staff = (await sessions.begin(a_session())).name
    with pytest.raises(NotSignedIn):
        await of_patients.resume(staff)
    patient = (await of_patients.begin(theirs, instead_of=staff)).name
    assert (await of_patients.resume(patient)).session == theirs
    for name in (staff, patient):
        clock.after(minutes=2)
        with pytest.raises(NotSignedIn):
            await sessions.resume(name)
    assert kept.touches == 0
    assert not any(PATIENT in session.sealed for session in kept.held.values())


async def test_a_page_is_its_own_session_s(sessions: Sessions, kept: Kept) -> None:
    began, other = await sessions.begin(a_session()), await sessions.begin(a_session())
    resumed = await sessions.resume(began.name)
    resumed.check_page(began.tag)
    assert began.tag not in str(kept.held) + began.name
    for tag in ("", other.tag, began.tag[:-1], began.tag.upper(), "é"):
        with pytest.raises(Refusal):
            resumed.check_page(tag)


async def test_a_form_needs_the_session_s_own_secret() -> None:
    resumed = Resumed("id", a_session(), NOON, NOON, NOON)
    resumed.check_form({"csrf": resumed.session.csrf})
    for fields in ({}, {"csrf": ""}, {"csrf": resumed.session.csrf[:-1]}, {"csrf": "é"}):
        with pytest.raises(Refusal):
            resumed.check_form(fields)


async def test_a_name_that_is_no_name_asks_the_store_nothing(sessions: Sessions, kept: Kept) -> None:
    await sessions.begin(a_session(), instead_of="'; DROP TABLE viewer_session")
    await sessions.end("x")
    with pytest.raises(NotSignedIn):
        await sessions.resume("x")
    assert len(kept.held) == 1


def test_a_launch_under_way_is_this_gateway_s_and_not_too_old() -> None:
    begun = pending.begin("https://ehr.example/fhir", NOON)
    cookie = pending.seal(begun, SEALER)
    assert begun.verifier not in cookie
    assert pending.opened(cookie, SEALER, NOON) == begun
    for wrong, moment in ((cookie, NOON + pending.LASTS), ("", NOON), (cookie[:-2], NOON), ("x" * 5000, NOON)):
        with pytest.raises(NotSignedIn):
            pending.opened(wrong, SEALER, moment)
    with pytest.raises(NotSignedIn):
        pending.opened(cookie, Sealer(b"2" * 32), NOON)
    with pytest.raises(NotSignedIn):  # sealed here, for another use
        pending.opened(SEALER.seal_text("{}", "launch under way"), SEALER, NOON)
