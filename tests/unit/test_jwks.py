"""The issuers' keys: fetched seldom, trusted briefly, and never because an attacker asks."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import pytest
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from pydantic import ValidationError

from gateway.caller.issuer_document import MOST_BYTES
from gateway.caller.jwk import NoSuchKey, read_key_set
from gateway.caller.keys import Keys, KeysUnavailable, KeyTimes
from gateway.caller.settings import IssuerSettings
from tests.leaping import BACKEND

ISSUER: Final = "https://issuer.test"
JWKS: Final = f"{ISSUER}/jwks"
DISCOVERY: Final = f"{ISSUER}/.well-known/openid-configuration"


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Seconds of this module pass by leaps: none of it depends on how fast the machine is."""
    return BACKEND


def key(kid: str) -> Key:
    return ECKey.generate_key("P-256", {"kid": kid, "use": "sig"})


class Issuer:
    """An issuer whose documents, speed and faults a test sets; `asked` lists every fetch."""

    def __init__(self, *kids: str, configured: bool = True, **settings: Any) -> None:
        self.now = 0.0
        self.documents: dict[str, Any] = {DISCOVERY: {"issuer": ISSUER, "jwks_uri": JWKS}}
        self.publish(*[key(kid) for kid in kids])
        self.asked: list[str] = []
        self.delay = 0.0
        self.fault: Exception | None = None
        at = {"jwks_uri": JWKS} if configured else {}
        self.settings = IssuerSettings(issuer=ISSUER, audience="a", algorithms=("ES256",), **at, **settings)
        self.keys = self.opened()

    def opened(self, *, allow_demo: bool = False) -> Keys:
        return Keys([self.settings], self.fetch, allow_demo=allow_demo, clock=lambda: self.now)

    def publish(self, *keys: Key) -> None:
        self.documents[JWKS] = {"keys": [each.as_dict(private=False) for each in keys]}

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        await asyncio.sleep(self.delay)
        if self.fault is not None:
            raise self.fault
        document = self.documents[url]
        return document if isinstance(document, bytes) else json.dumps(document).encode()

    async def finds(self, kid: str | None) -> bool:
        try:
            await self.keys.key(ISSUER, kid, "ES256")
        except NoSuchKey:
            return False
        return True


async def test_keys_are_fetched_once_while_fresh() -> None:
    issuer = Issuer("a")
    assert all([await issuer.finds("a") for _ in range(50)])
    issuer.now = 299
    assert await issuer.finds("a")
    assert issuer.asked == [JWKS]
    issuer.now = 300
    assert await issuer.finds("a")
    assert issuer.asked == [JWKS, JWKS]


async def test_a_hundred_at_once_make_one_fetch() -> None:
    issuer = Issuer("a")
    issuer.delay = 0.01
    assert all(await asyncio.gather(*[issuer.finds("a") for _ in range(100)]))
    assert issuer.asked == [JWKS]


async def test_one_who_gives_up_waiting_does_not_stop_it_for_the_others() -> None:
    issuer = Issuer("a")
    issuer.delay = 0.02
    impatient = asyncio.create_task(issuer.finds("a"))
    patient = asyncio.create_task(issuer.finds("a"))
    await asyncio.sleep(0.005)
    impatient.cancel()
    assert await patient
    assert issuer.asked == [JWKS]


async def test_a_new_key_is_found_by_its_unknown_kid() -> None:
    issuer = Issuer("a")
    assert await issuer.finds("a")
    issuer.publish(key("a"), key("b"))
    issuer.now = 30
    assert await issuer.finds("b")
    assert len(issuer.asked) == 2


async def test_a_storm_of_unknown_kids_makes_one_fetch_in_thirty_seconds() -> None:
    issuer = Issuer("a")
    assert await issuer.finds("a")
    for second in range(120):
        issuer.now = float(second)
        found = await asyncio.gather(*[issuer.finds(f"made-up-{second}-{number}") for number in range(20)])
        assert not any(found)
    assert len(issuer.asked) == 4, "the first, and those at 30, 60 and 90 seconds"


async def test_a_storm_on_a_cold_start_makes_one_fetch() -> None:
    issuer = Issuer("a")
    issuer.delay = 0.01
    assert not any(await asyncio.gather(*[issuer.finds(f"made-up-{number}") for number in range(100)]))
    assert issuer.asked == [JWKS]


async def test_a_removed_key_is_refused_at_the_next_fetch() -> None:
    issuer = Issuer("a", "b")
    assert await issuer.finds("a")
    issuer.publish(key("b"))
    issuer.now = 299
    assert await issuer.finds("a")
    issuer.now = 300
    assert not await issuer.finds("a")


async def test_an_issuer_that_publishes_no_keys_is_believed() -> None:
    issuer = Issuer("a")
    assert await issuer.finds("a")
    issuer.publish()
    issuer.now = 300
    assert not await issuer.finds("a")


FAULTS: Final[dict[str, Any]] = {
    "unreachable": OSError("no route"),
    "a redirect, as the transport reports it": ValueError("redirect"),
    "too large": b'{"keys": [' + b" " * MOST_BYTES + b"]}",
    "not JSON": b"<html>",
    "repeated keys": b'{"keys": [], "keys": []}',
    "a list": b"[]",
    "no keys member": b"{}",
    "keys an object": b'{"keys": {}}',
}


@pytest.mark.parametrize("name", FAULTS)
async def test_after_a_failed_refresh_the_old_keys_serve_for_an_hour(name: str) -> None:
    issuer = Issuer("a")
    assert await issuer.finds("a")
    if isinstance(FAULTS[name], Exception):
        issuer.fault = FAULTS[name]
    else:
        issuer.documents[JWKS] = FAULTS[name]
    issuer.now = 3599
    assert await issuer.finds("a")
    asked = len(issuer.asked)
    assert await issuer.finds("a")
    assert len(issuer.asked) == asked, "after a failure the next attempt waits"
    issuer.now = 3600
    with pytest.raises(KeysUnavailable):
        await issuer.finds("a")


async def test_while_an_issuer_is_slow_and_failing_nobody_waits_for_it() -> None:
    issuer = Issuer("a")
    assert await issuer.finds("a")
    issuer.fault = OSError("down")
    issuer.now = 300
    assert await issuer.finds("a")
    issuer.delay = 0.05
    issuer.now = 330
    started = asyncio.get_running_loop().time()
    assert await issuer.finds("a")
    assert asyncio.get_running_loop().time() - started < 0.04
    await asyncio.sleep(0.08)
    assert len(issuer.asked) == 3
    issuer.fault = None
    issuer.publish(key("b"))
    issuer.now = 360
    assert await issuer.finds("a"), "the old keys serve until the refresh is there"
    await asyncio.sleep(0.08)
    assert not await issuer.finds("a")


async def test_keys_come_back_when_the_issuer_does() -> None:
    issuer = Issuer("a")
    issuer.fault = OSError("down")
    with pytest.raises(KeysUnavailable):
        await issuer.finds("a")
    with pytest.raises(KeysUnavailable):
        await issuer.finds("a")
    assert len(issuer.asked) == 1
    issuer.fault = None
    issuer.now = 2
    assert await issuer.finds("a")


async def test_a_slow_issuer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.caller.keys.MOST_SECONDS", 0.02)
    issuer = Issuer("a")
    issuer.delay = 5
    started = asyncio.get_running_loop().time()
    with pytest.raises(KeysUnavailable):
        await issuer.finds("a")
    assert asyncio.get_running_loop().time() - started < 1


async def test_closing_ends_a_refresh_under_way() -> None:
    issuer = Issuer("a")
    issuer.delay = 60
    waiting = asyncio.create_task(issuer.finds("a"))
    await asyncio.sleep(0.01)
    await issuer.keys.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await issuer.keys.aclose()


async def test_the_times_can_be_set() -> None:
    issuer = Issuer("a")
    keys = Keys([issuer.settings], issuer.fetch, clock=lambda: issuer.now, times=KeyTimes(fresh=40))
    await keys.key(ISSUER, "a", "ES256")
    issuer.now = 40
    with pytest.raises(NoSuchKey):
        await keys.key(ISSUER, "b", "ES256")
    assert len(issuer.asked) == 2


async def test_the_address_of_the_keys_comes_from_discovery() -> None:
    issuer = Issuer("a", configured=False)
    assert await issuer.finds("a")
    assert issuer.asked == [DISCOVERY, JWKS]


DISCOVERED: Final[dict[str, Any]] = {
    "another issuer's": {"issuer": "https://evil.test", "jwks_uri": JWKS},
    "the issuer with a slash more": {"issuer": f"{ISSUER}/", "jwks_uri": JWKS},
    "no issuer": {"jwks_uri": JWKS},
    "no jwks_uri": {"issuer": ISSUER},
    "plain http": {"issuer": ISSUER, "jwks_uri": "http://issuer.test/jwks"},
    "plain http on loopback, not allowed": {"issuer": ISSUER, "jwks_uri": "http://127.0.0.1/jwks"},
    "a file": {"issuer": ISSUER, "jwks_uri": "file:///etc/passwd"},
    "a list": [],
    "the demo's": {"issuer": ISSUER, "jwks_uri": JWKS, "connect_care_demo": True},
    "the demo's, saying it isn't": {"issuer": ISSUER, "jwks_uri": JWKS, "connect_care_demo": False},
}


@pytest.mark.parametrize("name", DISCOVERED)
async def test_a_discovery_document_that_is_not_believed(name: str) -> None:
    issuer = Issuer("a", configured=False)
    issuer.documents[DISCOVERY] = DISCOVERED[name]
    with pytest.raises(KeysUnavailable):
        await issuer.finds("a")
    assert issuer.asked == [DISCOVERY], "nothing that it names is fetched"


async def test_the_demos_keys_are_refused_unless_allowed_even_where_their_address_is_configured() -> None:
    issuer = Issuer("a")
    issuer.documents[JWKS] |= {"connect_care_demo": True}
    with pytest.raises(KeysUnavailable):
        await issuer.finds("a")
    assert await issuer.opened(allow_demo=True).key(ISSUER, "a", "ES256")


def usable(*keys: dict[str, Any]) -> int:
    return len(read_key_set(json.dumps({"keys": keys}).encode(), allow_demo=False))


def test_only_keys_that_can_verify_signatures_are_taken() -> None:
    ec = key("a").as_dict(private=False)
    rsa = RSAKey.generate_key(2048).as_dict(private=False)
    assert usable(ec, rsa, OKPKey.generate_key("Ed25519").as_dict(private=False)) == 3
    assert usable(ec | {"use": "enc"}) == 0
    assert usable(ec | {"key_ops": ["encrypt"]}) == 0
    assert usable(ec | {"key_ops": ["verify"]}) == 1
    assert usable(key("a").as_dict(private=True)) == 0, "a private key that is public belongs to everybody"
    assert usable(OctKey.generate_key(256).as_dict(private=True)) == 0
    assert usable(ECKey.generate_key("P-384").as_dict(private=False)) == 1
    assert usable(ECKey.generate_key("P-521").as_dict(private=False)) == 0
    assert usable(OKPKey.generate_key("Ed448").as_dict(private=False)) == 0
    assert usable(ec | {"kid": 1}, ec | {"x": "AAAA"}, {"kty": "EC"}, {}, [], "key", None) == 0  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:Key size should be")  # from making it; reading must not warn
def test_rsa_keys_must_be_of_an_accepted_size() -> None:
    rsa = RSAKey.generate_key(2048).as_dict(private=False)
    assert usable(RSAKey.generate_key(1024).as_dict(private=False)) == 0
    assert usable(rsa | {"n": "_" * 2000}) == 0
    assert usable(rsa | {"e": "AQ"}) == 0
    assert usable(rsa | {"e": "AA"}) == 0


def test_a_key_serves_only_the_algorithm_that_it_names() -> None:
    rsa = RSAKey.generate_key(2048, {"kid": "r", "alg": "PS256"}).as_dict(private=False)
    keys = read_key_set(json.dumps({"keys": [rsa]}).encode(), allow_demo=False)
    assert keys.pick("r", "PS256").kid == "r"
    for kid, algorithm in (("r", "RS256"), ("r", "ES256"), ("s", "PS256")):
        with pytest.raises(NoSuchKey):
            keys.pick(kid, algorithm)


def test_the_kid_is_needed_where_there_are_several_keys_and_must_name_one() -> None:
    one, two = key("a").as_dict(private=False), key("b").as_dict(private=False)
    keys = read_key_set(json.dumps({"keys": [one, two]}).encode(), allow_demo=False)
    assert keys.pick("b", "ES256").kid == "b"
    with pytest.raises(NoSuchKey):
        keys.pick(None, "ES256")
    same_name = read_key_set(json.dumps({"keys": [one, two | {"kid": "a"}]}).encode(), allow_demo=False)
    with pytest.raises(NoSuchKey):
        same_name.pick("a", "ES256")


SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "plain http": {"issuer": "http://issuer.test"},
    "plain http on loopback, not allowed": {"issuer": "http://127.0.0.1:9/demo"},
    "plain http elsewhere, loopback allowed": {"issuer": "http://issuer.test", "allow_insecure_loopback": True},
    "a name that only looks like loopback": {"issuer": "http://127.0.0.1.evil.test", "allow_insecure_loopback": True},
    "plain http for the keys": {"jwks_uri": "http://issuer.test/jwks"},
    "a query": {"issuer": "https://issuer.test?a=b"},
    "a fragment": {"issuer": "https://issuer.test#a"},
    "a user": {"issuer": "https://issuer.test@evil.test"},
    "no host": {"issuer": "https:///demo"},
    "a bar": {"issuer": "https://issuer.test/a|b"},
    "a line break": {"issuer": "https://issuer.test/\n"},
    "no algorithm": {"algorithms": ()},
    "alg none": {"algorithms": ("none",)},
    "HS256": {"algorithms": ("RS256", "HS256")},
    "an unknown setting": {"verify": False},
    "an unknown mapping": {"claims": "somebody-elses"},
    "no audience": {"audience": ""},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_that_would_weaken_the_check_are_refused(name: str) -> None:
    good: dict[str, Any] = {"issuer": ISSUER, "audience": "a", "algorithms": ("RS256",)}
    assert IssuerSettings(**good)
    with pytest.raises(ValidationError):
        IssuerSettings(**(good | SETTINGS[name]))


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "[::1]:8000", "localhost"])
def test_loopback_may_be_plain_http_where_that_is_allowed(host: str) -> None:
    settings = {"audience": "a", "algorithms": ("RS256",), "allow_insecure_loopback": True}
    assert IssuerSettings(issuer=f"http://{host}/demo", **settings)
