"""`connectcare choice` as staff type it: what is told, what is never shown, and where a token is never sent."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest
import typer

from connectors.sdk.http import Httpx2Transport, Limits
from connectors.sdk.port import Transport
from gateway.choice_commands import calling, told
from gateway.choice_commands.refusals import CannotChoose
from gateway.cli import main

PATIENT = "9990000018"
GATEWAY = "https://connectcare.example"
RECORDED = {
    "id": "c-1", "nhsNumber": PATIENT, "choice": "opted-out", "statedBy": "proxy", "channel": "phone",
    "recordedBy": "ASHWORTH Meera Dr", "organisation": "G85005", "recordedAt": "2026-07-02T11:30:00Z",
    "reason": "doesn't \x1b[2Jwant it", "proxy": "Ama Mensah, daughter",
}  # fmt: skip
OUT = ["choice", "opt-out", "--gateway", GATEWAY, "--stated-by", "patient", "--channel", "phone"]


class Gateway:
    """Answers as it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.status, self.answer = 201, json.dumps(RECORDED).encode()
        self.asked: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        if self.status == 0:
            raise httpx2.ConnectError("no connection", request=request)
        return httpx2.Response(self.status, content=self.answer, headers={"Content-Type": "application/fhir+json"})

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.asked[-1].content)
        return body

    def refuses(self, status: int, sentence: str) -> None:
        outcome = {"resourceType": "OperationOutcome", "issue": [{"details": {"text": sentence}}]}
        self.status, self.answer = status, json.dumps(outcome).encode()


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Gateway:
    made = Gateway()

    def transport(limits: Limits) -> Transport:
        return Httpx2Transport(limits, httpx2.MockTransport(made))

    monkeypatch.setattr(calling, "AiohttpTransport", transport)
    return made


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str, stdin: str
) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of one command."""
    monkeypatch.setattr(sys, "argv", ["connectcare", *arguments])
    monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
    code: Any = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    said = capsys.readouterr()
    return int(code or 0), said.out, said.err


Run = tuple[pytest.MonkeyPatch, pytest.CaptureFixture[str]]


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return monkeypatch, capsys


def test_token_and_number_come_by_stdin_and_what_is_in_force_is_said(gateway: Gateway, hands: Run) -> None:
    code, out, err = run(
        *hands, *OUT, "--reason", "said so", "--identified-by", "documents", stdin="a.b.c\n999 000 0018\n"
    )
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == (
        "In force now, everywhere: the patient has opted out of Connect Care (2 July 2026, 12:30)."
    )
    assert "nobody is shown the record" in out
    assert "Ama Mensah, daughter" in out
    assert "\x1b" not in out
    assert PATIENT not in out
    assert gateway.asked[0].headers["Authorization"] == "Bearer a.b.c"
    assert str(gateway.asked[0].url) == f"{GATEWAY}/sharing-choices"
    assert gateway.body == {
        "choice": "opted-out", "statedBy": "patient", "channel": "phone", "reason": "said so", "proxy": "",
        "identifiedBy": "documents", "nhsNumber": "999 000 0018",
    }  # fmt: skip


def test_a_token_file_leaves_stdin_to_the_number(gateway: Gateway, hands: Run, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("a.b.c\n")
    gateway.answer = json.dumps({**RECORDED, "choice": "opted-in"}).encode()
    arguments = ("choice", "opt-in", "--gateway", f"{GATEWAY}/", "--stated-by", "proxy", "--channel", "letter")
    code, out, _ = run(
        *hands, *arguments, "--token-file", str(file), "--proxy", "Ama Mensah, daughter", stdin=f"{PATIENT}\n"
    )
    assert code == 0
    assert "has opted in to Connect Care" in out
    assert "A permission from before an opt-out doesn't hold." in out
    assert (gateway.body["nhsNumber"], gateway.body["proxy"]) == (PATIENT, "Ama Mensah, daughter")


def test_the_history_is_told_oldest_first_with_what_is_in_force(gateway: Gateway, hands: Run) -> None:
    gateway.status = 200
    gateway.answer = json.dumps([RECORDED, {**RECORDED, "choice": "opted-in", "reason": ""}]).encode()
    code, out, _ = run(*hands, "choice", "history", "--gateway", GATEWAY, stdin=f"t\n{PATIENT}\n")
    first, second, last = out.splitlines()
    assert code == 0
    assert first.startswith("2 July 2026, 12:30: opted out of Connect Care. Stated by a proxy (Ama Mensah, daughter)")
    assert "Reason: doesn't" in first
    assert "Reason" not in second
    assert last == "In force now: the patient has opted in to Connect Care."
    assert told.history([]).startswith("No choice was ever recorded. In force now: opted in")


@pytest.mark.parametrize("status", [400, 401, 403, 413, 503])
def test_a_refusal_is_the_gateways_own_sentence_and_exit_code_1(gateway: Gateway, hands: Run, status: int) -> None:
    gateway.refuses(status, "The patient's GP practice records\x07sharing choices.")
    code, out, err = run(*hands, *OUT, stdin=f"t\n{PATIENT}\n")
    assert (code, out, err) == (1, "", "The patient's GP practice records sharing choices.\n")


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (0, b"", "Whether it was recorded isn't known"),
        (500, b"<html>", "Whether it was recorded isn't known"),
        (502, b'{"issue": []}', "Whether it was recorded isn't known"),
        (404, b"[]", "did not understand the question. Check --gateway"),
        (302, b"", "Check --gateway"),
        (201, b"not json", "isn't a Connect Care gateway"),
        (201, b'{"choice": "maybe"}', "isn't a Connect Care gateway"),
    ],
)
def test_what_is_no_answer_is_told_with_what_to_do(
    gateway: Gateway, hands: Run, status: int, answer: bytes, said: str
) -> None:
    gateway.status, gateway.answer = status, answer
    code, out, err = run(*hands, *OUT, stdin=f"t\n{PATIENT}\n")
    assert (code, out) == (1, "")
    assert said in err
    assert PATIENT not in err
    assert len(gateway.asked) == 1


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (OUT, "", "Access token is missing"),
        (OUT, "t\n", "NHS number is missing"),
        (OUT, "two words\n1\n", "no access token"),
        (OUT, "t\x00\n1\n", "no access token"),
        (["choice", "history"], "t\n1\n", "Say which gateway"),
        (["choice", "history", "--gateway", "http://connectcare.example"], "t\n1\n", "must begin with https"),
        (["choice", "history", "--gateway", "https://u:p@connectcare.example"], "t\n1\n", "user name or password"),
        (["choice", "history", "--gateway", "connectcare"], "t\n1\n", "must be a whole http or https URL"),
        (["choice", "history", "--as", "pope", "--gateway", GATEWAY], "1\n", "Ask for one of gp"),
        ([*OUT[:5], "proxy", *OUT[6:]], "t\n1\n", "Say who speaks for the patient"),
    ],
)
def test_what_cannot_be_sent_is_never_sent(
    gateway: Gateway, hands: Run, arguments: list[str], stdin: str, said: str
) -> None:
    code, out, err = run(*hands, *arguments, stdin=stdin)
    assert (code, out) == (1, "")
    assert said in err
    assert gateway.asked == []


def test_plain_http_is_for_this_machine_alone() -> None:
    for address in ("http://127.0.0.1:8000", "http://localhost:8000/", "http://[::1]:8000", GATEWAY):
        assert calling.check_gateway(address) == address
    with pytest.raises(CannotChoose):
        calling.check_gateway("http://127.0.0.1.example")


def test_nobody_can_put_the_number_on_the_command_line(gateway: Gateway, hands: Run) -> None:
    for number in ((PATIENT,), ("--nhs-number", PATIENT)):
        code, _, _ = run(*hands, *OUT, *number, stdin="t\n")
        assert code == 2
    assert gateway.asked == []


def test_at_a_terminal_both_are_asked_for_and_the_token_is_hidden(
    gateway: Gateway, hands: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def prompt(what: str, *, hide_input: bool, err: bool) -> str:
        asked.append((what, hide_input, err))
        return {"Access token": "t", "NHS number": PATIENT}[what]

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(typer, "prompt", prompt)
    monkeypatch.setattr(sys, "argv", ["connectcare", *OUT])
    monkeypatch.setattr(sys, "stdin", Terminal())
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    assert asked == [("Access token", True, True), ("NHS number", False, True)]
    assert gateway.body["nhsNumber"] == PATIENT
