"""The fault server: each fault as it is on the wire, what the server counts, and its two kinds of systems behind."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from connectors.kit import bodies
from connectors.kit import fault_server as faults
from connectors.kit.asgi import reply
from connectors.kit.exchange import Backend, Exchange, Request, Response, of_app, of_upstream
from connectors.kit.fault_server import FAULTS, FaultServer, fault_server
from connectors.kit.wire import Line

BODY = json.dumps(
    {
        "resourceType": "Bundle",
        "total": 2,
        "entry": [
            {"resource": {"resourceType": "Patient", "id": "p1"}},
            {"resource": {"resourceType": "Observation", "id": "17", "valueQuantity": {"value": 4.5}}},
        ],
    }
).encode()


async def system(scope: Any, receive: Any, send: Any) -> None:
    """Says BODY, and repeats what it was asked in a header."""
    message = await receive()
    asked = f"{scope['method']} {scope['path']}?{scope['query_string'].decode()} {message['body'].decode()}"
    await reply(send, 200, BODY, b"application/fhir+json", (b"x-asked", asked.encode()))


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with fault_server(of_app(system)) as server:
        yield server


async def talk(server: FaultServer, target: str = "/fhir/Patient", body: bytes = b"") -> bytes:
    """Ask once on a connection of its own; every byte until the other side closes, or half a second has passed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.origin.rpartition(":")[2]))
    method = b"POST" if body else b"GET"
    writer.write(
        method + b" " + target.encode() + b" HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    )
    came = b""
    try:
        async with asyncio.timeout(0.5):
            while piece := await reader.read(65536):
                came += piece
                head, _, rest = came.partition(b"\r\n\r\n")
                if b"content-length: %d\r\n" % len(rest) in head + b"\r\n":
                    break
    except TimeoutError:
        pass
    finally:
        writer.close()
    return came


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came about")


def body_of(came: bytes) -> bytes:
    return came.partition(b"\r\n\r\n")[2]


async def test_well_is_the_systems_own_answer(server: FaultServer) -> None:
    came = await talk(server, "/fhir/Patient?x=%7C1", b"asked")
    assert came.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body_of(came) == BODY
    assert b"x-asked: POST /fhir/Patient?x=%7C1 asked" in came
    (request,) = server.requests
    assert (request.method, request.target, request.body) == ("POST", "/fhir/Patient?x=%7C1", b"asked")
    assert (request.header("host"), request.header("absent")) == ("x", "")


async def test_what_lies_beside_the_base_path_always_works(server: FaultServer) -> None:
    server.fault = faults.reset
    assert body_of(await talk(server, "/oauth2/token")) == BODY
    assert body_of(await talk(server, "/fhirs")) == BODY
    assert [request.path for request in server.beside] == ["/oauth2/token", "/fhirs"]
    with pytest.raises(ConnectionResetError):
        await talk(server)


async def test_latency_waits_and_then_answers_truly(server: FaultServer) -> None:
    server.fault = faults.latency(0.1)
    started = asyncio.get_running_loop().time()
    assert body_of(await talk(server)) == BODY
    assert asyncio.get_running_loop().time() - started >= 0.1


async def test_a_drip_is_the_true_answer_in_single_bytes(server: FaultServer) -> None:
    server.fault = faults.drip(0.0)
    assert body_of(await talk(server)) == BODY
    server.fault = faults.drip(0.05)
    assert 2 < len(body_of(await talk(server))) < 30


async def test_a_black_hole_swallows_until_the_caller_leaves(server: FaultServer) -> None:
    server.fault = faults.blackhole
    assert await talk(server) == b""
    assert await server.settled(1.0)
    assert await server.settled(1.0, connections=True)


async def test_what_is_under_way_is_seen(server: FaultServer) -> None:
    server.fault = faults.blackhole
    tasks = [asyncio.create_task(talk(server)) for _ in range(3)]
    assert not await server.settled(0.0)
    await until(lambda: server.under_way == 3)
    assert not await server.settled(0.05)
    assert not await server.settled(0.05, connections=True)
    assert (server.open, server.most_under_way) == (3, 3)
    await asyncio.gather(*tasks)


async def test_half_an_answer_ends_early(server: FaultServer) -> None:
    server.fault = faults.truncate()
    came = await talk(server)
    assert b"content-length: %d" % len(BODY) in came
    assert body_of(came) == BODY[: len(BODY) // 2]
    server.fault = faults.truncate(chunked=True)
    came = await talk(server)
    assert b"transfer-encoding: chunked" in came
    assert b"content-length" not in came
    assert body_of(came) == b"%x\r\n%s\r\n" % (len(BODY) // 2, BODY[: len(BODY) // 2])


@pytest.mark.parametrize(("code", "phrase"), [(429, b"Too Many Requests"), (500, b"Internal"), (599, b"Unknown")])
async def test_a_status(server: FaultServer, code: int, phrase: bytes) -> None:
    server.fault = faults.status(code)
    came = await talk(server)
    assert came.startswith(b"HTTP/1.1 %d %s" % (code, phrase))
    assert json.loads(body_of(came))["resourceType"] == "OperationOutcome"


async def test_a_redirect_leads_elsewhere(server: FaultServer) -> None:
    server.fault = faults.redirect(307)
    assert b"location: http://elsewhere.invalid/fhir/Patient?a=1\r\n" in await talk(server, "/fhir/Patient?a=1")


async def test_a_bomb_opens_to_more_than_anybody_takes(server: FaultServer) -> None:
    bodies.gzip_bomb()  # it takes a while to make
    server.fault = faults.bomb
    came = await talk(server)
    assert b"content-encoding: gzip" in came
    assert len(body_of(came)) < 200_000
    assert zlib.decompressobj(wbits=31).decompress(body_of(came), 54) == gzip.decompress(bodies.gzip_bomb())[:54]


async def test_an_oversized_answer_is_right_and_long_and_counts_what_is_taken(server: FaultServer) -> None:
    taken: list[int] = []
    server.fault = faults.oversized(3 * 1024 * 1024, taken.append)
    came = body_of(await talk(server))
    assert (came.rstrip(), len(came)) == (BODY, len(BODY) + 3 * 1024 * 1024)
    assert sum(taken) == 3 * 1024 * 1024


async def test_a_changed_body_has_its_own_length_and_an_error_stays_as_it_is(server: FaultServer) -> None:
    server.fault = faults.changed(lambda body: body * 2)
    assert body_of(await talk(server)) == BODY * 2

    async def refusing(request: Request) -> Response:
        return Response(403, (), b"no")

    async with fault_server(refusing) as other:
        other.fault = faults.changed(lambda body: body * 2)
        assert body_of(await talk(other)) == b"no"


async def test_a_system_that_breaks_off_has_its_connection_reset() -> None:
    async def broken(request: Request) -> Response:
        raise ConnectionError

    async with fault_server(broken) as server:
        with pytest.raises(ConnectionResetError):
            await talk(server)


async def test_an_upstream_stands_behind_as_an_app_does(server: FaultServer) -> None:
    async with of_upstream(server.origin) as backend, fault_server(backend) as front:
        came = await talk(front, "/fhir/Patient?x=%7C1", b"asked")
    assert body_of(came) == BODY
    assert server.requests[0].target == "/fhir/Patient?x=%7C1"
    assert server.requests[0].body == b"asked"
    assert b"content-type: application/fhir+json" in came


async def test_chunked_questions_are_read(server: FaultServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.origin.rpartition(":")[2]))
    writer.write(b"POST /fhir/x HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nask\r\n2;x=1\r\ned\r\n0\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert server.requests[0].body == b"asked"


@pytest.mark.parametrize("name", sorted(FAULTS))
async def test_every_fault_has_a_name_for_the_command_line(name: str) -> None:
    assert callable(FAULTS[name]())


async def test_an_app_may_wait_for_its_caller_to_leave() -> None:
    async def waiting(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await receive()

    backend: Backend = of_app(waiting)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await backend(Request("GET", "/fhir", (), b""))


def test_a_question_about_somebody_else_is_the_same_but_for_the_ids() -> None:
    request = Request("POST", "/fhir/Patient?identifier=n%7C17&_count=170&x=a%20b", (), b'{"id":"17","of":"170"}')
    other = request.about({"17": "99", "a b": "c"})
    assert other.target == "/fhir/Patient?identifier=n%7C99&_count=170&x=c"
    assert other.body == b'{"id":"99","of":"170"}'


def test_headers_of_one_hop_are_not_carried_over() -> None:
    response = Response(200, (("Content-Length", "9"), ("connection", "close"), ("a", "b")), b"x").with_header("A", "c")
    assert response.head(1) == b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\nA: c\r\n\r\n"


async def test_the_command_serves_until_it_is_stopped(
    server: FaultServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(work: Any) -> None:
        work.close()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "run", stopped)
        assert faults.main(["reset", "--upstream", server.origin]) == 0
    options = faults.argparse.Namespace(upstream=server.origin, base_path="/fhir", fault="broken")
    task = asyncio.create_task(faults._run(options))
    said: list[str] = []
    await until(lambda: bool(said.append(capsys.readouterr().out) or said[-1]))
    assert said[-1].startswith("broken at http://127.0.0.1:")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


# ---- bodies ----


def test_each_body_is_what_it_is_called() -> None:
    with pytest.raises(ValueError, match="char"):
        json.loads(bodies.corrupt(BODY))
    pairs: list[list[str]] = []
    json.loads(bodies.doubled_key(BODY), object_pairs_hook=lambda found: pairs.append([key for key, _ in found]))
    assert any(len(set(keys)) < len(keys) for keys in pairs)
    assert bodies.doubled_key(b'{"a":1}') == b'{"a":"twice","a":1}'
    assert bodies.doubled_key(b"[]") == b"[]"
    assert len(json.loads(bodies.duplicate(BODY))["entry"]) == 4
    body, count = bodies.measured(BODY, "0.10")
    assert (count, b'"value":0.10' in body) == (1, True)
    assert bodies.measured(b"no", "1") == (b"no", 0)
    with pytest.raises(RecursionError):
        json.loads(bodies.deep())
    assert json.loads(bodies.wide())["entry"][-1] == {}


def test_a_nested_extension_is_as_deep_as_asked() -> None:
    node, depth = json.loads(bodies.nested(BODY, 90))["entry"][0]["resource"], 0
    while "extension" in node:
        node, depth = node["extension"][-1], depth + 1
    assert depth == 91


def items(body: bytes) -> Iterator[str]:
    document = bodies.parsed(body)
    assert document is not None
    yield from bodies.lists_of(document)


def test_a_list_of_items_is_a_list_of_objects_and_no_links() -> None:
    assert list(items(b'{"link":[{"a":1}],"entry":[{"b":1}],"names":["x"],"none":[],"visits":[{"c":1}]}')) == [
        "entry",
        "visits",
    ]
    assert bodies.parsed(b"[1]") is None
    assert bodies.each_item(b"no", lambda item: None) == b"no"
    assert bodies.with_lists(b"no", lambda document, name: None) == b"no"
    assert bodies.each_item(b'{"id":"1"}', lambda item: item.update(seen=True)) == b'{"id":"1","seen":true}'


@pytest.mark.parametrize(
    ("document", "paged"),
    [
        ({"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient"}}]}, False),
        ({"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "List"}}]}, True),
        ({"resourceType": "Patient", "name": [{"text": "x"}]}, False),
        ({"visits": [{"id": 1}]}, True),
        ({"visits": []}, False),
    ],
)
def test_what_may_have_another_page(document: dict[str, Any], paged: bool) -> None:
    assert bodies.is_paged(document) is paged


def test_a_next_page_stands_where_the_document_would_have_it() -> None:
    bundle: dict[str, Any] = {"resourceType": "Bundle", "link": [{"relation": "next", "url": "a"}]}
    bodies.link_on(bundle, "b")
    assert bundle["link"] == [{"relation": "next", "url": "b"}]
    bodies.link_on(bundle, None)
    assert bundle["link"] == []
    own: dict[str, Any] = {"visits": []}
    bodies.link_on(own, "b")
    assert own["next"] == "b"


async def test_an_exchange_knows_when_its_caller_breaks_off() -> None:
    class Reader:
        async def read(self, count: int) -> bytes:
            raise ConnectionResetError

    async def nobody(request: Request) -> Response:
        raise AssertionError

    line = Line(b"GET / HTTP/1.1\r\n\r\n", b"", Reader(), None)  # type: ignore[arg-type]
    assert await Exchange(Request("GET", "/", (), b""), nobody, line, "").gone(1.0)
