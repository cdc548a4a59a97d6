"""Proof of who we are: each scheme against a token endpoint or a TLS server of the test's own."""

from __future__ import annotations

import asyncio
import base64
import datetime
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx2
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from pydantic import TypeAdapter, ValidationError

from connectors.sdk import tokens
from connectors.sdk.auth import AuthSettings, TlsSettings, authorizer, tls_context
from connectors.sdk.errors import (
    ConfigurationError,
    NotUnderstood,
    Refused,
    SourceError,
    SourceTimeout,
    TooMuch,
    Unreachable,
    Unwell,
    WrongContent,
)
from connectors.sdk.http import AiohttpTransport, Httpx2Transport, Limits, SourceClient
from tests.authority import Authority, pem
from tests.leaping import BACKEND
from tests.wire import BUNDLE, Line, reply, saying, serving, soon

TOKEN_URL = "https://tokens.test/oauth/token"
SECRET = "s3cret-of-the-source"

read_auth = TypeAdapter(AuthSettings).validate_python


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """Seconds pass by leaps, but where the world stands behind a socket."""
    return BACKEND if "world" in request.fixturenames else "asyncio"


@dataclass
class World:
    """A token endpoint and a source in one ASGI app. `answers` come first; then every token is `token-N` for 300 s."""

    answers: list[Any] = field(default_factory=list)
    token_calls: list[dict[str, Any]] = field(default_factory=list)
    source_calls: list[str] = field(default_factory=list)
    refuse: set[str] = field(default_factory=set)
    delay: float = 0.0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        body = (await receive()).get("body", b"")
        if scope["path"] == "/oauth/token":
            self.token_calls.append({"headers": headers, "form": parse_qs(body.decode()), "method": scope["method"]})
            await asyncio.sleep(self.delay)
            answer = self.answers.pop(0) if self.answers else {}
            status, told = answer if isinstance(answer, tuple) else (200, answer)
            if isinstance(told, dict):
                fresh = {"access_token": f"token-{len(self.token_calls)}", "token_type": "Bearer", "expires_in": 300}
                told = msgspec.json.encode({**fresh, **told})
        else:
            self.source_calls.append(headers.get("authorization", ""))
            status, told = (401 if self.source_calls[-1] in self.refuse else 200), BUNDLE
        kind = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": kind})
        await send({"type": "http.response.body", "body": told})


@pytest.fixture
def world() -> World:
    return World()


Connect = Callable[..., Any]


@pytest.fixture
def connected(world: World) -> Connect:
    """`async with connected(auth) as client`, towards the world."""

    @asynccontextmanager
    async def client(auth: Any) -> AsyncIterator[SourceClient]:
        transport = Httpx2Transport(Limits(), httpx2.ASGITransport(app=world))
        proof = authorizer(auth, transport=transport)
        source = SourceClient("http://source.test/fhir", transport, authorize=proof)
        try:
            yield source
        finally:
            await source.aclose()

    return client


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    return file


def credentials(secret_file: Path, **more: Any) -> Any:
    given = {"scheme": "client-credentials", "token_url": TOKEN_URL, "client_id": "gateway", "secret_file": secret_file}
    return read_auth({**given, **more})


def signed(folder: Path, algorithm: str = "ES384", key: Any = None, **more: Any) -> Any:
    made = key or (
        ec.generate_private_key(ec.SECP384R1())
        if algorithm == "ES384"
        else rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )
    (folder / "key.pem").write_bytes(pem(made))
    given = {"scheme": "smart-backend-services", "token_url": TOKEN_URL, "client_id": "gateway", "kid": "k1"}
    return read_auth({**given, "algorithm": algorithm, "key_file": folder / "key.pem", **more})


# ---- the schemes ----


async def test_no_scheme_adds_nothing(world: World, connected: Connect) -> None:
    async with connected(read_auth({"scheme": "none"})) as client:
        await client.get("Patient", deadline=soon())
    assert world.source_calls == [""]
    assert world.token_calls == []


async def test_a_fixed_header_goes_with_every_call(world: World, connected: Connect, secret_file: Path) -> None:
    auth = read_auth({"scheme": "header", "name": "Authorization", "value_file": secret_file})
    async with connected(auth) as client:
        await client.get("Patient", deadline=soon())
        await client.post("Patient/$match", b"{}", deadline=soon())
    assert world.source_calls == [SECRET, SECRET]


async def test_the_secret_goes_in_the_header_or_in_the_body(
    world: World, connected: Connect, secret_file: Path
) -> None:
    for method in ("client_secret_basic", "client_secret_post"):
        async with connected(credentials(secret_file, method=method, scope="system/*.rs")) as client:
            assert await client.get("Patient", deadline=soon()) == BUNDLE
    basic, post = world.token_calls
    assert base64.b64decode(basic["headers"]["authorization"].removeprefix("Basic ")).decode() == f"gateway:{SECRET}"
    assert "client_secret" not in basic["form"]
    assert "authorization" not in post["headers"]
    assert post["form"]["client_secret"] == [SECRET]
    assert post["form"]["client_id"] == ["gateway"]
    for call in world.token_calls:
        assert call["method"] == "POST"
        assert call["form"]["grant_type"] == ["client_credentials"]
        assert call["form"]["scope"] == ["system/*.rs"]
        assert call["headers"]["content-type"] == "application/x-www-form-urlencoded"
        assert call["headers"]["accept"] == "application/json"
    assert world.source_calls == ["Bearer token-1", "Bearer token-2"]


@pytest.mark.parametrize("algorithm", ["ES384", "RS384"])
async def test_the_assertion_is_what_smart_asks_for(
    world: World, connected: Connect, tmp_path: Path, algorithm: str
) -> None:
    auth = signed(tmp_path, algorithm)
    world.answers = [{"expires_in": 0.001}] * 3
    async with connected(auth) as client:
        for _ in range(3):
            await client.get("Patient", deadline=soon())
            await asyncio.sleep(0.002)
    kind = ECKey if algorithm == "ES384" else RSAKey
    key = kind.import_key(auth.key_file.read_bytes())
    seen = []
    for call in world.token_calls:
        assert call["form"]["client_assertion_type"] == ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"]
        assert call["form"]["scope"] == ["system/*.rs"]
        token = jwt.decode(call["form"]["client_assertion"][0], key, algorithms=[algorithm])
        assert token.header == {"alg": algorithm, "kid": "k1", "typ": "JWT"}
        assert (token.claims["iss"], token.claims["sub"], token.claims["aud"]) == ("gateway", "gateway", TOKEN_URL)
        now = datetime.datetime.now(datetime.UTC).timestamp()
        assert now < token.claims["exp"] <= now + 300
        seen.append(token.claims["jti"])
    assert len(set(seen)) == 3
    assert all(len(jti) >= 20 for jti in seen)


# ---- a token's life ----


async def test_a_token_is_used_again_until_shortly_before_it_ends(
    world: World, connected: Connect, secret_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "_RENEW_BEFORE", 0.2)
    world.answers = [{"expires_in": 0.5}]
    async with connected(credentials(secret_file)) as client:
        for _ in range(5):
            await client.get("Patient", deadline=soon())
        assert len(world.token_calls) == 1
        await asyncio.sleep(0.35)
        await client.get("Patient", deadline=soon())
    assert world.source_calls == ["Bearer token-1"] * 5 + ["Bearer token-2"]


@pytest.mark.parametrize("lifetime", [None, 300, "599", 1e308, 3600.5])
async def test_a_lifetime_is_a_number_text_or_left_out(
    world: World, connected: Connect, secret_file: Path, lifetime: Any
) -> None:
    answer = {"access_token": "token-1", "token_type": "bearer"} | (
        {} if lifetime is None else {"expires_in": lifetime}
    )
    world.answers = [(200, msgspec.json.encode(answer))]
    async with connected(credentials(secret_file)) as client:
        for _ in range(3):
            await client.get("Patient", deadline=soon())
    assert world.source_calls == ["Bearer token-1"] * 3


async def test_a_token_that_never_ends_is_fetched_anew_after_an_hour(
    world: World, connected: Connect, secret_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "_LONGEST_LIFETIME", 0.1)
    world.answers = [{"expires_in": 1e15}]
    async with connected(credentials(secret_file)) as client:
        await client.get("Patient", deadline=soon())
        await asyncio.sleep(0.11)
        await client.get("Patient", deadline=soon())
    assert world.source_calls == ["Bearer token-1", "Bearer token-2"]


async def test_fifty_at_once_make_one_token_call(world: World, connected: Connect, secret_file: Path) -> None:
    world.delay = 0.05
    async with connected(credentials(secret_file)) as client:
        await asyncio.gather(*(client.get("Patient", deadline=soon()) for _ in range(50)))
    assert len(world.token_calls) == 1
    assert world.source_calls == ["Bearer token-1"] * 50


async def test_fifty_at_once_share_one_failure_and_the_next_asks_anew(
    world: World, connected: Connect, secret_file: Path
) -> None:
    world.delay = 0.05
    world.answers = [(503, b"{}")]
    async with connected(credentials(secret_file)) as client:
        failed = await asyncio.gather(
            *(client.get("Patient", deadline=soon()) for _ in range(50)), return_exceptions=True
        )
        assert {type(outcome) for outcome in failed} == {Unwell}
        assert (len(world.token_calls), world.source_calls, client.calls) == (1, [], 0)
        assert await client.get("Patient", deadline=soon()) == BUNDLE
    assert len(world.token_calls) == 2


async def test_each_waits_for_a_token_only_until_its_own_deadline(
    world: World, connected: Connect, secret_file: Path
) -> None:
    world.delay = 0.3
    async with connected(credentials(secret_file)) as client:
        hasty = asyncio.create_task(client.get("Patient", deadline=soon(0.1)))
        patient = asyncio.create_task(client.get("Patient", deadline=soon(2)))
        with pytest.raises(SourceTimeout):
            await hasty
        assert await patient == BUNDLE
    assert len(world.token_calls) == 1


async def test_a_token_nobody_waits_for_any_more_serves_the_next(
    world: World, connected: Connect, secret_file: Path
) -> None:
    world.delay = 0.2
    async with connected(credentials(secret_file)) as client:
        with pytest.raises(SourceTimeout):
            await client.get("Patient", deadline=soon(0.05))
        await asyncio.sleep(0.3)
        await client.get("Patient", deadline=soon(0.1))
    assert len(world.token_calls) == 1


async def test_closing_stops_a_fetch_under_way(world: World, connected: Connect, secret_file: Path) -> None:
    world.delay = 60
    async with connected(credentials(secret_file)) as client:
        with pytest.raises(SourceTimeout):
            await client.get("Patient", deadline=soon(0.05))
    assert not [task for task in asyncio.all_tasks() if "renew" in str(task.get_coro())]


async def test_a_401_drops_the_token_so_that_the_next_ask_has_a_new_one(
    world: World, connected: Connect, secret_file: Path
) -> None:
    world.refuse = {"Bearer token-1"}
    async with connected(credentials(secret_file)) as client:
        with pytest.raises(Refused):
            await client.get("Patient", deadline=soon())
        assert client.calls == 1
        assert await client.get("Patient", deadline=soon()) == BUNDLE
    assert world.source_calls == ["Bearer token-1", "Bearer token-2"]


async def test_a_late_401_for_an_old_token_leaves_the_new_one(
    world: World, connected: Connect, secret_file: Path
) -> None:
    world.refuse = {"Bearer token-1"}
    async with connected(credentials(secret_file)) as client:
        late = await asyncio.gather(*(client.get("Patient", deadline=soon()) for _ in range(5)), return_exceptions=True)
        assert {type(outcome) for outcome in late} == {Refused}
        for _ in range(3):
            await client.get("Patient", deadline=soon())
    assert len(world.token_calls) == 2


async def test_a_fixed_header_that_is_refused_is_refused(world: World, connected: Connect, secret_file: Path) -> None:
    world.refuse = {SECRET}
    async with connected(read_auth({"scheme": "header", "name": "Authorization", "value_file": secret_file})) as client:
        with pytest.raises(Refused):
            await client.get("Patient", deadline=soon())


# ---- a token endpoint that is unwell ----


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((400, b'{"error":"invalid_client"}'), NotUnderstood),
        ((401, b'{"error":"invalid_client"}'), Refused),
        ((500, b"{}"), Unwell),
        ((302, b""), WrongContent),
        ((200, b""), WrongContent),
        ((200, b"[]"), WrongContent),
        ((200, b"{}"), WrongContent),
        ((200, b"[" * 100_000), TooMuch),
        ((200, b"[" * 60_000), WrongContent),
        ((200, b" " * 65_537), TooMuch),
        ((200, b'{"access_token":7,"token_type":"bearer"}'), WrongContent),
        ({"access_token": ""}, WrongContent),
        ({"access_token": "a\r\nX-Evil: 1"}, WrongContent),
        ({"access_token": "a b"}, WrongContent),
        ({"access_token": "é"}, WrongContent),
        ({"token_type": "mac"}, Refused),
        ({"expires_in": 0}, WrongContent),
        ({"expires_in": -5}, WrongContent),
        ({"expires_in": "soon"}, WrongContent),
        ({"expires_in": "nan"}, WrongContent),
    ],
)
async def test_no_token_is_one_clear_error_and_no_call_of_the_source(
    world: World, connected: Connect, secret_file: Path, answer: Any, expected: type[SourceError]
) -> None:
    world.answers = [answer]
    async with connected(credentials(secret_file)) as client:
        with pytest.raises(expected):
            await client.get("Patient", deadline=soon())
        assert client.calls == 0
    assert len(world.token_calls) == 1
    assert world.source_calls == []


async def test_a_token_endpoint_that_is_down_is_unreachable(secret_file: Path) -> None:
    async with serving(saying(reply())) as wire:
        auth = credentials(secret_file, token_url="http://127.0.0.1:9/token")
        client = SourceClient(wire.url, AiohttpTransport(Limits()), authorize=authorizer(auth))
        with pytest.raises(Unreachable):
            await client.get("Patient", deadline=soon())
        assert wire.lines == []
        await client.aclose()


async def test_over_the_wire_and_over_its_own_pool(secret_file: Path) -> None:
    async def play(line: Line) -> None:
        token = b'{"access_token":"abc","token_type":"Bearer","expires_in":"599"}'
        await line.send(reply(token, kind="application/json;charset=UTF-8") if "token" in line.target else reply())

    async with serving(play) as wire:
        auth = credentials(secret_file, token_url=f"{wire.url}/token")
        client = SourceClient(wire.url, AiohttpTransport(Limits()), authorize=authorizer(auth))
        for _ in range(2):
            assert await client.get("Patient", deadline=soon()) == BUNDLE
        assert [line.header("authorization") for line in wire.lines[1:]] == ["Bearer abc"] * 2
        assert wire.connections == 2
        await client.aclose()


# ---- secrets stay secret ----


async def test_a_secret_shows_in_no_repr_error_or_log(
    world: World, connected: Connect, secret_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    auth = credentials(secret_file)
    world.answers = [{}, (400, f'{{"error":"{SECRET}"}}'.encode())]
    world.refuse = {"Bearer token-1"}
    holder = authorizer(auth, transport=Httpx2Transport(Limits(), httpx2.ASGITransport(app=world)))
    texts = [repr(auth), str(auth), repr(holder), str(vars(holder)), auth.model_dump_json()]
    async with connected(auth) as client:
        for _ in range(2):
            with pytest.raises(SourceError) as caught:
                await client.get("Patient", deadline=soon())
            cause = caught.value.__cause__
            texts += [str(caught.value), repr(caught.value), caught.value.told, repr(cause)]
        texts.append(repr(client))
    for text in [*texts, caplog.text]:
        assert SECRET not in text
        assert "token-1" not in text


@pytest.mark.parametrize(
    "held", ["", "\n", "two\nlines", "tab\there", "é", "null\x00", b"\xff\xfe"], ids=lambda value: repr(value)
)
def test_a_secret_file_holds_one_plain_line(tmp_path: Path, held: str | bytes) -> None:
    file = tmp_path / "secret"
    file.write_bytes(held if isinstance(held, bytes) else held.encode())
    for auth in (
        read_auth({"scheme": "header", "name": "X-Key", "value_file": file}),
        credentials(file),
    ):
        with pytest.raises(ConfigurationError, match="secret file") as caught:
            authorizer(auth)
        assert str(file) in str(caught.value)
        assert "lines" not in str(caught.value)


def test_a_missing_secret_or_key_file_stops_start_up(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be read"):
        authorizer(credentials(tmp_path / "nowhere"))
    auth = signed(tmp_path)
    auth.key_file.unlink()
    with pytest.raises(ConfigurationError, match="can't be read"):
        authorizer(auth)


def public_pem(key: Any) -> bytes:
    text: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return text


def encrypted_pem(key: Any) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    text: bytes = key.private_bytes(serialization.Encoding.PEM, form, serialization.BestAvailableEncryption(b"pw"))
    return text


def test_a_key_that_cannot_sign_stops_start_up(tmp_path: Path) -> None:
    right = ec.generate_private_key(ec.SECP384R1())
    other_curve = ec.generate_private_key(ec.SECP256R1())
    wrong_kind = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    auth = signed(tmp_path)
    assert authorizer(auth) is not None
    for text in (b"", b"rubbish", pem(other_curve), pem(wrong_kind), public_pem(right), encrypted_pem(right)):
        auth.key_file.write_bytes(text)
        with pytest.raises(ConfigurationError, match="isn't a private key for ES384"):
            authorizer(auth)


@pytest.mark.parametrize(
    "settings",
    [
        {"scheme": "magic"},
        {},
        {"scheme": "none", "name": "x"},
        {"scheme": "header", "name": "X Key", "value_file": "f"},
        {"scheme": "header", "name": "X-Key\r\nEvil", "value_file": "f"},
        {"scheme": "header", "name": "X-Key", "value": "in the open"},
        {"scheme": "client-credentials", "token_url": "tokens", "client_id": "x", "secret_file": "f"},
        {"scheme": "client-credentials", "token_url": "http://u:p@h/t", "client_id": "x", "secret_file": "f"},
        {"scheme": "client-credentials", "token_url": TOKEN_URL, "client_id": "x", "secret": "in the open"},
        {"scheme": "smart-backend-services", "token_url": TOKEN_URL, "client_id": "x", "key_file": "f"},
        {"scheme": "smart-backend-services", "token_url": TOKEN_URL, "client_id": "x", "key_file": "f", "kid": "k"}
        | {"algorithm": "none"},
    ],
)
def test_settings_that_are_wrong_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read_auth(settings)


@pytest.mark.parametrize("scheme", ["client-credentials", "smart-backend-services"])
@pytest.mark.parametrize(
    ("token_url", "told"),
    [
        ("https://login.example/token", ""),
        ("HTTPS://login.example/token", ""),
        ("http://127.0.0.1:9/token", ""),
        ("http://[::1]:9/token", ""),
        ("http://localhost:9/token", ""),
        ("http://login.example/token", "must be https"),
        ("HTTP://login.example/token", "must be https"),
        ("http://10.0.0.1/token", "must be https"),
        ("http://127.0.0.1.example/token", "must be https"),
        ("http://localhost.example/token", "must be https"),
    ],
)
def test_secrets_and_tokens_travel_over_https_or_stay_on_this_machine(scheme: str, token_url: str, told: str) -> None:
    settings = {"scheme": scheme, "token_url": token_url, "client_id": "x"}
    settings |= {"secret_file": "f"} if scheme == "client-credentials" else {"key_file": "f", "kid": "k"}
    if told:
        with pytest.raises(ValidationError, match=told):
            read_auth(settings)
    else:
        assert read_auth(settings).scheme == scheme


# ---- mutual TLS ----


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def server_tls(authority: Authority, *, asks: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server"))
    if asks:
        context.load_verify_locations(authority.file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def get_over(url: str, tls: TlsSettings, auth: Any) -> bytes:
    client = SourceClient(url, AiohttpTransport(Limits(), tls_context(tls, auth)))
    try:
        return await client.get("Patient", deadline=soon(3))
    finally:
        await client.aclose()


CERTIFICATE = {"scheme": "client-certificate"}


async def test_a_source_that_asks_for_a_certificate_gets_ours(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue("gateway")
    mine = TlsSettings(ca_file=authority.file, certificate_file=certificate, key_file=key)
    async with serving(saying(reply()), tls=server_tls(authority, asks=True)) as wire:
        assert await get_over(wire.url, mine, read_auth(CERTIFICATE)) == BUNDLE
        with pytest.raises(Unreachable):
            await get_over(wire.url, TlsSettings(ca_file=authority.file), read_auth({"scheme": "none"}))
        stranger, its_key = Authority(tmp_path, "Other CA").issue("gateway")
        foreign = TlsSettings(ca_file=authority.file, certificate_file=stranger, key_file=its_key)
        with pytest.raises(Unreachable):
            await get_over(wire.url, foreign, read_auth(CERTIFICATE))
        assert len(wire.lines) == 1


async def test_a_source_that_nobody_we_trust_vouches_for_is_not_asked(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path, "Other CA")
    async with serving(saying(reply()), tls=server_tls(authority, asks=False)) as wire:
        for tls in (TlsSettings(), TlsSettings(ca_file=other.file)):
            with pytest.raises(Unreachable):
                await get_over(wire.url, tls, read_auth({"scheme": "none"}))
        trusted = TlsSettings(ca_file=authority.file)
        with pytest.raises(Unreachable):
            await get_over(wire.url.replace("127.0.0.1", "localhost"), trusted, read_auth({"scheme": "none"}))
        assert wire.lines == []


def test_certificates_that_cannot_be_used_stop_start_up(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue("gateway")
    _, other_key = authority.issue("other")
    secret = ec.generate_private_key(ec.SECP256R1())
    locked = tmp_path / "locked.key"
    locked.write_bytes(encrypted_pem(secret))
    auth = read_auth(CERTIFICATE)
    for tls in (
        TlsSettings(),
        TlsSettings(certificate_file=tmp_path / "nowhere", key_file=key),
        TlsSettings(certificate_file=certificate, key_file=other_key),
        TlsSettings(certificate_file=certificate, key_file=locked),
        TlsSettings(certificate_file=certificate),
        TlsSettings(ca_file=key, certificate_file=certificate, key_file=key),
        TlsSettings(ca_file=tmp_path / "nowhere"),
    ):
        with pytest.raises(ConfigurationError, match="tls"):
            tls_context(tls, auth)


def test_without_files_the_platform_decides_whom_to_trust(authority: Authority) -> None:
    assert tls_context(TlsSettings(), read_auth({"scheme": "none"})) is None
    context = tls_context(TlsSettings(ca_file=authority.file), read_auth({"scheme": "none"}))
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
