"""The narrow port between the SDK and whichever HTTP library sends a call: one `Call` out, one `Reply` back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Protocol


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
    """One request, complete: URL with its query, headers, body. Its repr tells neither the patient nor a secret."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)

    def with_header(self, name: str, value: str) -> Call:
        """The same call with one header set."""
        return replace(self, headers={**self.headers, name: value})


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

    def send(self, call: Call) -> AbstractAsyncContextManager[Reply]:
        """An async context manager that yields a `Reply`. Raises the library's own errors."""
        ...

    async def aclose(self) -> None:
        """Close the pool."""
        ...


class Authorizer(Protocol):
    """What proves to a source who we are (`connectors.sdk.auth`)."""

    async def __call__(self, call: Call, deadline: float) -> Call:
        """The call with its proof. Raises a `SourceError` where none can be had."""
        ...

    def refused(self, call: Call) -> None:
        """The source answered 401 to this call: the proof in it is not to be used again."""
        ...

    async def aclose(self) -> None:
        """Close what was opened to get proofs."""
        ...
