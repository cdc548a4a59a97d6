"""One look at a server: whether it answers, until when its certificate holds, and what time it has.

Nothing is asked of it but, where its clock is wanted, the headers of one answer. No proof of ours goes along.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import SplitResult, urlsplit

SECONDS: Final = 5.0
_MOST_BYTES: Final = 16 * 1024


class Unreached(Exception):
    """It can't be reached, or isn't believed. The text says why, without a full stop."""


@dataclass(frozen=True, slots=True)
class Reached:
    """`until` is the end of its certificate, None without TLS; `date` its own clock, None where that wasn't asked."""

    until: datetime | None
    date: datetime | None = None


async def reach(url: str, tls: ssl.SSLContext, *, its_clock: bool = False) -> Reached:
    """Connect, by TLS where the address says https. Raises Unreached."""
    parts = urlsplit(url)
    secured = tls if parts.scheme == "https" else None
    try:
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(parts.hostname, _port(parts), ssl=secured)
            try:
                date = await _date(reader, writer, parts) if its_clock else None
                return Reached(_until(writer), date)
            finally:
                writer.transport.abort()  # nothing is under way, and nobody waits for the other side's goodbye
                with suppress(OSError):
                    await writer.wait_closed()
    except ssl.SSLCertVerificationError as error:
        raise Unreached(f"its certificate isn't believed ({error.verify_message})") from error
    except TimeoutError as error:
        raise Unreached(f"it doesn't answer within {SECONDS:g} s") from error
    except (OSError, ValueError, asyncio.LimitOverrunError, asyncio.IncompleteReadError) as error:
        raise Unreached(f"it can't be reached ({type(error).__name__})") from error


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _until(writer: asyncio.StreamWriter) -> datetime | None:
    certificate = writer.get_extra_info("peercert")
    if not certificate:
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)


async def _date(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, parts: SplitResult) -> datetime | None:
    """The Date of its answer; None where it sends none that can be read."""
    asked = f"HEAD {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
    writer.write(asked.encode("ascii"))
    head = (await reader.readuntil(b"\r\n\r\n"))[:_MOST_BYTES].decode("latin-1")
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "date":
            return parsedate_to_datetime(value.strip()).astimezone(UTC)
    return None
