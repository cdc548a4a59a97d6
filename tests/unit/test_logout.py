"""Back-channel logout: every validation of section 2.6, what it ends, and for how long that is remembered."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import pytest
from joserfc.jwk import ECKey

from gateway.caller.admission import Admission
from gateway.caller.keys import Keys
from gateway.caller.logout import EVENT, LogoutRefused, Logouts
from gateway.caller.presented import Presented
from gateway.caller.refusals import SignInUnavailable
from gateway.caller.settings import IssuerSettings
from gateway.caller.tokens import LEEWAY_SECONDS, LONGEST_LIFE_SECONDS, MOST_CHARACTERS, Tokens
from gateway.demo.identity import Demo
from gateway.errors import NotSignedIn
from tests.marks import Marks, no_guards
from tests.proofs import b64, signed

ISSUER: Final = "https://issuer.test/demo"
OTHER: Final = "https://other.test/demo"
AUDIENCE: Final = "connect-care"
NOW: Final = 1_800_000_000.0
WHO: Final = "555000000101"


class Bench:
    """Two issuers, a clock that the test turns, and the way in as every worker has it."""

    def __init__(self, **settings: Any) -> None:
        self.now = NOW
        self.ours = Demo(ISSUER, AUDIENCE, clock=lambda: self.now)
        self.other = Demo(OTHER, AUDIENCE, clock=lambda: self.now)
        self.broken = False
        issuers = [
            IssuerSettings(issuer=name, audience=AUDIENCE, algorithms=("ES256",), **settings)
            for name in (ISSUER, OTHER)
        ]
        keys = Keys(issuers, self._fetch, allow_demo=True, clock=lambda: self.now)
        self.marks = Marks()
        self.logouts = Logouts(issuers, keys, self.marks, clock=lambda: self.now)
        self.admission = Admission(Tokens(issuers, keys, clock=lambda: self.now), no_guards(self.marks))

    async def _fetch(self, url: str) -> bytes:
        if self.broken:
            raise OSError("down")
        return await (self.ours if url.startswith(ISSUER) else self.other).fetch(url)

    def logout_token(self, *, header: dict[str, Any] | None = None, demo: Demo | None = None, **claims: Any) -> str:
        demo = demo or self.ours
        head = {"typ": "logout+jwt", "alg": "ES256", "kid": demo.key.kid, **(header or {})}
        said = {
            "iss": demo.issuer,
            "aud": AUDIENCE,
            "iat": int(self.now),
            "exp": int(self.now) + 120,
            "jti": f"j{len(self.marks.burnt)}",
            "events": {EVENT: {}},
            "sid": "session-1",
        }
        return signed(head, said | claims, demo.key)

    async def admits(self, demo: Demo | None = None, **claims: Any) -> bool:
        """Whether a token of that session or person, issued now unless it says otherwise, is accepted."""
        token = (demo or self.ours).mint("gp", claims={"sub": WHO, **claims})
        try:
            await self.admission.admit(Presented.bearing(token))
        except NotSignedIn as refused:
            if refused.rule not in ("token.revoked", "token.expired") or "Sign in again" not in refused.told:
                raise
            return False
        return True


async def test_a_session_that_was_ended_is_over() -> None:
    bench = Bench()
    assert await bench.admits(sid="session-1")
    await bench.logouts.end(bench.logout_token())
    assert not await bench.admits(sid="session-1")
    assert not await bench.admits(sid="session-1", iat=NOW - 3600)
    assert await bench.admits(sid="session-2"), "the same person's other session goes on"
    assert await bench.admits(demo=bench.other, sid="session-1"), "another issuer's session of the same name"


async def test_a_session_does_not_come_back() -> None:
    bench = Bench()
    await bench.logouts.end(bench.logout_token())
    bench.now += 60
    assert not await bench.admits(sid="session-1")


async def test_without_sid_everything_of_the_person_until_then_is_over() -> None:
    bench = Bench()
    await bench.logouts.end(bench.logout_token(sid=None, sub=WHO))
    assert not await bench.admits(sid="session-1")
    assert not await bench.admits(sid="session-2")
    assert not await bench.admits()
    assert await bench.admits(sub="555000000102")
    bench.now += 1
    assert await bench.admits(sid="session-3"), "they signed in again"
    assert not await bench.admits(sid="session-3", iat=NOW), "in the same second: nobody can tell which was first"
    assert not await bench.admits(sid="session-3", iat=NOW + 0.9)


async def test_with_both_tokens_that_name_no_session_are_over_too() -> None:
    bench = Bench()
    await bench.logouts.end(bench.logout_token(sub=WHO))
    assert not await bench.admits(sid="session-1")
    assert not await bench.admits(), "it may be of the session that was ended"
    assert await bench.admits(sid="session-2")
    bench.now += 1
    assert await bench.admits()


async def test_a_token_that_was_accepted_before_is_refused_at_its_next_use() -> None:
    bench = Bench()
    presented = Presented.bearing(bench.ours.mint("gp", claims={"sid": "session-1"}))
    verified = await bench.admission.admit(presented)
    await bench.logouts.end(bench.logout_token())
    for again in (presented, Presented.stated(verified)):
        with pytest.raises(NotSignedIn) as refused:
            await bench.admission.admit(again)
        assert refused.value.rule == "token.revoked"


async def test_what_was_revoked_is_kept_for_as_long_as_any_such_token_could_be_used() -> None:
    bench = Bench()
    await bench.logouts.end(bench.logout_token(sub=WHO))
    for revoked in bench.marks.revoked.values():
        assert revoked.expires.timestamp() == NOW + LONGEST_LIFE_SECONDS + LEEWAY_SECONDS
    bench.now = NOW + LONGEST_LIFE_SECONDS - 1
    assert await bench.admits(sid="session-9", iat=NOW, exp=2**40)
    bench.now = NOW + LONGEST_LIFE_SECONDS
    assert not await bench.admits(sid="session-9", iat=NOW, exp=2**40), "no token is accepted for longer than a day"


async def test_plain_jwt_as_older_issuers_write_is_accepted() -> None:
    bench = Bench()
    await bench.logouts.end(bench.logout_token(header={"typ": "JWT"}))
    await bench.logouts.end(bench.logout_token(aud=["another", AUDIENCE], events={EVENT: {}, "another": {}}))


async def test_the_gateway_may_have_another_name_at_logout() -> None:
    bench = Bench(logout_audience="the-viewer")
    await bench.logouts.end(bench.logout_token(aud="the-viewer"))
    with pytest.raises(LogoutRefused, match="aud"):
        await bench.logouts.end(bench.logout_token())


def changed(**claims: Any) -> Callable[[Bench], str]:
    return lambda bench: bench.logout_token(**claims)


def headed(**members: Any) -> Callable[[Bench], str]:
    return lambda bench: bench.logout_token(header=members)


def _encrypted(bench: Bench) -> str:
    return bench.logout_token() + ".AAAA.AAAA"


def _unsigned(bench: Bench) -> str:
    _, payload, _ = bench.logout_token().split(".")
    return f"{b64(json.dumps({'typ': 'logout+jwt', 'alg': 'none'}).encode())}.{payload}.AAAA"


def _of_a_stranger(bench: Bench) -> str:
    bench.other.key = ECKey.generate_key("P-256", {"kid": bench.ours.key.kid or ""})
    return bench.logout_token(demo=bench.other, iss=ISSUER)


REFUSED: Final[dict[str, tuple[str, Callable[[Bench], str]]]] = {
    "step 1: encrypted": ("not three parts", _encrypted),
    "step 2: alg none": ("alg", _unsigned),
    "step 2: an algorithm that the issuer doesn't use": (
        "alg",
        lambda b: (
            b64(json.dumps({"typ": "logout+jwt", "alg": "RS256"}).encode())
            + b.logout_token()[b.logout_token().index(".") :]
        ),
    ),
    "step 2: somebody else signed": ("signature", _of_a_stranger),
    "step 2: a key that nobody knows": ("signature", headed(kid="another")),
    "step 2: kid a number": ("kid", headed(kid=7)),
    "step 2: a key of its own": ("header", headed(jku="https://evil.test")),
    "step 3: iss of nobody": ("iss", changed(iss="https://evil.test")),
    "step 3: iss a list": ("iss", changed(iss=[ISSUER])),
    "step 3: iss of the other": ("signature", changed(iss=OTHER)),
    "step 3: aud of another": ("aud", changed(aud="another")),
    "step 3: aud missing": ("aud", changed(aud=None)),
    "step 3: aud an object": ("aud", changed(aud={AUDIENCE: 1})),
    "step 3: iat missing": ("iat", changed(iat=None)),
    "step 3: iat text": ("iat", changed(iat="1")),
    "step 3: iat ahead": ("iat", changed(iat=NOW + 31, exp=NOW + 60)),
    "step 3: exp missing": ("exp", changed(exp=None)),
    "step 3: exp true": ("exp", changed(exp=True)),
    "step 3: exp now": ("exp", changed(exp=NOW)),
    "step 3: exp in a year": ("exp", changed(exp=NOW + 365 * 86400)),
    "step 3: exp beyond all dates": ("exp", changed(exp=10**300)),
    "step 4: neither sid nor sub": ("sid and sub", changed(sid=None)),
    "step 4: sid empty": ("sid", changed(sid="")),
    "step 4: sub a number": ("sub", changed(sub=7)),
    "step 5: no events": ("events", changed(events=None)),
    "step 5: another event": ("events", changed(events={"another": {}})),
    "step 5: events a list": ("events", changed(events=[EVENT])),
    "step 5: the event's value no object": ("events", changed(events={EVENT: True})),
    "step 6: a nonce": ("nonce", changed(nonce="n")),
    "step 7: no jti": ("jti", changed(jti=None)),
    "step 7: jti enormous": ("jti", changed(jti="j" * 513)),
    "typ of an access token": ("header", headed(typ="at+jwt")),
    "typ missing": ("header", headed(typ=None)),
    "an ID token": ("aud", lambda b: b.ours.mint_id_token("gp", client_id="viewer", nonce="n")),
    "not a token": ("not three parts", lambda _: "abc"),
    "nothing": ("not three parts", lambda _: ""),
    "enormous": ("characters", lambda _: "a" * (MOST_CHARACTERS + 1)),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_logout_token_that_fails_a_validation_ends_nothing(name: str) -> None:
    bench = Bench()
    why, make = REFUSED[name]
    with pytest.raises(LogoutRefused, match=why):
        await bench.logouts.end(make(bench))
    assert bench.marks.burnt == {}
    assert bench.marks.revoked == {}


async def test_a_logout_token_is_good_once() -> None:
    bench = Bench()
    token = bench.logout_token(sid=None, sub=WHO)
    await bench.logouts.end(token)
    bench.now += 1
    with pytest.raises(LogoutRefused, match="used before"):
        await bench.logouts.end(token)
    assert await bench.admits()


async def test_the_same_jti_of_another_issuer_is_another() -> None:
    bench = Bench()
    await bench.logouts.end(bench.logout_token(jti="same"))
    await bench.logouts.end(bench.logout_token(jti="same", demo=bench.other))


async def test_without_the_issuers_keys_nobody_can_tell() -> None:
    bench = Bench()
    bench.broken = True
    with pytest.raises(SignInUnavailable):
        await bench.logouts.end(bench.logout_token())
