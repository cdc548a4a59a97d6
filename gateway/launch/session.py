"""The session of somebody who signed in: kept here, sealed; the browser holds a name for it and no more.

A launched session is for one patient, from its first page to its last. A session ends when nobody used it for a while,
after some hours whatever happens, when its person signs out, and when another one in the same browser takes its place.

Staff and patients have sessions of two kinds. Each is sealed to its own kind, so that none can be opened as the other;
the browser's cookie is one, so that it holds one of them at most.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

import msgspec

from gateway.launch.refusals import forged_form, no_page, no_session, replaced
from gateway.launch.settings import SessionTimes
from gateway.observe.meters import SESSIONS
from gateway.sealed import Sealer, Unsealable
from gateway.store.moments import Clock
from gateway.store.parts.sessions import KeptSession, SessionStore

NAME_LENGTH: Final = 43
_NAME: Final = re.compile(rf"[A-Za-z0-9_-]{{{NAME_LENGTH}}}", re.ASCII)
_BYTES: Final = 32
_TAG_BYTES: Final = 15
"""A multiple of five: base32 without padding."""
_TOUCH_EVERY: Final = timedelta(minutes=1)
"""A page moves the end of the idle time on by steps no smaller than this: looking isn't worth a write each time."""


class Session(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who is signed in, and whose record is in context. All of it is sealed in the store.

    `counts_as` is the issuer whose person this is. Either `token` is that person's access token, or `claims` are what
    the registered system stated of them, signed, at the launch. `registration` names the entry of that system, which
    must still be there on each page. `encounter` is the EHR's own id.
    """

    system: str
    counts_as: str
    nhs_number: str
    csrf: str
    registration: str = ""
    token: str = ""
    claims: dict[str, Any] = {}
    encounter: str = ""
    needs_banner: bool = True
    birth_date: str | None = None

    def __repr__(self) -> str:
        return f"Session(system={self.system!r}, …)"


class PatientSession(msgspec.Struct, frozen=True, kw_only=True):
    """A patient on their own pages. All of it is sealed in the store.

    `registration` names the provider that signed them in, which must still be there on each page. `account` is a keyed
    digest of who they are there, `proofing` how far their identity was proven, `token_id` which sign-in it was.
    """

    system: str
    registration: str
    nhs_number: str
    account: str
    proofing: str
    token_id: str
    csrf: str

    def __repr__(self) -> str:
        return f"PatientSession(system={self.system!r}, …)"


Kind = TypeVar("Kind", Session, PatientSession)


@dataclass(frozen=True, slots=True)
class Began:
    """A new session: `name` is for the browser's cookie alone, `tag` for the address of its page."""

    name: str
    tag: str


@dataclass(frozen=True)
class ResumedOf(Generic[Kind]):
    """A session that holds at `now`: it ends at `idle_until` if nobody uses it, and at `ends_at` whatever happens."""

    id: str
    session: Kind
    ends_at: datetime
    idle_until: datetime
    now: datetime

    @property
    def left(self) -> timedelta:
        """Until it ends if nobody uses it."""
        return min(self.idle_until, self.ends_at) - self.now

    @property
    def may_stay(self) -> bool:
        """Whether using it moves its end on."""
        return self.idle_until < self.ends_at

    @property
    def tag(self) -> str:
        """Names this session in its page's address."""
        return _tag(self.id)

    def check_page(self, tag: str) -> None:
        """Raises Refusal unless the page with that tag is this session's own: the cookie is the whole browser's, and
        a page left open on another patient must never be filled with this one's record."""
        if not tag:
            raise no_page()
        if not hmac.compare_digest(tag.encode(), self.tag.encode()):
            raise replaced()

    def check_form(self, fields: Mapping[str, str]) -> None:
        """Raises Refusal unless the form is one that this session's own page made."""
        if not hmac.compare_digest(fields.get("csrf", "").encode(), self.session.csrf.encode()):
            raise forged_form()


class SessionsOf(Generic[Kind]):
    """Begins, resumes and ends sessions of one kind. `sealed_to` keeps it apart from every other."""

    def __init__(
        self,
        kind: type[Kind],
        sealed_to: str,
        store: SessionStore,
        sealer: Sealer,
        times: SessionTimes,
        clock: Clock,
    ) -> None:
        self._kind: type[Kind] = kind
        self._sealed_to = sealed_to
        self._store = store
        self._sealer = sealer
        self._idle = timedelta(minutes=times.idle)
        self._longest = timedelta(minutes=times.longest)
        self._clock = clock

    async def begin(
        self, session: Kind, *, name: str = "", instead_of: str = "", until: datetime | None = None
    ) -> Began:
        """What the browser is to hold: always a new name, whatever it held before (`instead_of`, which ends).

        `name`: that of its sign-in (`CodeFlow.session_of`), where it has one. `until` is when the sign-in itself ends,
        where that is sooner.
        """
        now = self._clock()
        name = name or secrets.token_urlsafe(_BYTES)
        session_id = self._id(name)
        ends_at = min(now + self._longest, until or now + self._longest)
        kept = KeptSession(
            id=session_id,
            sealed=self._sealer.seal_text(msgspec.json.encode(session).decode(), self._bound(session_id)),
            idle_until=min(now + self._idle, ends_at),
            ends_at=ends_at,
        )
        await self._store.keep_session(kept, now, self._id(instead_of) if _NAME.fullmatch(instead_of) else None)
        self._count("began")
        return Began(name, _tag(session_id))

    async def resume(self, name: str) -> ResumedOf[Kind]:
        """The session of that name, which goes on. Raises NotSignedIn where there is none that holds."""
        resumed = await self.standing(name)
        idle_until = min(resumed.now + self._idle, resumed.ends_at)
        if idle_until - resumed.idle_until < min(_TOUCH_EVERY, self._idle / 4):
            return resumed
        await self._store.touch_session(resumed.id, idle_until)
        return replace(resumed, idle_until=idle_until)

    async def standing(self, name: str) -> ResumedOf[Kind]:
        """The same, only asked for: nothing is prolonged. Raises NotSignedIn."""
        kept = await self._store.session(self._id(name)) if _NAME.fullmatch(name) else None
        now = self._clock()
        if kept is None or now >= min(kept.idle_until, kept.ends_at):
            raise no_session()
        return ResumedOf(kept.id, self._opened(kept), kept.ends_at, kept.idle_until, now)

    async def end(self, name: str) -> None:
        """It holds no more, in any worker. Again is harmless."""
        if _NAME.fullmatch(name):
            await self._store.end_session(self._id(name))
            self._count("ended")

    def _count(self, what: str) -> None:
        SESSIONS.labels("staff" if self._kind is Session else "patient", what).inc()

    def _opened(self, kept: KeptSession) -> Kind:
        """Raises NotSignedIn for one of the other kind, too."""
        try:
            sealed_in = self._sealer.open_text(kept.sealed, self._bound(kept.id))
            session: Kind = msgspec.json.decode(sealed_in, type=self._kind)
        except (Unsealable, msgspec.DecodeError) as error:
            raise no_session() from error
        return session

    def _id(self, name: str) -> str:
        return self._sealer.question_tag(f"viewer session {name}")

    def _bound(self, session_id: str) -> str:
        return f"{self._sealed_to} {session_id}"


Resumed = ResumedOf[Session]
ResumedPatient = ResumedOf[PatientSession]


class Sessions(SessionsOf[Session]):
    """Those of staff."""

    def __init__(self, store: SessionStore, sealer: Sealer, times: SessionTimes, clock: Clock) -> None:
        super().__init__(Session, "viewer session", store, sealer, times, clock)


class PatientSessions(SessionsOf[PatientSession]):
    """Those of patients."""

    def __init__(self, store: SessionStore, sealer: Sealer, times: SessionTimes, clock: Clock) -> None:
        super().__init__(PatientSession, "patient session", store, sealer, times, clock)


def new_csrf() -> str:
    """The secret that a session's own forms carry."""
    return secrets.token_urlsafe(_BYTES)


def _tag(session_id: str) -> str:
    """Worth nothing to whoever reads it in an address: neither the cookie nor the store's id follows from it. Letters
    and the digits 2 to 7, so that no run of it could be taken for an NHS number."""
    digest = hashlib.blake2b(session_id.encode(), digest_size=_TAG_BYTES, person=b"viewer page").digest()
    return base64.b32encode(digest).decode().lower()
