"""The bench is honest: every peer brings what the sources hold, and who doesn't has no figures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from connectors.sdk.batch import write_batch
from tests.bench import load
from tests.bench.load import Dishonest, client, resources_in, warm
from tests.bench.peers import naive, plain
from tests.bench.peers.floor import Floor
from tests.bench.peers.served import Order
from tests.bench.scenarios.sick import first_part
from tests.bench.scenarios.waited import direct
from tests.bench.world import Held, Server, Sources, World
from tests.wire import reply, saying, serving

HELD = Held(sources=2, each=4)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sources]:
    with World(tmp_path_factory.mktemp("bench"), issuer="http://127.0.0.1/nobody") as world:
        yield world.sources(HELD)


@pytest.mark.parametrize("make", [Floor, plain.make, naive.make], ids=["floor", "plain", "naive"])
def test_every_peer_brings_every_resource_once(sources: Sources, make: Any) -> None:
    sources.calls()
    with TestClient(make(Order(sources.addresses, sources.searches))) as asking:
        body = asking.get("/record").content
    assert resources_in(body) == HELD.expected == 20
    assert set(sources.calls().values()) == {len(sources.searches)}


def test_the_floor_takes_batches_too(sources: Sources) -> None:
    together = write_batch(sources.searches).decode()
    with TestClient(Floor(Order(sources.addresses, sources.searches, together))) as asking:
        assert resources_in(asking.get("/record").content) == HELD.expected
    assert set(sources.calls().values()) == {1}


@pytest.mark.parametrize("peer", [plain, naive], ids=["plain", "naive"])
def test_ids_do_not_clash_and_references_follow(sources: Sources, peer: Any) -> None:
    with TestClient(peer.make(Order(sources.addresses, sources.searches))) as asking:
        bundle = asking.get("/record").json()
    resources = [entry["resource"] for entry in bundle["entry"]]
    names = {f"{one['resourceType']}/{one['id']}" for one in resources}
    assert len(names) == len(resources) == bundle["total"]
    told = {one["subject"]["reference"] for one in resources if "subject" in one}
    assert told
    assert told <= names


async def test_who_brings_less_has_no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fetched(*_: object) -> bytes:
        return json.dumps({"entry": [{"resource": {"resourceType": "Condition"}}]}).encode()

    monkeypatch.setattr(load, "fetch", fetched)
    async with client() as session:
        assert await warm(session, Server("some", "", ()), expected=1)
        with pytest.raises(Dishonest, match="answered with 1 resources, and the sources hold 2"):
            await warm(session, Server("some", "", ()), expected=2)


async def test_a_source_behaves_as_it_is_told(sources: Sources) -> None:
    url = f"{sources.addresses[sources.last]}/Condition?patient.identifier=x"
    async with client() as session:
        assert await direct(session, sources) > 0
        sources.behave(sources.last, "storming")
        async with session.get(url) as refused:
            assert refused.status == 503
        sources.behave(sources.last, "well")
        async with session.get(f"{sources.addresses[sources.last]}/Patient/x/$everything") as answer:
            assert (await answer.json(content_type=None))["total"] == HELD.expected // 2 + 1


async def test_over_tls_a_source_says_the_same(tmp_path: Path) -> None:
    with World(tmp_path, issuer="http://127.0.0.1/nobody") as world:
        secure = world.sources(Held(sources=1, each=4, tls=True))
        order = Order(secure.addresses, secure.searches, ca_file=str(secure.ca_file))
        async with client() as session, session.get(order.urls[1][1], ssl=order.tls) as answer:
            assert resources_in(await answer.read()) == 1
        assert secure.calls() == {"RJ2": 1}


async def test_the_first_part_is_the_first_with_anything_clinical() -> None:
    def event(kind: str) -> bytes:
        return b"event: part\ndata: %s\n\n" % json.dumps({"entry": [{"resource": {"resourceType": kind}}]}).encode()

    stream = event("Patient") + event("Observation")
    async with client() as session:
        async with serving(saying(reply(stream, "text/event-stream"))) as wire:
            assert await first_part(session, Server("some", wire.url, ()))
        async with serving(saying(reply(event("Patient"), "text/event-stream"))) as wire:
            assert await first_part(session, Server("some", wire.url, ())) is None
        async with serving(saying(reply())) as wire:
            assert await first_part(session, Server("some", wire.url, ())) is None


async def test_of_many_at_once_those_that_came_short_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([b"x" * 100, b"x" * 60, None, b"x" * 99])

    async def fetched(*_: object) -> bytes:
        if (answer := next(answers)) is None:
            raise Dishonest("503")
        return answer

    monkeypatch.setattr(load, "fetch", fetched)
    async with client() as session:
        found = await load.at_once(session, Server("some", "", ()), together=4, whole=100)
    assert found["failed4"] == 2
