"""The only module that imports an HTTP library: how sources are asked, within bounds.

It owns the connection pools, the absolute deadline, the caps on decoded bytes, entries and depth, the rule that nothing
is followed elsewhere (no redirects, next links on the same origin and base path only), the single retry inside a
budget, and the one mapping of library errors to ours.

Two transports stand behind one narrow port. `AiohttpTransport` is what runs: per 50 kB answer it costs a seventh of
httpx2's CPU, and it is cut by a deadline in the middle of a drip. `Httpx2Transport` exists so that tests can use respx,
`MockTransport` or an ASGI app (docs/decisions/0002-http-transport.md).
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import SplitResult, urljoin, urlsplit

import aiohttp
import httpx2
import yarl

from connectors.sdk.errors import (
    NotUnderstood,
    Refused,
    Retriable,
    SourceTimeout,
    TooMuch,
    Unreachable,
    Unwell,
    WrongContent,
)

_JSON_TYPES: Final = frozenset({"application/fhir+json", "application/json", "application/json+fhir"})
_INFLATE_STEP: Final = 256 * 1024
USER_AGENT: Final = "connect-care"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may cost us, and how many may run at once towards one source."""

    max_bytes: int = 32 * 1024 * 1024
    connections: int = 64
    connect_timeout: float = 2.0
    retry_ratio: float = 0.1
    retry_reserve: float = 3.0


@dataclass(frozen=True, slots=True)
class Call:
    """One request, complete: URL with its query, headers, body."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


class Reply(Protocol):
    """The head of a response, and its body as it comes over the wire (still encoded)."""

    status: int

    def header(self, name: str) -> str:
        """A header's value, or an empty string."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The raw body."""
        ...


class Transport(Protocol):
    """The port: send one call, yield the reply while its connection is held."""

    def send(self, call: Call) -> Any:
        """An async context manager that yields a `Reply`. Raises the library's own errors."""
        ...

    async def aclose(self) -> None:
        """Close the pool."""
        ...


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
            call.method, _verbatim(call.url), headers=call.headers, data=call.body, allow_redirects=False
        ) as response:
            yield _AiohttpReply(response)

    async def aclose(self) -> None:
        """See Transport."""
        if self._session is not None:
            await self._session.close()


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
        async for chunk in self._response.aiter_raw():
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

    `calls` counts every request that went out, retries too.
    """

    def __init__(
        self,
        base_url: str,
        transport: Transport,
        *,
        limits: Limits | None = None,
        authorize: Callable[[Call, float], Any] | None = None,
    ) -> None:
        self.base = urlsplit(base_url.rstrip("/"))
        if self.base.scheme not in ("http", "https") or not self.base.hostname:
            raise ValueError(f"{base_url!r} is not an http(s) address")
        self.base_url = base_url.rstrip("/")
        self.limits = limits or Limits()
        self._transport = transport
        self._authorize = authorize
        self._budget = RetryBudget(self.limits.retry_ratio, self.limits.retry_reserve)
        self.calls = 0

    async def get(self, url: str, *, deadline: float, headers: Mapping[str, str] | None = None) -> bytes:
        """The decoded body of a 200 answer of JSON type. Raises a `SourceError`, never a library's error.

        A GET that failed in a way that may pass is made once more, if the retry budget and the deadline allow.
        """
        call = Call("GET", self.resolve(url), dict(headers or {}))
        self._budget.deposit()
        try:
            return await self._once(call, deadline)
        except Retriable:
            if asyncio.get_running_loop().time() >= deadline or not self._budget.withdraw():
                raise
            return await self._once(call, deadline)

    async def post(self, url: str, body: bytes, *, deadline: float, headers: Mapping[str, str] | None = None) -> bytes:
        """As `get`, with a body, and never retried: the source may have acted on it, and written its own audit."""
        return await self._once(Call("POST", self.resolve(url), dict(headers or {}), body), deadline)

    def resolve(self, url: str) -> str:
        """The absolute URL of a call or next link. Raises WrongContent where it leaves the base path or the origin."""
        absolute = urljoin(self.base_url + "/", url)
        parts = urlsplit(absolute)
        if _origin(parts) != _origin(self.base) or not _under(parts.path, self.base.path) or parts.username:
            raise WrongContent("a link of the source leaves its own base address")
        return absolute.partition("#")[0]

    async def _once(self, call: Call, deadline: float) -> bytes:
        try:
            async with asyncio.timeout_at(deadline):
                if self._authorize is not None:
                    call = await self._authorize(call, deadline)
                return await self._exchange(call)
        except TimeoutError as error:
            raise SourceTimeout("the deadline passed") from error
        except (aiohttp.ClientError, httpx2.HTTPError, httpx2.InvalidURL, OSError, EOFError) as error:
            raise map_library_error(error) from error

    async def _exchange(self, call: Call) -> bytes:
        headers = {
            "Accept": "application/fhir+json",
            "Accept-Encoding": "gzip",
            "User-Agent": USER_AGENT,
            **call.headers,
        }
        self.calls += 1
        async with self._transport.send(Call(call.method, call.url, headers, call.body)) as reply:
            check_status(reply.status)
            check_content_type(reply.header("content-type"))
            return await read_bounded(reply, self.limits.max_bytes)

    async def aclose(self) -> None:
        """Close the pool."""
        await self._transport.aclose()


def check_status(status: int) -> None:
    """Raises what a status other than 200 and 201 means. Redirects are an answer that can't be used, never followed."""
    if status in (200, 201):
        return
    if status in (401, 403):
        raise Refused(f"status {status}")
    if status == 429 or status >= 500:
        raise Unwell(f"status {status}")
    if 400 <= status < 500:
        raise NotUnderstood(f"status {status}")
    raise WrongContent(f"status {status}")


def check_content_type(value: str) -> None:
    """Raises WrongContent for anything but FHIR JSON in UTF-8: XML and HTML are refused unparsed."""
    kind, *parameters = (part.strip().lower() for part in value.split(";"))
    if kind not in _JSON_TYPES:
        raise WrongContent("the content type is not FHIR JSON")
    for parameter in parameters:
        name, _, charset = parameter.partition("=")
        if name == "charset" and charset.strip('"') not in ("utf-8", "utf8", "us-ascii"):
            raise WrongContent("the character set is not UTF-8")


async def read_bounded(reply: Reply, max_bytes: int) -> bytes:
    """The decoded body. Raises TooMuch as soon as it grows over `max_bytes`, while it is still streaming."""
    encoding = reply.header("content-encoding").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise WrongContent("the content encoding was not asked for")
    inflate = _Inflater() if encoding == "gzip" else None
    parts: list[bytes] = []
    size = 0
    async for chunk in reply.chunks():
        for part in inflate.feed(chunk) if inflate else (chunk,):
            size += len(part)
            if size > max_bytes:
                raise TooMuch("decoded bytes over the cap")
            parts.append(part)
    if inflate and not inflate.finished:
        raise Unreachable("the compressed body was cut short")
    return b"".join(parts)


class _Inflater:
    """gzip in bounded steps: a bomb is noticed after `_INFLATE_STEP` bytes, not after it has filled the memory."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(wbits=31)

    @property
    def finished(self) -> bool:
        return self._stream.eof

    def feed(self, chunk: bytes) -> Any:
        try:
            while chunk and not self._stream.eof:
                yield self._stream.decompress(chunk, _INFLATE_STEP)
                chunk = self._stream.unconsumed_tail
        except zlib.error as error:
            raise WrongContent("the compressed body is broken") from error
        if chunk and self._stream.eof:
            raise WrongContent("bytes after the end of the compressed body")


def map_library_error(error: BaseException) -> Unreachable | SourceTimeout | WrongContent:
    """The one choke point between a library's errors and ours. The library's text may hold a URL: it stays behind."""
    name = type(error).__name__
    if isinstance(error, TimeoutError | aiohttp.ServerTimeoutError | httpx2.TimeoutException):
        return SourceTimeout(name)
    if isinstance(error, aiohttp.InvalidURL | httpx2.InvalidURL | httpx2.UnsupportedProtocol):
        return WrongContent(name)
    return Unreachable(name)


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _under(path: str, base: str) -> bool:
    # A dot segment or an encoded one would leave the base path on a server that normalises it.
    if ".." in path or "%2e" in path.lower() or "\\" in path or "%5c" in path.lower():
        return False
    return path == base or path.startswith(base + "/")


async def fetch_bytes(url: str, *, limit: int, timeout: float, tls: ssl.SSLContext | None = None) -> bytes:  # noqa: ASYNC109
    """One bounded GET of JSON that belongs to no source: an issuer's keys, its discovery document.

    No redirects; raises a `SourceError`. `timeout` is in seconds for the whole call.
    """
    parts = urlsplit(url)
    base = f"{parts.scheme}://{parts.netloc}"
    limits = Limits(max_bytes=limit, connections=1)
    client = SourceClient(base, AiohttpTransport(limits, tls), limits=limits)
    try:
        deadline = asyncio.get_running_loop().time() + timeout
        return await client.get(url, deadline=deadline, headers={"Accept": "application/json"})
    finally:
        await client.aclose()
