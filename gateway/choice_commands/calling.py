"""One call to a gateway's API, as the person whose token it is; and what of its answer may be shown on a screen."""

from __future__ import annotations

import asyncio
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from connectors.sdk.address import address_fault
from connectors.sdk.errors import Retriable, SourceError, SourceTimeout
from connectors.sdk.http import AiohttpTransport, Limits, SourceClient
from connectors.sdk.port import Transport
from gateway.choice_commands.refusals import CannotChoose

_SECONDS: Final = 15.0
_LIMITS: Final = Limits(max_bytes=4 * 1024 * 1024, connections=1)
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_T = TypeVar("_T")
_UNKNOWN: Final = "Whether it was recorded isn't known: look with `connectcare choice history` before you tell anybody."


def check_gateway(address: str) -> str:
    """The address, if a token may be sent there. Raises CannotChoose."""
    if fault := address_fault(address):
        raise CannotChoose(f"--gateway {fault}.")
    parts = urlsplit(address)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise CannotChoose("--gateway must begin with https: over plain http the token and the NHS number can be read.")
    return address


async def call(
    gateway: str,
    token: str,
    path: str,
    body: dict[str, Any],
    answer: type[_T],
    *,
    records: bool,
    transport: Transport | None = None,
) -> _T:
    """What the gateway answers. `records`: the call changes what is in force, so a failure leaves a doubt to be told.

    Raises CannotChoose with the gateway's own sentence where it gave one.
    """
    client = SourceClient(check_gateway(gateway), transport or AiohttpTransport(_LIMITS), limits=_LIMITS)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    deadline = asyncio.get_running_loop().time() + _SECONDS
    try:
        said = await client.post(path, msgspec.json.encode(body), deadline=deadline, headers=headers, read_errors=True)
        return msgspec.json.decode(said, type=answer)
    except SourceError as error:
        raise CannotChoose(_told(error, records)) from error
    except msgspec.DecodeError as error:
        raise CannotChoose("What answered isn't a Connect Care gateway. Check --gateway.") from error
    finally:
        await client.aclose()


def _told(error: SourceError, records: bool) -> str:
    sentence = _outcome(error.said)
    if sentence:
        return printable(sentence)
    unsure = records and isinstance(error, Retriable | SourceTimeout)
    return f"The gateway {error.told}. {_UNKNOWN if unsure else 'Check --gateway, and try again.'}"


def _outcome(said: bytes) -> str:
    """The sentence of an OperationOutcome; "" where it isn't one."""
    try:
        outcome = msgspec.json.decode(said)
        return str(outcome["issue"][0]["details"]["text"])
    except (msgspec.DecodeError, LookupError, TypeError):
        return ""


def printable(text: str) -> str:
    """Without what could move a terminal's cursor or hide what stands on it."""
    return "".join(character if character.isprintable() else " " for character in text)
