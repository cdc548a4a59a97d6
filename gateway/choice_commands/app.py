"""`connectcare choice opt-out | opt-in | history`, for staff who take the patient's call.

The NHS number is typed, or comes by stdin: on a command line it would stand in the list of processes and in the shell's
history. So with the token, which is read from a file or from stdin's first line.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from gateway.choice.model import Channel, Choice, IdentifiedBy, StatedBy
from gateway.choice_commands.refusals import CannotChoose

app = typer.Typer(no_args_is_help=True, help="Record that a patient opts out of Connect Care, or back in.")

_T = TypeVar("_T")
Gateway = Annotated[str, typer.Option(help="The gateway's address; with --as, the running demo's by default.")]
TokenFile = Annotated[Path | None, typer.Option(help="A file that holds your access token; else stdin's first line.")]
As = Annotated[str, typer.Option("--as", help="In the demo: gp, privacy-officer, … instead of a token.")]
Port = Annotated[int | None, typer.Option(help="With --as: the demo's port, where several run.")]
By = Annotated[StatedBy, typer.Option(help="Who states the choice.")]
How = Annotated[Channel, typer.Option(help="How the choice reached you.")]
Identified = Annotated[IdentifiedBy, typer.Option(help="How you made sure who is speaking.")]
Reason = Annotated[str, typer.Option(help="What they said, in general words: the shell's history keeps it.")]
Proxy = Annotated[str, typer.Option(help="Who speaks for the patient, and by what right.")]


@dataclass(frozen=True, slots=True)
class Way:
    """Which gateway, and as whom."""

    gateway: str
    token_file: Path | None
    as_: str
    port: int | None


@app.command("opt-out")
def opt_out(
    stated_by: By,
    channel: How,
    gateway: Gateway = "",
    token_file: TokenFile = None,
    as_: As = "",
    port: Port = None,
    reason: Reason = "",
    proxy: Proxy = "",
    identified_by: Identified = IdentifiedBy.NOT_SAID,
) -> None:
    """Nobody sees the patient's record any more, from now, everywhere."""
    said = _Said(Choice.OPTED_OUT, stated_by, channel, reason, proxy, identified_by)
    _record(said, Way(gateway, token_file, as_, port))


@app.command("opt-in")
def opt_in(
    stated_by: By,
    channel: How,
    gateway: Gateway = "",
    token_file: TokenFile = None,
    as_: As = "",
    port: Port = None,
    reason: Reason = "",
    proxy: Proxy = "",
    identified_by: Identified = IdentifiedBy.NOT_SAID,
) -> None:
    """The patient shares again; whoever wants to look asks them anew."""
    said = _Said(Choice.OPTED_IN, stated_by, channel, reason, proxy, identified_by)
    _record(said, Way(gateway, token_file, as_, port))


@app.command("history")
def history(gateway: Gateway = "", token_file: TokenFile = None, as_: As = "", port: Port = None) -> None:
    """Every choice that was recorded of a patient, and what is in force."""
    from gateway.choice_commands import told

    way = Way(gateway, token_file, as_, port)
    typer.echo(told.history(_answer(way, "sharing-choices/_search", {}, list[told.Recorded], records=False)))


@dataclass(frozen=True, slots=True)
class _Said:
    """What was stated, and how."""

    choice: Choice
    stated_by: StatedBy
    channel: Channel
    reason: str
    proxy: str
    identified_by: IdentifiedBy

    @property
    def body(self) -> dict[str, Any]:
        """As the gateway's API takes it."""
        said = {
            "choice": self.choice,
            "statedBy": self.stated_by,
            "channel": self.channel,
            "reason": self.reason,
            "proxy": self.proxy,
        }
        return said | ({"identifiedBy": self.identified_by} if self.identified_by else {})


def _record(said: _Said, way: Way) -> None:
    from gateway.choice_commands import told

    if said.stated_by is not StatedBy.PATIENT and not said.proxy:
        raise CannotChoose("Say who speaks for the patient, and by what right: --proxy 'Ama Mensah, daughter'")
    typer.echo(told.recorded(_answer(way, "sharing-choices", said.body, told.Recorded, records=True)))


def _answer(way: Way, path: str, body: dict[str, Any], answer: type[_T], *, records: bool) -> _T:
    """What the gateway answers to `body`, with the NHS number that is typed."""
    from gateway.choice_commands.calling import call, check_gateway

    address = check_gateway(way.gateway or _demo_address(way))
    token = _demo_token(way) if way.as_ else _token(way.token_file)
    whole = {**body, "nhsNumber": _typed("NHS number")}
    return asyncio.run(call(address, token, path, whole, answer, records=records))


def _demo_address(way: Way) -> str:
    if not way.as_:
        raise CannotChoose("Say which gateway: --gateway https://…")
    return str(_demo(way)["publicUrl"])


def _demo(way: Way) -> dict[str, Any]:
    from gateway.demo.state import find

    return find(way.port)


def _demo_token(way: Way) -> str:
    from gateway.demo.people import person
    from gateway.demo.token import fetch_token

    person(way.as_)  # says whom the demo has, where it hasn't got them
    return asyncio.run(fetch_token(_demo(way)["issuer"], way.as_))


def _token(file: Path | None) -> str:
    said = file.read_text(encoding="utf-8") if file else _typed("Access token", hidden=True)
    token = said.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise CannotChoose("That is no access token: one word, as the sign-in gave it, in --token-file or on stdin.")
    return token


def _typed(what: str, *, hidden: bool = False) -> str:
    """What a person types at a prompt, or the next line of stdin where nobody sits there."""
    if sys.stdin.isatty():
        return str(typer.prompt(what, hide_input=hidden, err=True))
    line = sys.stdin.readline().strip()
    if not line:
        raise CannotChoose(f"{what} is missing: give it on stdin, a line of its own (the token, if any, comes first).")
    return line
