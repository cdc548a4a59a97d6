"""`connectcare demo`: sandbox organisations, a demo identity provider and the gateway, each on real HTTP on 127.0.0.1.

The sandboxes and the identity provider are processes of their own, as they would be in the world; they end when this
process does, however it ends.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import uvicorn
import uvloop
from fastapi import FastAPI

from connectors.sdk.organisations import Organisation
from gateway import log, startup
from gateway.app import create_app
from gateway.caller.settings import IssuerSettings
from gateway.demo import state as demo_state
from gateway.demo.identity import DEMO_CLIENT
from gateway.demo.patients import PATIENTS_CLIENT
from gateway.demo.server import Stoppable
from gateway.demo.token import demo_client, fetch_token, soon
from gateway.launch.settings import PatientSignInSettings, SignInSettings
from gateway.observe.exposed import exposed
from gateway.sealed import new_master_key
from gateway.settings import Settings, load_settings
from gateway.taking_part import load_register

AUDIENCE: Final = "connect-care"
_HOST: Final = "127.0.0.1"
_PATIENCE: Final = 30.0
_SANDBOXES: Final = "sandboxes"


class DemoFailed(Exception):
    """The demo can't start. The text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What may be chosen about a demo. `data` None is a fresh temporary folder that goes with the demo."""

    port: int = 8000
    metrics_port: int = 0
    data: Path | None = None
    canaries: bool = False
    organisations: Path | None = None
    more: dict[str, Any] = field(default_factory=dict)


def run(options: DemoOptions) -> None:
    """Run until Ctrl-C or SIGTERM. Raises DemoFailed."""
    with ExitStack() as stack:
        listener = stack.enter_context(_listen(options.port))
        port = listener.getsockname()[1]
        data = options.data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="connectcare-demo-")))
        stack.enter_context(_alone_in(data))
        log.setup(production=False, stream=stack.enter_context((data / "gateway.log").open("a", encoding="utf-8")))
        public_url = f"http://{_HOST}:{port}"
        around = stack.enter_context(_surroundings(data, options))
        settings = _settings(data, public_url, around, options)
        metrics = stack.enter_context(exposed(_HOST, options.metrics_port))
        around = {**around, "metrics": metrics.address if metrics else ""}
        where = {"publicUrl": public_url, "data": str(data), "settings": str(_keep(settings, data))}
        announced = demo_state.announce(port, {**around, **where})
        stack.callback(announced.unlink, missing_ok=True)
        _serve(
            create_app(settings, metrics=metrics.folder if metrics else None),
            listener,
            lambda: _prepare(settings, around["people"]),
            lambda: _welcome(settings, around),
        )


@contextmanager
def _listen(port: int) -> Iterator[socket.socket]:
    try:
        listener = socket.create_server((_HOST, port))
    except OSError as error:
        raise DemoFailed(
            f"Port {port} can't be used ({error.strerror}). Choose another: --port 8001, or PORT=8001 make demo"
        ) from error
    with listener:
        yield listener


@contextmanager
def _alone_in(data: Path) -> Iterator[None]:
    """The folder, made if need be, and held for the demo's life: a second demo would take the first one's files.

    The kernel drops the lock when the process ends, however it ends.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(data / "demo.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise DemoFailed(f"The data folder {data} can't be used ({error.strerror}). Name another: --data") from error
    try:
        _hold(descriptor, data)
        yield
    finally:
        os.close(descriptor)


def _hold(descriptor: int, data: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DemoFailed(
            f"A demo already runs on this data folder, {data}. Stop it, or choose another folder: --data"
        ) from error


@contextmanager
def _surroundings(data: Path, options: DemoOptions) -> Iterator[dict[str, Any]]:
    """The sandboxes and the identity provider, and what they say of themselves."""
    organisations = options.organisations or Settings.model_fields["organisations_file"].default
    sandbox_command = ["connectors.kit.serve", "--organisations", str(organisations), "--die-with-parent"]
    if options.canaries:
        sandbox_command.append("--canaries")
    with (
        _process(data, _SANDBOXES, sandbox_command) as sandboxes,
        _process(data, "identity", _identity_command(data)) as identity,
    ):
        yield {**sandboxes, "issuer": identity["issuer"], "patientIssuer": identity["patientIssuer"]}


def _identity_command(data: Path) -> list[str]:
    """The sandboxes' state file, which is there by now, says which patients can sign in."""
    patients = str(data / f"{_SANDBOXES}.json")
    return ["gateway.demo.identity", "--port", "0", "--audience", AUDIENCE, "--patients", patients]


@contextmanager
def _process(data: Path, name: str, command: list[str]) -> Iterator[dict[str, Any]]:
    state = data / f"{name}.json"
    state.unlink(missing_ok=True)
    with (data / f"{name}.log").open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", *command, "--state", str(state)],
            stdin=subprocess.PIPE,
            stdout=errors,
            stderr=errors,
            start_new_session=True,  # Ctrl-C reaches this process alone, which then stops them in order
        )
        try:
            yield _wait_for(state, process, name)
        finally:
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin:
                process.stdin.close()


def _wait_for(state: Path, process: subprocess.Popen[bytes], name: str) -> dict[str, Any]:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if state.exists():
            said: dict[str, Any] = json.loads(state.read_bytes())
            return said
        if process.poll() is not None:
            break
        time.sleep(0.05)
    log_file = state.with_suffix(".log")
    raise DemoFailed(f"The demo's {name} did not start. Its last words: {_tail(log_file)}")


def _tail(file: Path) -> str:
    lines = file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:500] if lines else "none"


def _settings(data: Path, public_url: str, around: dict[str, Any], options: DemoOptions) -> Settings:
    key_file = data / "master.key"
    if not key_file.exists():
        new_master_key(key_file)
    issuer = IssuerSettings(
        issuer=around["issuer"], audience=AUDIENCE, algorithms=("ES256", "RS256"), allow_insecure_loopback=True
    )
    given: dict[str, Any] = {"organisations_file": options.organisations} if options.organisations else {}
    return load_settings(
        None,
        profile="demo",
        public_url=public_url,
        data_dir=data,
        key_file=key_file,
        issuers=(issuer,),
        sign_ins=(_sign_in(around["issuer"]),),
        patient_sign_ins=(_patient_sign_in(around["patientIssuer"]),),
        addresses=around["addresses"],
        **given,
        **options.more,
    )


def _keep(settings: Settings, data: Path) -> Path:
    """The settings as a file, for commands that want a gateway's: `connectcare doctor` is one."""
    file = data / "settings.yaml"
    demo_state.write_state(file, settings.model_dump(mode="json", exclude_unset=True))
    return file


def _sign_in(issuer: str) -> SignInSettings:
    return SignInSettings(
        name="the demo's sign-in", tag="demo", issuer=issuer, client_id=DEMO_CLIENT, allow_insecure_loopback=True
    )


def _patient_sign_in(issuer: str) -> PatientSignInSettings:
    return PatientSignInSettings(
        name="the demo's sign-in for patients",
        tag="demo-patients",
        issuer=issuer,
        client_id=PATIENTS_CLIENT,
        allow_insecure_loopback=True,
    )


def _serve(
    gateway: FastAPI,
    listener: socket.socket,
    prepare: Callable[[], Awaitable[None]],
    welcome: Callable[[], None],
) -> None:
    server = Stoppable(uvicorn.Config(gateway, loop="uvloop", http="httptools", lifespan="on", **log.UVICORN))

    async def main() -> None:
        serving = asyncio.ensure_future(server.serve(sockets=[listener]))
        up = asyncio.ensure_future(server.up.wait())
        await asyncio.wait((serving, up), return_when=asyncio.FIRST_COMPLETED)
        if up.done():
            await prepare()
            welcome()
        up.cancel()
        await serving

    with startup.explained(gateway), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


async def _prepare(settings: Settings, people: Iterable[dict[str, Any]]) -> None:
    """What the story needs beforehand: patients who have opted out, recorded through the front door."""
    opted_out = [person["nhsNumber"] for person in people if person.get("sharingChoice") == "opted-out"]
    if not opted_out:
        return
    token = await fetch_token(settings.issuers[0].issuer, "privacy-officer")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with_choice = {"choice": "opted-out", "statedBy": "patient", "channel": "phone"}
    async with demo_client(settings.public_url) as client:
        for nhs_number in opted_out:
            body = json.dumps({"nhsNumber": nhs_number, **with_choice}).encode()
            await client.post("/sharing-choices", body, deadline=soon(), headers=headers)


def _sandbox_line(ods: str, control: str, organisation: Organisation | None) -> str:
    shadow = "   in shadow: asked, never shown" if organisation is not None and organisation.is_shadowed else ""
    return f"  {ods:<7} {control}{shadow}"


def _welcome(settings: Settings, around: dict[str, Any]) -> None:
    """What a person needs to begin: addresses, people, patients and a first command."""
    public_url = settings.public_url
    port = public_url.rsplit(":", 1)[1]
    organisations = load_register(settings)
    first = around["people"][0]["nhsNumber"]
    lines = [
        "",
        f"Connect Care runs on {public_url}   (Ctrl-C stops it)",
        f"  FHIR API           {public_url}/fhir/R4/metadata",
        f"  identity provider  {around['issuer']}",
        f"  pages for staff    {public_url}/",
        f"  patients' pages    {public_url}/my",
        f"  metrics            {around['metrics']}   (connectcare demo metrics shows them in words)",
        f"  data               {settings.data_dir}",
        "",
        'Sandbox organisations (POST {"mode": "slow"|"broken"|"hung"|"lying"|"well"} to make one misbehave)',
        *(_sandbox_line(ods, control, organisations.get(ods)) for ods, control in sorted(around["control"].items())),
        "",
        "Who can sign in: connectcare demo token --as ROLE",
        "  gp, hospital-doctor, nurse, district-nurse, occupational-therapist, social-worker, privacy-officer,",
        "  commissioner",
        "",
        "Patients",
        *(f"  {p['nhsNumber']}  {p['birthDate']}  {p['name']:<18} {p['story']}" for p in around["people"]),
        "",
        "A first try, in another terminal:",
        f"  TOKEN=$(.venv/bin/connectcare demo token --as gp --port {port})",
        f"  curl -sH \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' {public_url}/permissions \\",
        f'    -d \'{{"nhsNumber": "{first}", "basis": "patient-agreed"}}\'',
        f"  curl -sH \"Authorization: Bearer $TOKEN\" '{public_url}/fhir/R4/Patient/{first}/$everything'",
        "",
    ]
    print("\n".join(lines), flush=True)
