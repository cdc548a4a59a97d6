"""`connectcare demo` as a person uses it: real processes, real HTTP, Ctrl-C; and nothing clinical is left behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.canaries import leaked
from tests.flow.stack import GRACE, WINSTON, resources
from tests.processes import free_port
from tests.quick import every

ROLES = (
    *("gp", "hospital-doctor", "nurse", "district-nurse"),
    *("occupational-therapist", "social-worker", "privacy-officer", "commissioner"),
)


ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Demo:
    """A running demo."""

    port: int
    data: Path
    process: subprocess.Popen[str]
    environment: dict[str, str]
    welcome: str

    def command(self, *arguments: str) -> str:
        """Another `connectcare` command in another terminal."""
        done = subprocess.run(
            [sys.executable, "-m", "gateway.cli", *arguments, "--port", str(self.port)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=True,
        )
        assert done.stderr == ""
        return done.stdout

    def call(self, address: str, token: str = "", body: Any = None) -> tuple[int, str, dict[str, str]]:
        url = address if address.startswith("http") else f"http://127.0.0.1:{self.port}{address}"
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        request = urllib.request.Request(url, data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, answer.read().decode(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode(), dict(error.headers)


def run_cli(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A command that is expected to end by itself, and may fail."""
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    (folder / "temporary").mkdir()
    environment = {**os.environ, "TMPDIR": str(folder / "temporary"), "XDG_RUNTIME_DIR": str(folder / "temporary")}
    port = free_port()
    command = ["gateway.cli", "demo", "--port", str(port), "--data", str(folder / "data"), "--canaries"]
    with (folder / "stderr.log").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], env=environment, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "$everything" in line:
            break
    running = Demo(port, folder / "data", process, environment, "".join(lines))
    yield running
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=120)
    process.stdout.close()


def test_it_says_all_that_one_needs_to_begin(demo: Demo) -> None:
    assert f"http://127.0.0.1:{demo.port}" in demo.welcome
    people = json.loads(demo.command("demo", "patients", "--json"))
    assert len(people) >= 6
    assert all(set(person) == {"nhsNumber", "birthDate", "name", "story"} for person in people)
    for person in people:
        assert person["nhsNumber"] in demo.welcome
    for role in ROLES:
        assert role in demo.welcome
    for ods in ("RJ2", "G85005", "X26", "RPG", "709", "703"):
        assert f"/_sandbox/{ods}" in demo.welcome
    shadows = [line.split()[0] for line in demo.welcome.splitlines() if line.endswith("in shadow: asked, never shown")]
    assert shadows == ["703", "709", "RPG"]


def test_its_metrics_are_on_a_port_of_their_own_and_shown_as_tables(demo: Demo) -> None:
    address = re.search(r"metrics +(http://127\.0\.0\.1:\d+/metrics)", demo.welcome)
    assert address is not None
    status, text, headers = demo.call(address[1])
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'connect_care_source_breakers{source="RJ2",state="closed",worker="0"} 1.0' in text
    assert demo.call("/metrics")[0] == 404
    tables = demo.command("demo", "metrics")
    assert "POST /sharing-choices" in tables
    assert re.search(r"^RJ2 .*closed$", tables, re.MULTILINE)


@pytest.mark.parametrize("role", every(4, ROLES))
def test_a_token_is_printed_and_nothing_else(demo: Demo, role: str) -> None:
    token = demo.command("demo", "token", "--as", role)
    assert token.count(".") == 2
    assert token.strip() + "\n" == token


def test_the_readme_story(demo: Demo) -> None:
    """Refused, told how to ask, agreed, shown; and the social worker sees less."""
    records = {}
    for role in ("gp", "social-worker"):
        token = demo.command("demo", "token", "--as", role).strip()
        everything = f"/fhir/R4/Patient/{GRACE}/$everything"
        status, body, _ = demo.call(everything, token)
        assert status == 403
        assert "POST /permissions" in body
        status, body, headers = demo.call("/permissions", token, {"nhsNumber": GRACE, "basis": "patient-agreed"})
        assert status == 201
        assert json.loads(body)["expiresAt"]
        assert headers["location"]
        status, body, headers = demo.call(everything, token)
        assert status == 200
        told = dict(line.split(";")[0].split("=") for line in headers["connect-care-sources"].split(", "))
        shadows = dict.fromkeys(("RPG", "709", "703"), "not-asked")
        assert told.keys() == {"RJ2", "G85005", "X26", *shadows}
        assert told | shadows == told
        records[role] = body
    assert len(records["social-worker"]) < len(records["gp"]) / 2
    assert "CANARY" in records["gp"]


def _read_and_remove(file: Path) -> Any:
    """What a person saved for themselves must not be found by the scan for what we keep."""
    text = file.read_text()
    file.unlink()
    return json.loads(text)


@pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("bash")), reason="the README's commands need bash and curl"
)
def test_the_commands_of_the_readme_run(demo: Demo, tmp_path: Path) -> None:
    """Every `sh` block of the README, in order, as it stands there but for the port and where the command is."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    script = "\n".join(blocks).replace(":8000", f":{demo.port}")
    script = script.replace(".venv/bin/connectcare", f"{sys.executable} -m gateway.cli")
    said = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env=demo.environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    assert said.count('"basis":"patient-agreed"') >= 2
    assert "opted out of Connect Care" in said
    assert "In force now, everywhere: the patient has opted in to Connect Care" in said
    assert '"basis":"best-interests"' in said
    assert '"resourceType":"Consent"' in said
    assert '"kind":"release"' in said
    gp, social_worker = (_read_and_remove(tmp_path / name) for name in ("gp.json", "social-worker.json"))
    assert gp["total"] > 2 * social_worker["total"] > 0


def test_the_opted_out_patient_is_refused(demo: Demo) -> None:
    token = demo.command("demo", "token", "--as", "gp").strip()
    status, body, _ = demo.call("/permissions", token, {"nhsNumber": WINSTON, "basis": "patient-agreed"})
    assert status == 403
    assert "opted out" in body


@pytest.mark.slow
def test_a_sandbox_can_be_made_to_misbehave(demo: Demo) -> None:
    control = next(line.split()[1] for line in demo.welcome.splitlines() if "/_sandbox/RJ2" in line)
    token = demo.command("demo", "token", "--as", "nurse").strip()
    demo.call("/permissions", token, {"nhsNumber": GRACE, "basis": "patient-agreed"})
    for mode in ("broken", "garbage", "lying", "lying-quietly", "bomb", "no-allergies", "redirecting"):
        assert demo.call(control, body={"mode": mode})[0] == 200
        status, body, headers = demo.call(f"/fhir/R4/Patient/{GRACE}/$everything", token)
        assert status == 200, mode
        assert "RJ2=answered" not in headers["connect-care-sources"]
        sources = {resource["meta"]["tag"][0]["code"] for resource in resources(json.loads(body))}
        assert "G85005" in sources
        assert ("RJ2" in sources) == (mode == "no-allergies")
    assert demo.call(control, body={"mode": "well"})[0] == 200


def test_a_sandbox_is_made_to_misbehave_by_a_command_too(demo: Demo) -> None:
    token = demo.command("demo", "token", "--as", "nurse").strip()
    demo.call("/permissions", token, {"nhsNumber": GRACE, "basis": "patient-agreed"})
    assert demo.command("demo", "source", "broken", "RJ2", "G85005") == "RJ2 is broken\nG85005 is broken\n"
    _, body, headers = demo.call(f"/fhir/R4/AllergyIntolerance?patient={GRACE}", token)
    assert "G85005=failed;missing=allergies, RJ2=failed;missing=allergies" in headers["connect-care-sources"]
    assert json.loads(body)["total"] == 0
    assert demo.command("demo", "source", "well", "RJ2", "G85005") == "RJ2 is well\nG85005 is well\n"
    done = run_cli("demo", "source", "well", "X1", "--port", str(demo.port), environment=demo.environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("The demo has no sandbox X1. It has 703")


STILL_NEEDED = (
    "profile: it says demo. Set",
    "public_url must be https in production. Put",
    "sender_constraint must be required in production: a copied bearer token",
    "issuers: allow_insecure_loopback is for the demo. Give",
    "sign_ins: allow_insecure_loopback is for the demo (the demo's sign-in). Give",
    "patient_sign_ins: allow_insecure_loopback is for the demo (the demo's sign-in for patients). Give",
    "addresses is for the demo. Give",
    "audit_sink is missing: ",
    "checkpoint_key is missing: ",
    "security_contact: nobody can be told of a security hole. Give",
    "backup_stamp: nothing tells whether there is a back-up. Have",
    "key_file: DATA/master.key lies in data_dir: ",
    "FILE:RJ2 is a sandbox",
    "FILE:RJ2 is live, but its connector fhir_r4 has not earned silver there. Run",
    "FILE:709 is a sandbox",
    "FILE:RPG is a sandbox",
    "FILE:703 is a sandbox",
    "FILE:X26 is a sandbox",
    "FILE:X26 is live, but its connector pds has not earned silver there. Run",
    "FILE:GP practices of Lewisham is a sandbox",
    "FILE:GP practices of Lewisham is live, but its connector gp_connect has not earned silver there. Run",
    "FILE:GP practices of Greenwich is a sandbox",
    "FILE:GP practices of Greenwich is live, but its connector gp_connect has not earned silver there. Run",
    "ISSUER: it is the demo's identity provider. Name your own issuer.",
    "PATIENTS: it is the demo's identity provider. Name your own issuer.",
)


def test_the_doctor_lists_exactly_what_production_still_needs(demo: Demo) -> None:
    done = run_cli("doctor", "--port", str(demo.port), environment=demo.environment)
    assert (done.returncode, done.stderr) == (1, "")
    lines = [line.partition(". ")[2] for line in done.stdout.splitlines() if ". Advice: " not in line]
    said = json.loads((demo.data / "identity.json").read_text())
    file = ROOT / "connectors" / "organisations.yaml"
    numbered = list(enumerate(file.read_text().splitlines(), start=1))
    entries = [number for number, line in numbered if line.startswith("  - ")]
    lists = ("GP practices of Lewisham", "GP practices of Greenwich")
    names = ("RJ2", *lists, "08L", "08A", "709", "RPG", "703", "X26")
    places = {
        **{f"FILE:{name}": f"{file}:{line}: {name}" for name, line in zip(names, entries, strict=True)},
        "DATA": str(demo.data),
        "ISSUER": said["issuer"],
        "PATIENTS": said["patientIssuer"],
    }
    pattern = "|".join(map(re.escape, places))
    expected = [re.sub(pattern, lambda found: places[found[0]], text) for text in STILL_NEEDED]
    assert len(lines) == len(expected), done.stdout
    assert [line[: len(text)] for line, text in zip(lines, expected, strict=True)] == expected


def test_a_role_that_the_demo_has_not_got_is_told_with_those_it_has(demo: Demo) -> None:
    done = run_cli("demo", "token", "--as", "nobody", "--port", str(demo.port), environment=demo.environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Ask for one of gp, hospital-doctor, nurse")


def test_a_second_demo_on_the_same_folder_is_told_and_leaves_the_first_alone(demo: Demo) -> None:
    files = {name: (demo.data / name).read_text() for name in ("sandboxes.json", "identity.json")}
    done = run_cli("demo", "--port", "0", "--data", str(demo.data), environment=demo.environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("A demo already runs on this data folder")
    assert {name: (demo.data / name).read_text() for name in files} == files


@pytest.mark.slow
def test_a_data_folder_that_is_a_file_is_not_blamed_on_the_port(demo: Demo, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    done = run_cli("demo", "--port", "0", "--data", str(file), environment=demo.environment)
    assert done.returncode == 1
    assert done.stderr.strip() == f"The data folder {file} can't be used (File exists). Name another: --data"


@pytest.mark.parametrize("port", every(4, ["abc", "65536", "-1", "8000 "]))
def test_a_port_that_is_none_is_told(port: str) -> None:
    done = run_cli("demo", environment={**os.environ, "PORT": port})
    assert done.returncode == 1
    assert done.stderr.strip() == f"PORT={port} is no port. Give a number up to 65535: PORT=8001 make demo"


def test_ctrl_c_ends_all_of_it_and_nothing_clinical_is_left(demo: Demo) -> None:
    state = json.loads((demo.data / "sandboxes.json").read_text())
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(timeout=120) == 0
    assert demo.process.stdout is not None
    assert GRACE not in demo.process.stdout.read().partition("$everything'")[2]
    for address in (*state["addresses"].values(), f"http://127.0.0.1:{demo.port}/livez"):
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(address, timeout=2)
    kept = [path.name for path in demo.data.parent.rglob("*") if path.is_file()]
    assert "connect-care.sqlite3" in kept
    assert "gateway.log" in kept
    assert not list(leaked(demo.data.parent))
    everything_kept = b"".join(
        p.read_bytes() for p in demo.data.parent.rglob("*") if p.is_file() and p.suffix != ".json"
    )
    assert GRACE.encode() not in everything_kept


@pytest.mark.slow
def test_a_port_that_is_taken_is_told(demo: Demo, tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "gateway.cli", "demo", "--port", port, "--data", str(tmp_path / "d")],
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
    assert done.returncode == 1
    assert "Choose another" in done.stderr
