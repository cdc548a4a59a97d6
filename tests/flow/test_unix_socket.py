"""A gateway behind a proxy on the same machine: the socket tells who connected, and so whose certificates count."""

from __future__ import annotations

import asyncio
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
import uvicorn

from gateway.serving import _bound, _config
from gateway.settings import SettingsError
from tests.flow.stack import GRACE, Stack, running, told
from tests.hostile.tokens.world import BOUND_TO_CERTIFICATE, CLIENT_CERT

PATH = f"/fhir/R4/Patient/{GRACE}"


@pytest.fixture
def place() -> Iterator[Path]:
    """A short one: a socket's path has a hundred characters at most."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "gateway.sock"


@asynccontextmanager
async def served(stack: Stack, place: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """The gateway on its socket, as the command serves it."""
    app = stack.client._transport.app  # type: ignore[attr-defined]
    server = uvicorn.Server(_config(app, stack.parts.settings, "127.0.0.1", 0, lifespan="off"))
    running = asyncio.create_task(server.serve(sockets=[_bound(place)]))
    try:
        while not server.started:  # noqa: ASYNC110 - uvicorn tells it in no other way
            await asyncio.sleep(0.01)
        through = httpx2.AsyncHTTPTransport(uds=str(place))
        async with httpx2.AsyncClient(transport=through, base_url="http://127.0.0.1:8000") as client:
            yield client
    finally:
        server.should_exit = True
        await running


@pytest.mark.parametrize("configured", [True, False])
async def test_a_certificate_counts_through_the_configured_socket_alone(
    tmp_path: Path, place: Path, configured: bool
) -> None:
    proxies = [f"unix:{place}"] if configured else ["unix:/run/another.sock", "127.0.0.1"]
    async with running(tmp_path, certificate_proxies=tuple(proxies)) as stack:
        await stack.agree(GRACE)
        token = stack.demo.mint("gp", claims={"cnf": BOUND_TO_CERTIFICATE})
        headers = {"Authorization": f"Bearer {token}", "Client-Cert": CLIENT_CERT}
        async with served(stack, place) as client:
            answer = await client.get(PATH, headers=headers)
        if configured:
            assert (answer.status_code, answer.json()["id"]) == (200, GRACE)
        else:
            assert answer.status_code == 400
            assert "Client-Cert" in told(answer)


def test_only_owner_and_group_may_connect(place: Path) -> None:
    with _bound(place) as bound:
        assert stat.S_IMODE(place.stat().st_mode) == 0o660
        assert bound.get_inheritable(), "workers share it"


def test_what_a_killed_gateway_left_behind_is_cleared_away(place: Path) -> None:
    _bound(place).close()
    assert place.is_socket()
    _bound(place).close()


def test_a_socket_that_somebody_serves_is_left_alone(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(str(place))
        theirs.listen()
        with pytest.raises(SettingsError, match="served already"):
            _bound(place)
    assert place.exists()


def test_a_file_that_is_no_socket_is_left_alone(place: Path) -> None:
    place.write_text("somebody's")
    with pytest.raises(SettingsError, match="can't be served"):
        _bound(place)
    assert place.read_text() == "somebody's"
