"""The only module that imports an HTTP library: how sources are asked, within bounds.

It owns the connection pools, the absolute deadline, the single retry inside a budget, and the one mapping of library
errors to ours. Redirects are never followed, links only where `address.py` allows; `intake.py` holds the caps on what
comes back, `bundle.py` those on entries and depth.

Two transports stand behind one narrow port. `AiohttpTransport` is what runs: a 50 kB answer costs a quarter of the CPU
that httpx2 takes for it. `Httpx2Transport` exists so that tests can use respx, `MockTransport` or an ASGI app
(docs/decisions/0002-http-transport.md).
"""

from __future__ import annotations

import asyncio
import copy
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, ParamSpec, TypeVar
from urllib.parse import urlsplit

import aiohttp
import httpx2
import yarl
from aiohttp.http_exceptions import HttpProcessingError

from connectors.sdk.address import address_fault, resolve
from connectors.sdk.budget import Budget
from connectors.sdk.errors import Retriable, SourceError, SourceTimeout, Unreachable, WrongContent
from connectors.sdk.intake import FHIR_JSON, PLAIN_JSON, check_content_type, check_status, read_bounded
from connectors.sdk.port import Authorizer, Call, Limits, Reply, Transport

__all__ = [
    "AiohttpTransport",
    "Authorizer",
    "Call",
    "Httpx2Transport",
    "Limits",
    "Reply",
    "RetryBudget",
    "SourceClient",
    "Transport",
    "fetch_bytes",
    "map_library_error",
]

MAX_PROBLEM_BYTES: Final = 64 * 1024
"""How much of a body is read that came with a status that is no answer: an OperationOutcome takes a few kB."""

LIBRARY_ERRORS: Final = (
    aiohttp.ClientError,
    HttpProcessingError,
    httpx2.HTTPError,
    httpx2.InvalidURL,
    httpx2.StreamError,
    httpx2.CookieConflict,
    OSError,
    EOFError,
)
"""Everything that a call may raise from below; `map_library_error` makes one of ours of each."""

USER_AGENT: Final = "connect-care"
_HEADERS: Final = {"Accept": "application/fhir+json", "Accept-Encoding": "gzip", "User-Agent": USER_AGENT}

_P = ParamSpec("_P")
_T = TypeVar("_T")


class _AiohttpReply:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status

    def header(self, name: str) -> str:
        return self._response.headers.get(name, "")

    async def chunks(self) -> AsyncIterator[bytes]:
        async for chunk in self._response.content.iter_any():
            yield chunk


class AiohttpTransport:
    """aiohttp with its own decoding switched off: bodies are inflated here, in bounded steps."""

    def __init__(self, limits: Limits, tls: ssl.SSLContext | None = None) -> None:
        self._limits = limits
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._limits.connections, ssl=self._tls or True, keepalive_timeout=60, ttl_dns_cache=60
                ),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._limits.connect_timeout),
                skip_auto_headers=("User-Agent",),
                trust_env=False,
            )
        return self._session

    @asynccontextmanager
    async def send(self, call: Call) -> AsyncIterator[Reply]:
        """See Transport."""
        async with self._open().request(
            call.method,
            _verbatim(call.url),
            headers=call.headers,
            data=call.body,
            allow_redirects=False,
            middlewares=(_Once(),),
        ) as response:
            yield _AiohttpReply(response)

    async def aclose(self) -> None:
        """See Transport."""
        if self._session is not None:
            await self._session.close()


class _Once:
    """Keeps aiohttp from quietly sending a GET again when a kept connection breaks: retries are counted, and ours."""

    def __init__(self) -> None:
        self._sent = False

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if self._sent:
            raise aiohttp.ServerDisconnectedError
        self._sent = True
        return await handler(request)


def _verbatim(url: str) -> yarl.URL:
    """A URL that aiohttp sends as it is: it must not decode and re-encode the `|` and `%7C` of a FHIR query."""
    return yarl.URL(url, encoded=True)


class _Httpx2Reply:
    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self.status = response.status_code

    def header(self, name: str) -> str:
        return str(self._response.headers.get(name, ""))

    async def chunks(self) -> AsyncIterator[bytes]:
        if self._response.is_stream_consumed and isinstance(self._response.stream, httpx2.AsyncByteStream):
            raw: AsyncIterator[bytes] = aiter(self._response.stream)  # a mock's: it was whole from the beginning
        else:
            raw = self._response.aiter_raw()
        async for chunk in raw:
            yield chunk


class Httpx2Transport:
    """httpx2 behind the same port: for tests (respx, MockTransport, ASGITransport), or where a site prefers it."""

    def __init__(self, limits: Limits, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self._client = httpx2.AsyncClient(
            transport=transport,
            timeout=httpx2.Timeout(
                connect=limits.connect_timeout, read=None, write=None, pool=None
            ),  # the absolute deadline cuts every phase; a read timeout per chunk would let a drip through
            limits=httpx2.Limits(max_connections=limits.connections),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            follow_redirects=False,
            trust_env=False,
        )

    @asynccontextmanager
    async def send(self, call: Call) -> AsyncIterator[Reply]:
        """See Transport."""
        async with self._client.stream(
            call.method, call.url, headers=dict(call.headers), content=call.body
        ) as response:
            yield _Httpx2Reply(response)

    async def aclose(self) -> None:
        """See Transport."""
        await self._client.aclose()


class RetryBudget:
    """At most one retry for every ten calls, so that a sick source isn't made sicker (a reserve covers quiet hours)."""

    def __init__(self, ratio: float, reserve: float) -> None:
        self._ratio = ratio
        self._reserve = reserve
        self._tokens = reserve

    def deposit(self) -> None:
        """A first try was made."""
        self._tokens = min(self._tokens + self._ratio, self._reserve)

    def withdraw(self) -> bool:
        """True where a retry may be made now."""
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class SourceClient:
    """Asks one source. All its calls stay under `base_url` and end by the deadline they are given.

    `calls` counts every request that went out, retries too; `content_types` are those that an answer may have.
    """

    def __init__(
        self,
        base_url: str,
        transport: Transport,
        *,
        limits: Limits | None = None,
        authorize: Authorizer | None = None,
        content_types: frozenset[str] = FHIR_JSON,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        if fault := address_fault(base_url):
            raise ValueError(f"The address of a source {fault}.")
        self.limits = limits or Limits()
        self._transport = transport
        self._authorize = authorize
        self._content_types = content_types
        self._budget = RetryBudget(self.limits.retry_ratio, self.limits.retry_reserve)
        self.calls = 0

    def counted(self) -> SourceClient:
        """The same client (pool, retry budget, proofs) with a count of its own, for one Ask among many at once."""
        client = copy.copy(self)
        client.calls = 0
        return client

    async def get(
        self,
        url: str,
        *,
        deadline: float,
        headers: Mapping[str, str] | None = None,
        budget: Budget | None = None,
        read_errors: bool = False,
    ) -> bytes:
        """The decoded body of a 200 answer of JSON type. Raises a `SourceError`, never a library's error.

        A GET that failed in a way that may pass is made once more, if the retry budget and the deadline allow. Its
        bytes are spent from `budget`, those of a body that turned out useless too. With `read_errors`, the error that
        a status means carries what the source `said` with it.
        """
        call = await self._proven(Call("GET", self.resolve(url), {**_HEADERS, **(headers or {})}), deadline)
        self._budget.deposit()
        try:
            return await _by(deadline, self._exchange, call, budget, read_errors)
        except Retriable:
            if asyncio.get_running_loop().time() >= deadline or not self._budget.withdraw():
                raise
            return await _by(deadline, self._exchange, call, budget, read_errors)

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        deadline: float,
        headers: Mapping[str, str] | None = None,
        read_errors: bool = False,
    ) -> bytes:
        """As `get`, with a body, and never retried: the source may have acted on it, and written its own audit."""
        call = Call("POST", self.resolve(url), {**_HEADERS, **(headers or {})}, body)
        return await _by(deadline, self._exchange, await self._proven(call, deadline), None, read_errors)

    def resolve(self, url: str) -> str:
        """See `connectors.sdk.address.resolve`."""
        return resolve(self.base_url, url)

    async def _proven(self, call: Call, deadline: float) -> Call:
        """The call with its proof. A token endpoint that fails isn't asked a second time for the same call."""
        if self._authorize is None:
            return call
        return await _by(deadline, self._authorize, call, deadline)

    async def _exchange(self, call: Call, budget: Budget | None, read_errors: bool) -> bytes:
        self.calls += 1
        async with self._transport.send(call) as reply:
            if reply.status == 401 and self._authorize is not None:
                self._authorize.refused(call)
            try:
                check_status(reply.status)
            except SourceError as error:
                if read_errors:
                    error.said = await self._said(reply)
                raise
            check_content_type(reply.header("content-type"), self._content_types)
            return await read_bounded(reply, self.limits.max_bytes, budget)

    async def _said(self, reply: Reply) -> bytes:
        """The body of a refusal, or nothing where it isn't short JSON: the status stands, whatever came with it."""
        try:
            check_content_type(reply.header("content-type"), self._content_types)
            return await read_bounded(reply, MAX_PROBLEM_BYTES)
        except (SourceError, *LIBRARY_ERRORS):
            return b""

    async def aclose(self) -> None:
        """Close the pool, and the authorizer's."""
        await self._transport.aclose()
        if self._authorize is not None:
            await self._authorize.aclose()


async def _by(deadline: float, work: Callable[_P, Awaitable[_T]], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """`work` ends by the deadline (absolute loop time) and raises nothing but a `SourceError`."""
    if asyncio.get_running_loop().time() >= deadline:
        raise SourceTimeout("the deadline passed before the call")
    try:
        async with asyncio.timeout_at(deadline):
            return await work(*args, **kwargs)
    except TimeoutError as error:
        raise SourceTimeout("the deadline passed") from error
    except LIBRARY_ERRORS as error:
        raise map_library_error(error) from error


def map_library_error(error: BaseException) -> SourceError:
    """The one choke point between a library's errors and ours. The library's text may hold a URL: it stays behind."""
    name = type(error).__name__
    if isinstance(error, TimeoutError | aiohttp.ServerTimeoutError | httpx2.TimeoutException):
        return SourceTimeout(name)
    if isinstance(error, aiohttp.InvalidURL | httpx2.InvalidURL | httpx2.UnsupportedProtocol):
        return WrongContent(name)
    return Unreachable(name)


async def fetch_bytes(
    url: str,
    *,
    limit: int,
    timeout: float,  # noqa: ASYNC109
    tls: ssl.SSLContext | None = None,
    bearer: str = "",
) -> bytes:
    """One bounded GET of JSON that belongs to no source: an issuer's keys, its discovery document, its userinfo.

    No redirects; raises a `SourceError`. `timeout` is in seconds for the whole call. `bearer`: the access token that is
    sent along, if any.
    """
    limits = Limits(max_bytes=limit, connections=1)
    try:
        parts = urlsplit(url)
        base = f"{parts.scheme}://{parts.netloc}"
        client = SourceClient(base, AiohttpTransport(limits, tls), limits=limits, content_types=PLAIN_JSON)
    except ValueError as error:
        raise WrongContent("the address is not a URL") from error
    try:
        deadline = asyncio.get_running_loop().time() + timeout
        authorized = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        return await client.get(url, deadline=deadline, headers={"Accept": "application/json", **authorized})
    finally:
        await client.aclose()
