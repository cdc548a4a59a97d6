"""`connector new`: what it writes is built, checked and tested as a new user would, in a copy of the project.

One of them brings a foreign R4 server into a real demo, from the scaffold's output alone.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

import connectors
from connectors.kit import cli
from connectors.kit.canaries import PATTERN
from connectors.kit.check import CaseResult
from connectors.kit.entry import subject_in
from connectors.kit.faults import Mode
from connectors.kit.json_api import sandbox
from connectors.sdk.errors import ConfigurationError
from connectors.sdk.grades import Grade, grade_of
from connectors.sdk.organisations import load_organisations
from gateway.connector_commands import scaffold
from gateway.connector_commands.refusals import CannotDo
from tests.connectors.test_sekmet import configure, opened, transaction, wait_until_up
from tests.flow.stack import GRACE
from tests.processes import free_port

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("connectors", "gateway", "policies", "docs", "pyproject.toml", "README.md", "CHANGELOG.md")
GUIDE = ROOT / "docs" / "add-a-connector.md"
MOST_LINES = 200
MOST_LINES_OF_YAML = 40


def copied(folder: Path) -> Path:
    """The project as a checkout: its code, and as much of its tests as a generated one needs."""
    junk = shutil.ignore_patterns("__pycache__", "*.pyc", "with-*.yaml")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=junk)
        else:
            shutil.copy(source, folder / name)
    (folder / "tests" / "connectors").mkdir(parents=True)
    for module in (ROOT / "tests").glob("*.py"):  # what conftest.py takes of them isn't known here
        shutil.copy(module, folder / "tests" / module.name)
    (folder / "tests" / "connectors" / "__init__.py").touch()
    return folder


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = copied(tmp_path_factory.mktemp("checkout"))
    yield folder
    shutil.rmtree(folder)  # the code itself names a canary, which the scan after the run would take for a leak


def run(checkout: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A command in the copy. It isn't measured: its files are those of the copy."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=checkout,
        env={**own, "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def passes(checkout: Path, *command: str) -> str:
    done = run(checkout, *command)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def connector(checkout: Path, *command: str) -> str:
    return passes(checkout, "gateway.cli", "connector", *command)


def guided(checkout: Path, *command: str) -> str:
    """As `connector`, for a command that stands in the guide just so."""
    assert f"connectcare connector {' '.join(command)}\n" in GUIDE.read_text()
    return connector(checkout, *command)


def contents(checkout: Path) -> Mapping[str, bytes]:
    files = (path for path in checkout.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(checkout)): path.read_bytes() for path in files if ".cache" not in str(path)}


def written(told: str) -> list[str]:
    """The files that the command says it wrote."""
    lines = told.splitlines()
    return [line.strip() for line in lines[1 : lines.index("")]]


@pytest.mark.slow
def test_a_dialect_connector_is_whole_at_once(checkout: Path) -> None:
    before = contents(checkout)
    told = guided(checkout, "new", "jotter", "--kind", "dialect", "--ods", "RVV")
    after = contents(checkout)
    assert sorted(set(after) - set(before)) == sorted(written(told))
    assert {name: after[name] for name in before} == before, "a shared file was edited"
    for part in ("manifest.yaml", "settings.py", "connector.py", "sandbox/people.json", "README.md", "entry.yaml"):
        assert f"connectors/jotter/{part}" in after
    assert told.index("connectcare connector check jotter") < told.index("docs/add-a-connector.md")

    assert "1 passed" in guided(checkout, "check", "jotter", "--case", "K04")
    code = [name for name in written(told) if name.endswith(".py")]
    passes(checkout, "ruff", "check", *code)
    passes(checkout, "ruff", "format", "--check", *code)
    passes(checkout, "mypy", "--strict", "-p", "connectors.jotter")
    test = "tests/connectors/test_jotter.py"
    assert f"pytest {test}\n" in GUIDE.read_text()
    assert " failed" not in passes(checkout, "pytest", "-q", "-p", "no:cacheprovider", test)

    lines = sum(after[name].count(b"\n") for name in written(told) if not name.endswith("README.md"))
    assert lines < MOST_LINES, f"{lines} lines: code, manifest, entry, people and test"


def test_it_passes_the_check_and_earns_bronze_by_it(checkout: Path) -> None:
    connector(checkout, "new", "noted", "--kind", "dialect", "--ods", "RVW", "--owner", "Sam O'Neill (integration)")
    assert "bronze" not in connector(checkout, "describe", "noted")
    said = connector(checkout, "check", "noted", "--record")
    cases = [line.split()[:2] for line in said.splitlines() if line.startswith("K")]
    assert [number for number, state in cases if state != "passed"] == ["K07"]
    assert len(cases) > 40
    described = connector(checkout, "describe", "noted")
    assert "bronze by evidence/kit.json" in described
    assert "Sam O'Neill (integration)" in described
    assert ["noted", "dialect", "bronze", "none"] in [line.split() for line in connector(checkout, "list").splitlines()]


@pytest.mark.slow
def test_one_case_can_be_checked_and_told_as_json(checkout: Path) -> None:
    connector(checkout, "new", "single", "--kind", "dialect", "--ods", "RVU")
    (result,) = json.loads(connector(checkout, "check", "single", "--case", "k01", "--json"))
    assert (result["number"], result["passed"]) == ("K01", True)
    assert result["paragraph"] == "docs/connector-kit.md#k01"
    part = run(checkout, "gateway.cli", "connector", "check", "single", "--case", "K01", "--record")
    assert (part.returncode, "Evidence is of every case" in part.stderr) == (2, True)


@pytest.mark.slow
def test_a_fault_is_found_and_the_command_fails(checkout: Path) -> None:
    connector(checkout, "new", "faulty", "--kind", "dialect", "--ods", "RVX")
    mapping = checkout / "connectors" / "faulty" / "mapping.py"
    whole = mapping.read_text()
    for before, after, number, said in (
        ('entry["value"]', 'float(entry["value"])', "K40", "kept its digits"),
        ("Patient/{entry['personId']}", "Patient/p-1", "K05", "items of somebody else look like the patient's"),
        ("dateAsserted=", "dateasserted=", "K33", "that R4 doesn't know: MedicationStatement.dateasserted"),
        ('entry["dose"]', 'entry["doze"]', "K01", "(KeyError at connectors/faulty/mapping.py:"),
    ):
        assert before in whole
        mapping.write_text(whole.replace(before, after))
        done = run(checkout, "gateway.cli", "connector", "check", "faulty", "--case", number)
        assert done.returncode == 1
        assert f"{number}  FELL" in done.stdout
        assert f"(docs/connector-kit.md#{number.lower()})" in done.stdout
        assert said in done.stdout


@pytest.mark.slow
def test_code_that_cannot_be_imported_is_named_to_the_line(checkout: Path) -> None:
    connector(checkout, "new", "broken_off", "--kind", "dialect", "--ods", "RVS")
    mapping = checkout / "connectors" / "broken_off" / "mapping.py"
    mapping.write_text(mapping.read_text().replace("def allergy(", "def allergy("[:-1]))
    for command, code in ((["check", "broken_off"], 2), (["describe", "broken_off"], 1)):
        done = run(checkout, "gateway.cli", "connector", *command)
        assert done.returncode == code
        assert "SyntaxError at connectors/broken_off/mapping.py:" in done.stderr
        assert "Traceback" not in done.stderr
    listed = connector(checkout, "list")
    assert "broken_off" in listed


@pytest.mark.slow
def test_an_r4_source_needs_no_python(checkout: Path) -> None:
    before = contents(checkout)
    told = guided(checkout, "new", "riverside", "--kind", "fhir-r4", "--ods", "RVY")
    after = contents(checkout)
    assert sorted(set(after) - set(before)) == sorted(written(told))
    assert {name: after[name] for name in before} == before, "a shared file was edited"
    assert not [name for name in written(told) if name.startswith("connectors/") and name.endswith(".py")]
    assert ", 0 skipped, 0 fell" in guided(checkout, "check", "riverside")
    test = "tests/connectors/test_riverside.py"
    passes(checkout, "ruff", "check", test)
    passes(checkout, "pytest", "-q", "-p", "no:cacheprovider", test, "-k", "K01 or K04")
    assert "served by fhir_r4" in guided(checkout, "describe", "riverside")


@pytest.mark.slow
def test_an_organisation_is_checked_with_its_own_settings(checkout: Path) -> None:
    connector(checkout, "new", "chained", "--kind", "fhir-r4", "--ods", "RVZ")
    entry = checkout / "connectors" / "chained" / "entry.yaml"
    entry.write_text(entry.read_text().replace("patient_by: logical-id", "patient_by: nonsense"))
    done = run(checkout, "gateway.cli", "connector", "check", "chained")
    assert done.returncode == 2
    assert "settings.patient_by" in done.stderr
    entry.write_text("ods: RVZ\n")
    done = run(checkout, "gateway.cli", "connector", "check", "chained")
    assert (done.returncode, "entry.yaml:1: this is not one entry" in done.stderr) == (2, True)


@pytest.mark.slow
def test_what_is_unknown_is_said(checkout: Path) -> None:
    for command in (["check", "nobody"], ["check", "fhir_r4", "--case", "K99"], ["describe", "nobody"]):
        done = run(checkout, "gateway.cli", "connector", *command)
        assert done.returncode in (1, 2)
        assert "nobody" in done.stderr or "K99" in done.stderr
        assert "Traceback" not in done.stderr


@contextmanager
def foreign_server(folder: Path, record: Path) -> Iterator[str]:
    """`sekmet-fhir`, which nobody here wrote, with one record under the number of somebody whom the demo knows."""
    port = free_port()
    settings, root, log = configure(folder, port), f"http://127.0.0.1:{port}", folder / "log.txt"
    command = [str(Path(sys.executable).with_name("sekmet")), "serve", "--config", str(settings)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until_up(process, root, log)
        with opened(root) as loader:
            loader.post("", content=json.dumps(transaction(record, GRACE))).raise_for_status()
        yield root
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def demo(folder: Path, organisations: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """`connectcare demo --organisations FILE`: its port, and the environment of another terminal."""
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}
    port = free_port()
    command = ["gateway.cli", "demo", "--port", str(port), "--data", str(folder / "data")]
    with (folder / "demo.log").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", *command, "--organisations", str(organisations)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    try:
        assert any("$everything" in line for line in process.stdout), (folder / "demo.log").read_text()[-2000:]
        yield port, environment
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=120)
        process.stdout.close()


def call(url: str, token: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=data, headers=headers), timeout=120) as answer:
        return json.load(answer)


@pytest.mark.slow
def test_a_foreign_r4_server_is_live_in_the_demo_by_the_scaffolds_output(
    checkout: Path, tmp_path: Path, shared_data: Path
) -> None:
    """As the guide has it: new, fill in the entry, put it under the others, start the demo, look."""
    record = min((shared_data / "trust-r4" / "synthea").glob("*.json"))
    with foreign_server(tmp_path, record) as root:
        address = ("--address", f"{root}/fhir")
        connector(checkout, "new", "foreign", "--kind", "fhir-r4", "--ods", "RVT", *address)
        entry = checkout / "connectors" / "foreign" / "entry.yaml"
        entry.write_text(entry.read_text().replace("scheme: none", AUTH.format(root=root, folder=tmp_path)))
        assert entry.read_text().count("\n") < MOST_LINES_OF_YAML
        step = "cat connectors/organisations.yaml connectors/{0}/entry.yaml > connectors/with-{0}.yaml"
        assert step.format("riverside") in GUIDE.read_text()
        subprocess.run(step.format("foreign"), shell=True, cwd=checkout, check=True)
        file = checkout / "connectors" / "with-foreign.yaml"
        assert load_organisations(file).get("RVT") is not None
        with demo(tmp_path, file) as (port, environment):
            command = [sys.executable, "-m", "gateway.cli", "demo", "token", "--as", "gp", "--port", str(port)]
            token = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=180, check=True
            ).stdout
            base = f"http://127.0.0.1:{port}"
            call(f"{base}/permissions", token.strip(), {"nhsNumber": GRACE, "basis": "patient-agreed"})
            bundle = call(f"{base}/fhir/R4/Patient/{GRACE}/$everything", token.strip())
    issues = [issue for one in bundle["entry"] for issue in one["resource"].get("issue", ())]
    (told,) = [issue for issue in issues if "RVT" in json.dumps(issue["details"])]
    assert told["severity"] == "information", told
    sent = [one["resource"] for one in json.loads(record.read_text())["entry"]]
    assert kinds(sent)["Observation"] > 20
    shown = [one["resource"] for one in bundle["entry"]]
    missing = kinds(sent) - kinds(shown)
    assert not {kind: missing[kind] for kind in SHOWN if missing[kind]}


SHOWN = ("Patient", "AllergyIntolerance", "MedicationRequest", "Encounter", "Observation", "Condition", "Immunization")


def kinds(resources: list[dict[str, Any]]) -> Counter[str]:
    return Counter(resource["resourceType"] for resource in resources)


AUTH = """scheme: smart-backend-services
        token_url: {root}/auth/token
        client_id: gateway
        key_file: {folder}/gateway.pem
        kid: gateway-1"""


def bare(folder: Path) -> Path:
    """As much of a checkout as is needed to write into."""
    (folder / "connectors").mkdir()
    (folder / "connectors" / "organisations.yaml").touch()
    (folder / "tests" / "connectors").mkdir(parents=True)
    (folder / "pyproject.toml").touch()
    return folder


def order(root: Path, **other: str) -> scaffold.Order:
    given: dict[str, Any] = {
        "name": "jotter",
        "kind": "dialect",
        "ods": "RVV",
        "organisation_type": "acute-trust",
        "address": "https://fhir.organisation.example/R4",
        "owner": "Integration team",
        **other,
    }
    return scaffold.order(**given, root=root)


@pytest.mark.parametrize("kind", ["dialect", "fhir-r4"])
def test_every_file_is_written_and_none_holds_a_placeholder(tmp_path: Path, kind: str) -> None:
    wanted = order(bare(tmp_path), kind=kind)
    files = scaffold.write(wanted)
    assert all(file.is_file() for file in files)
    for file in files:
        text = file.read_text()
        assert "$" not in text.replace("${secret}", ""), file
    assert "connectcare connector check jotter" in scaffold.told(wanted, files)
    assert not list((tmp_path / "connectors").glob(".*"))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"name": "Jotter"}, "can't be a connector's name"),
        ({"name": "../jotter"}, "can't be a connector's name"),
        ({"name": "jot ter"}, "can't be a connector's name"),
        ({"name": "j"}, "can't be a connector's name"),
        ({"name": "class"}, "it's a word of Python"),
        ({"name": "jotter\n"}, "can't be a connector's name"),
        ({"name": "kit"}, "connectors/kit is something else already"),
        ({"name": "practices"}, "connectors/practices is something else already"),
        ({"kind": "stu3"}, "Use one of: fhir-r4, dialect."),
        ({"ods": "rj2"}, "no ODS code"),
        ({"ods": "R"}, "no ODS code"),
        ({"ods": "RJ2RJ2RJ2"}, "no ODS code"),
        ({"ods": "RJ2\n"}, "no ODS code"),
        ({"organisation_type": "hospital"}, "Use one of: gp-practice, acute-trust"),
        ({"address": "fhir.trust.example"}, "must be a whole http or https URL"),
        ({"owner": 'x"\nname: other'}, "--owner must be a name"),
    ],
)
def test_what_cannot_be_made_is_refused_before_anything_is_written(
    tmp_path: Path, other: dict[str, str], said: str
) -> None:
    root = bare(tmp_path)
    before = contents(root)
    with pytest.raises(CannotDo) as caught:
        order(root, **other)
    assert said in str(caught.value)
    assert contents(root) == before


def test_what_exists_is_never_written_over(tmp_path: Path) -> None:
    root = bare(tmp_path)
    scaffold.write(order(root))
    with pytest.raises(CannotDo, match="connectors/jotter exists already"):
        order(root)
    (root / "tests" / "connectors" / "test_other.py").write_text("")
    with pytest.raises(CannotDo, match=r"test_other\.py exists already"):
        order(root, name="other")


def test_a_code_that_stands_in_the_organisations_already_is_pointed_out(tmp_path: Path) -> None:
    root = bare(tmp_path)
    assert "already" not in scaffold.told(order(root), [])
    entry = "organisations:\n  - {ods: RVV, name: Jotter, type: acute-trust, stage: planned}\n"
    (root / "connectors" / "organisations.yaml").write_text(entry)
    assert "RVV stands in connectors/organisations.yaml already" in scaffold.told(order(root), [])


def test_without_a_checkout_there_is_no_place_for_it(tmp_path: Path) -> None:
    with pytest.raises(CannotDo, match="no source checkout"):
        order(tmp_path)


def test_half_a_connector_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = order(bare(tmp_path))
    before = contents(tmp_path)

    def full(*_: Any, **__: Any) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(CannotDo, match="No space left on device"):
        scaffold.write(wanted)
    assert contents(tmp_path) == before


def test_the_owner_is_whoever_asks_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "a.person")
    assert (
        scaffold.order("jotter", "dialect", "RVV", "council", address="https://x.example", root=bare(tmp_path)).owner
        == "a.person"
    )


def results(*fallen: str) -> list[CaseResult]:
    return [CaseResult(number, "a case", number not in fallen, "said", "docs") for number in ("K01", "K02")]


def test_a_check_that_fell_is_never_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = order(bare(tmp_path))
    scaffold.write(wanted)
    scaffold.write(order(tmp_path, name="riverside", kind="fhir-r4"))
    monkeypatch.setattr(connectors, "__path__", [str(tmp_path / "connectors")])
    with pytest.raises(ConfigurationError, match=r"Not recorded: K02 fell\."):
        cli.record("jotter", results("K02"))
    assert cli.main(["riverside", "--record"]) == 2
    said = capsys.readouterr()
    assert (said.out, "or record that of fhir_r4." in said.err) == ("", True)
    assert grade_of("jotter") is Grade.NONE
    assert cli.record("jotter", results()) == wanted.folder / "evidence" / "kit.json"
    assert grade_of("jotter") is Grade.BRONZE


def test_each_case_is_told_and_those_that_fell_with_their_paragraph() -> None:
    skipped = CaseResult("K03", "another", True, "skipped: it has no pages", "docs", skipped=True)
    assert cli.told("jotter", [*results("K02"), skipped]).splitlines() == [
        "K01  passed   a case  (docs)",
        "K02  FELL     a case  (docs)",
        "     said",
        "K03  skipped  another  (docs)",
        "     it has no pages",
        "",
        "jotter: 1 passed, 1 skipped, 1 fell",
    ]
    assert cli.told("jotter", results("K01", "K02")).endswith(
        "2 fell\nBegin with K01: the others build on what it asks for."
    )


def test_the_kit_says_what_it_cannot_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["nobody"]) == 2
    assert "nobody" in capsys.readouterr().err
    assert cli.main(["fhir_r4", "--case", "K99"]) == 2
    assert "K99" in capsys.readouterr().err


def test_one_case_of_a_shipped_connector(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fhir_r4", "--case", "K03"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "fhir_r4: 1 passed, 0 skipped, 0 fell"


def test_the_same_error_is_told_once() -> None:
    once = cli._Once()
    record = logging.LogRecord("asyncio", logging.ERROR, "", 0, "broke", (), (ValueError, ValueError("x"), None))
    assert [once.filter(record), once.filter(record)] == [True, False]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout whose connectors can be imported into this process: a dialect and an organisation, just written."""
    scaffold.write(order(bare(tmp_path), name="written_here"))
    scaffold.write(order(tmp_path, name="served_here", kind="fhir-r4"))
    monkeypatch.setattr(connectors, "__path__", [*connectors.__path__, str(tmp_path / "connectors")])
    yield tmp_path / "connectors"
    for name in [name for name in sys.modules if name.startswith("connectors.written_here")]:
        del sys.modules[name]


@pytest.mark.parametrize("name", ["written_here", "served_here"])
def test_what_was_written_is_found_by_the_kit(here: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name, "--case", "K01", "--case", "K02", "--case", "K03"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{name}: 3 passed, 0 skipped, 0 fell"
    assert cli.main([name, "--case", "K01", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["number"] == "K01"


def test_an_entry_gives_the_kit_its_settings_but_none_of_its_files(here: Path) -> None:
    file = here / "served_here" / "entry.yaml"
    more = "    settings:\n      page_size: 7\n      tls: {ca_file: /etc/ca.pem}"
    file.write_text(file.read_text().replace("    settings:", more))
    subject = subject_in("served_here")
    assert subject.kit.settings["page_size"] == 7
    assert subject.kit.settings["auth"]["value_file"] == "${secret}"
    assert "tls" not in subject.kit.settings
    assert subject_in("written_here").connector == "written_here"


@pytest.mark.parametrize("text", ["ods: RVV\n", "- 1\n", "- ods: RVV\n  settings: none\n", "- ods: RVV\n- ods: RVW\n"])
def test_an_entry_that_is_none_is_refused(here: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "served_here" / "entry.yaml").write_text(text)
    assert cli.main(["served_here"]) == 2
    assert "entry.yaml" in capsys.readouterr().err


def test_a_part_of_the_check_or_another_sandbox_is_no_evidence(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more in (["--case", "K01"], ["--ods", "RVV"]):
        assert cli.main(["written_here", "--record", *more]) == 2
        assert "Evidence is of every case" in capsys.readouterr().err


async def test_the_sandbox_of_a_json_api_answers_lies_and_fails(here: Path) -> None:
    app = sandbox("RVV", here / "written_here" / "sandbox" / "people.json", canaries=True)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://sandbox/fhir/") as client:
        people = (await client.get("people", params={"nhsNumber": GRACE})).json()
        assert [person["id"] for person in people["entries"]] == ["p-1"]
        assert (await client.get("people")).json() == {"entries": [], "total": 0, "next": None}
        results = await client.get("people/p-1/results")
        assert '"value":4.50' in results.text
        assert set(PATTERN.findall(results.text)) <= set(app.canaries)
        assert PATTERN.search(people["entries"][0]["address"])
        for nowhere in ("people/p-1", "people/p-1/nothing", "people/p-9/results", "other/p-1/results"):
            assert (await client.get(nowhere)).status_code == 404
        app.switch.mode = Mode.LYING_QUIETLY
        lies = (await client.get("people/p-1/allergies")).json()["entries"]
        assert {entry["personId"] for entry in lies} == {"p-1", "p-2"}
        app.switch.mode = Mode.NO_ALLERGIES
        assert (await client.get("people/p-1/allergies")).status_code == 500
        assert (await client.get("people/p-1/medicines")).status_code == 200
