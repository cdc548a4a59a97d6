"""`connector try`: an access to a patient's data like any other: journalled, obedient, and silent on content."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import connectors
from connectors.fhir_r4.sandbox import holdings
from connectors.kit.canaries import PATTERN
from connectors.sdk.grades import Grade, grade_of
from connectors.sdk.manifest import folder_of
from connectors.sdk.model import Answer, Gap, Outcome, Section
from connectors.sdk.organisations import Organisation
from gateway.audit.row import Kind, Row
from gateway.caller.model import KnownCaller
from gateway.choice.model import Channel, Choice, SharingChoice, StatedBy
from gateway.connector_commands import report, trial
from gateway.connector_commands.refusals import CannotDo
from gateway.connector_commands.wish import Question, Wish
from gateway.errors import AuditUnavailable
from gateway.sealed import Sealer, load_master_key, new_master_key
from gateway.settings import SettingsError
from gateway.store.folder import Folder
from gateway.store.interface import Kept
from gateway.store.sqlite import SqliteStore
from tests.flow.stack import GRACE, STRANGER, WINSTON
from tests.processes import organisation, process
from tests.quick import every

ODS = "RJ2"


@dataclass(frozen=True)
class Site:
    """A gateway that isn't running, and the running sandbox of one trust."""

    folder: Path
    control: str

    @property
    def config(self) -> Path:
        return self.folder / "settings.yaml"

    def wish(self, **other: Any) -> Wish:
        given: dict[str, Any] = {"name": "fhir_r4", "nhs_number": GRACE, "config": self.config, "reason": "connecting"}
        return Wish(**{**given, "user_id": "a.person", "ticket": "CHG-1042", **other})

    def said(self, **other: Any) -> str:
        return report.told(trial.run(self.wish(**other)))

    def sealer(self) -> Sealer:
        return Sealer(load_master_key(self.folder / "master.key"))

    def opened(self, work: Callable[[SqliteStore], Any]) -> Any:
        async def once() -> Any:
            store = SqliteStore(self.folder / "data")
            try:
                return await work(store)
            finally:
                await store.aclose()

        return asyncio.run(once())

    def rows(self) -> list[Row]:
        kept: list[Kept] = self.opened(lambda store: store.rows(limit=500))
        return [one.row for one in kept]

    def calls(self) -> int:
        with urllib.request.urlopen(self.control) as answer:
            return int(json.load(answer)["calls"]["total"])

    def make(self, mode: str) -> None:
        body = json.dumps({"mode": mode}).encode()
        urllib.request.urlopen(urllib.request.Request(self.control, data=body, method="POST")).close()


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The sandbox of one trust, in a process of its own, with canaries."""
    folder = tmp_path_factory.mktemp("sandbox")
    file, state = folder / "organisations.yaml", folder / "state.json"
    file.write_text(
        json.dumps({"organisations": [organisation(ODS, "acute-trust", "sandbox", patient_by="identifier")]})
    )
    command = ("connectors.kit.serve", "--organisations", str(file), "--state", str(state), "--canaries")
    with process(state, *command) as said:
        yield json.loads(said)


@pytest.fixture
def site(tmp_path: Path, sandbox: dict[str, Any]) -> Iterator[Site]:
    new_master_key(tmp_path / "master.key")
    practice = {"ods": "G85005", "name": "A practice", "type": "gp-practice", "stage": "live"}
    council = {"ods": "709", "name": "A council", "type": "council", "stage": "live"}
    trust = organisation(ODS, "acute-trust", sandbox["addresses"][ODS], patient_by="identifier")
    (tmp_path / "organisations.yaml").write_text(json.dumps({"organisations": [trust, practice, council]}))
    issuer = {
        "issuer": "http://127.0.0.1:9/x",
        "audience": "x",
        "algorithms": ["ES256"],
        "allow_insecure_loopback": True,
    }
    settings = {
        "profile": "demo",
        "public_url": "http://127.0.0.1:8000",
        "data_dir": str(tmp_path / "data"),
        "key_file": str(tmp_path / "master.key"),
        "organisations_file": str(tmp_path / "organisations.yaml"),
        "issuers": [issuer],
    }
    made = Site(tmp_path, sandbox["control"][ODS])
    made.config.write_text(json.dumps(settings))
    made.opened(lambda store: store.ready())
    yield made
    made.make("well")


def opt_out(site: Site, nhs_number: str) -> None:
    sealer = site.sealer()
    choice = SharingChoice(
        id="c1",
        patient=sealer.patient_tag(nhs_number),
        sealed_patient=sealer.seal_patient(nhs_number),
        choice=Choice.OPTED_OUT,
        stated_by=StatedBy.PATIENT,
        channel=Channel.PHONE,
        recorded_by="1",
        recorded_by_name="Somebody",
        organisation=ODS,
        recorded_at=datetime.now(UTC),
    )
    row = Row(kind=Kind.SHARING_CHOICE, request_id="r", at=datetime.now(UTC), door="test")
    site.opened(lambda store: store.record_choice(choice, row))


def test_it_tells_counts_times_and_gaps_and_nothing_of_the_patient(site: Site) -> None:
    said = site.said()
    assert "fhir_r4 at RJ2 (Organisation RJ2, live), asked at 127.0.0.1:" in said
    assert "outcome    answered in" in said
    assert "allergies          1  whole" in said
    assert "Patient 1" in said
    assert "missing    nothing" in said
    assert "as an access by a.person" in said
    assert GRACE not in said
    assert not PATTERN.search(said)
    bodies = b"".join(stored.body for stored in holdings(ODS).by_key.values()).decode()
    for clinical in ("Adebayo", "Grace", "1958-03-12", "otassium"):
        assert clinical in bodies
        assert clinical not in said


def test_who_why_and_how_much_are_in_the_journal(site: Site) -> None:
    site.said()
    intent, tried = site.rows()
    tag = site.sealer().patient_tag(GRACE)
    assert (intent.kind, tried.kind) == (Kind.INTENT, Kind.SOURCE_TRIED)
    for row in (intent, tried):
        assert row.who is not None
        assert (row.who.user_id, row.who.role, row.door) == ("a.person", "operator", "connectcare connector try")
        assert (row.patient, row.detail, row.subject) == (tag, "connecting CHG-1042", "fhir_r4 at RJ2")
        assert row.policy_hash
    assert tried.intent == 1
    assert tried.sources[ODS].outcome == "answered"
    assert tried.seen["allergies"] == 1
    assert intent.seen == {}
    assert not tried.permission


def test_somebody_who_opted_out_is_not_asked_about(site: Site) -> None:
    opt_out(site, WINSTON)
    before = site.calls()
    with pytest.raises(CannotDo, match="has opted out of Connect Care"):
        site.said(nhs_number=WINSTON)
    assert site.calls() == before
    assert [row.kind for row in site.rows()][1:] == [Kind.INTENT, Kind.REFUSAL]
    assert site.rows()[-1].rule == "choice.opted-out"
    assert site.rows()[-1].intent == 2


def test_without_a_journal_nobody_is_asked(site: Site, tmp_path: Path) -> None:
    before = site.calls()
    settings = json.loads(site.config.read_text())
    site.config.write_text(json.dumps({**settings, "data_dir": str(tmp_path / "other")}))
    with pytest.raises(CannotDo, match=r"There is no journal in .*other, so nobody is asked"):
        site.said()
    assert not (tmp_path / "other").exists()
    assert site.calls() == before


def test_while_a_gateway_writes_to_the_journal_nobody_is_asked(site: Site) -> None:
    before = site.calls()
    held = Folder(site.folder / "data")
    try:
        with pytest.raises(CannotDo, match="another one doesn't know who has opted out"):
            site.said()
    finally:
        held.unlock()
    assert site.calls() == before


def test_with_another_key_nobody_is_asked(site: Site) -> None:
    site.said()
    before = site.calls()
    (site.folder / "master.key").unlink()
    new_master_key(site.folder / "master.key")
    with pytest.raises(CannotDo, match="key"):
        site.said()
    assert site.calls() == before


@pytest.mark.parametrize("fails_at", [1, 2])
def test_what_cannot_be_written_down_is_neither_asked_nor_told(
    site: Site, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    class Full(SqliteStore):
        written = 0

        async def append(self, row: Row) -> int:
            self.written += 1
            if self.written >= fails_at:
                raise AuditUnavailable("the disk is full")
            return await super().append(row)

    before = site.calls()
    monkeypatch.setattr(trial, "open_for_writing", lambda settings, clock: Full(settings.data_dir, clock=clock))
    with pytest.raises(CannotDo, match="can't write its audit journal"):
        trial.run(site.wish())
    assert (site.calls() > before) is (fails_at == 2)


@pytest.mark.parametrize(
    ("mode", "outcome", "told"),
    [
        ("broken", "failed", "answered with an error"),
        ("refusing", "refused", "refused the question"),
        ("garbage", "failed", "can't be trusted"),
        ("busy", "failed", "is too busy to answer"),
    ],
)
def test_a_source_that_fails_is_told_as_it_is(site: Site, mode: str, outcome: str, told: str) -> None:
    site.make(mode)
    said = site.said()
    assert f"outcome    {outcome} in" in said
    assert told in said
    assert "allergies          0  not whole" in said
    assert site.rows()[-1].sources[ODS].outcome == outcome


def test_somebody_elses_record_is_an_alarm_and_counts_for_nothing(site: Site) -> None:
    site.make("lying")
    said = site.said()
    assert "alarms     wrong-patient" in said
    assert "allergies          0  not whole: identity-alarm" in said
    assert site.rows()[-1].alarms[0].kind == "wrong-patient"


def test_a_stranger_is_no_record(site: Site) -> None:
    said = site.said(nhs_number=STRANGER)
    assert "outcome    no-record" in said
    assert "no record of this patient" in said
    assert "nothing recorded" not in said
    assert "calls" not in said


def test_in_a_stated_role_only_that_roles_sections_are_asked_for(site: Site) -> None:
    whole, narrow = trial.run(site.wish()), trial.run(site.wish(acting_as="social-worker@709"))
    assert narrow.question.sections < whole.question.sections
    assert "(the role may not see it)" in report.told(narrow)
    assert not narrow.is_whole
    who = site.rows()[-1].who
    assert who is not None
    assert (who.role, who.organisation, who.user_id) == ("social-worker", "709", "a.person")
    assert who.job_role_code.startswith("R")


def test_a_section_that_the_entry_leaves_out_is_told(site: Site) -> None:
    file = site.folder / "fewer.yaml"
    listed = json.loads((site.folder / "organisations.yaml").read_text())["organisations"]
    listed[0]["sections"] = ["demographics", "allergies"]
    file.write_text(json.dumps({"organisations": listed}))
    said = site.said(organisations=file)
    assert "medicines (the connector can, the organisation's entry doesn't offer it)" in said


@pytest.mark.parametrize(
    ("other", "said"),
    every(
        4,
        [
            (
                {"name": "nobody"},
                "There is no connector nobody: no folder of that name has a manifest.yaml. Use one of: ",
            ),
            ({"nhs_number": "9990000400"}, "check digit is wrong"),
            ({"nhs_number": "abc"}, "has ten digits"),
            ({"ods": "G85005"}, "G85005 has no entry with connector: fhir_r4"),
            ({"ods": "XXX"}, "XXX has no entry with connector: fhir_r4"),
            ({"reason": "curiosity"}, "--reason must be one of: connecting, fault, contract-run, drill."),
            ({"ticket": "she has a rash"}, "--ticket must look like CHG-1042."),
            ({"user_id": "a person"}, "--user-id must be an identifier"),
            ({"acting_as": "gp"}, "--as must be ROLE@ODS"),
            ({"acting_as": "wizard@G85005"}, "--as must be ROLE@ODS"),
            ({"acting_as": "gp@XXX"}, "--as must be ROLE@ODS"),
            ({"acting_as": "gp@709"}, "No gp of 709 (council) may see a record."),
            ({"record": True}, "Nobody is asked: say who answers for the connection, with --owner."),
            ({"record": True, "owner": "A. Owner"}, "Nobody is asked: RJ2 has no test endpoint of its own to record."),
            ({"acting_as": "privacy-officer@G85005"}, "No privacy-officer of G85005"),
        ],
    ),
)
def test_what_is_wrong_is_said_before_anything_is_written(site: Site, other: dict[str, str], said: str) -> None:
    with pytest.raises(CannotDo) as caught:
        trial.run(site.wish(**other))
    assert said in str(caught.value)
    assert "9990000400" not in str(caught.value)
    assert site.rows() == []


def rewrite(site: Site, *entries: dict[str, Any], **settings: Any) -> None:
    (site.folder / "organisations.yaml").write_text(json.dumps({"organisations": entries}))
    site.config.write_text(json.dumps({**json.loads(site.config.read_text()), **settings}))


def test_among_several_it_must_be_said_which(site: Site) -> None:
    rewrite(site, *(organisation(ods, "acute-trust", "http://127.0.0.1:9/fhir") for ods in ("RJ2", "RPG")))
    with pytest.raises(CannotDo, match="fhir_r4 stands in front of RJ2, RPG"):
        trial.run(site.wish())
    rewrite(site, {"ods": "RJ2", "name": "A trust", "type": "acute-trust", "stage": "live"})
    with pytest.raises(CannotDo, match="No entry has connector: fhir_r4"):
        trial.run(site.wish())


def test_a_sandbox_and_an_open_address_are_refused(site: Site) -> None:
    rewrite(site, organisation(ODS, "acute-trust", "sandbox"))
    with pytest.raises(CannotDo, match="RJ2 is at a sandbox address"):
        trial.run(site.wish())
    issuer = {"issuer": "https://login.example", "audience": "x", "algorithms": ["ES256"]}
    production = {"profile": "production", "public_url": "https://connectcare.example", "issuers": [issuer]}
    production |= {"checkpoint_key": "checkpoint.key", "audit_sink": "sink.jsonl"}
    rewrite(site, organisation(ODS, "acute-trust", "http://fhir.trust.example/R4"), **production)
    with pytest.raises(CannotDo, match="RJ2 has a plain HTTP address"):
        trial.run(site.wish())


def test_a_settings_file_that_is_wrong_stops_it(site: Site) -> None:
    site.config.write_text("{}")
    with pytest.raises(SettingsError):
        trial.run(site.wish())


def cli(site: Site, *more: str) -> subprocess.CompletedProcess[str]:
    command = ["connector", "try", "fhir_r4", "--config", str(site.config), "--reason", "connecting", *more]
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli", *command], capture_output=True, text=True, timeout=180, check=False
    )


@pytest.mark.slow
def test_the_command_line(site: Site) -> None:
    done = cli(site, "--nhs-number", GRACE, "--user-id", "a.person")
    assert (done.returncode, done.stderr) == (0, "")
    assert "outcome    answered" in done.stdout
    done = cli(site, "--nhs-number", GRACE, "--record", "--owner", "A. Owner")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Nobody is asked: RJ2 has no test endpoint of its own")
    assert cli(site, "--nhs-number", STRANGER).returncode == 0, "no record is an answer"
    site.make("broken")
    done = cli(site, "--nhs-number", GRACE)
    assert (done.returncode, "outcome    failed" in done.stdout) == (1, True)
    done = cli(site, "--nhs-number", "12345")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("An NHS number has ten digits.")


WHO = KnownCaller(issuer="x", token_id="", user_id="a.person", name="a.person")
TRUST = Organisation.model_validate(
    {**organisation(ODS, "acute-trust", "https://test-api.trust.nhs.uk/R4"), "sections": ["demographics", "allergies"]}
)


def tried(**other: Any) -> trial.Tried:
    asked = Question("jotter", TRUST, GRACE, TRUST.sections, WHO, "contract-run", 2.5)
    answer = Answer(ODS, Outcome.ANSWERED, took_ms=181.46, calls=3)
    return replace(trial.Tried(asked, answer, [], 1, 2), **other)


@pytest.fixture
def jotter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "jotter"
    folder.mkdir()
    (folder / "README.md").touch()
    (folder / "manifest.yaml").write_text(
        "name: jotter\nkind: dialect\nsummary: x\nowner: x\ncontract: x\nsections: [demographics, allergies]\n"
    )
    monkeypatch.setattr(connectors, "__path__", [*connectors.__path__, str(tmp_path)])
    return folder_of("jotter")


def test_a_whole_answer_of_a_test_endpoint_is_evidence(jotter: Path) -> None:
    file = report.record(tried(), " A. Owner ")
    evidence = json.loads(file.read_bytes())
    assert file == jotter / "evidence" / ODS / "contract.json"
    assert (evidence["endpoint"], evidence["owner"], evidence["run_by"]) == (
        "test-api.trust.nhs.uk",
        "A. Owner",
        "a.person",
    )
    assert evidence["sections"] == {"allergies": "whole", "demographics": "whole"}
    assert GRACE not in file.read_text()
    assert grade_of("jotter", ODS) is Grade.NONE  # silver needs bronze


@pytest.mark.parametrize(
    ("other", "owner", "said"),
    [
        ({}, " ", "say who answers for the connection"),
        ({"answer": Answer(ODS, Outcome.NO_RECORD)}, "A. Owner", "every section that the organisation offers, whole"),
        ({"answer": Answer(ODS, Outcome.ANSWERED, gaps={Section.ALLERGIES: Gap.FAILED})}, "A. Owner", "whole"),
    ],
)
def test_less_than_that_is_no_evidence(jotter: Path, other: dict[str, Any], owner: str, said: str) -> None:
    with pytest.raises(CannotDo) as caught:
        report.record(tried(**other), owner)
    assert said in str(caught.value)
    assert not (jotter / "evidence").exists()


def test_evidence_that_cannot_be_written_is_said(jotter: Path) -> None:
    (jotter / "evidence").write_text("a file in the way")
    with pytest.raises(CannotDo, match="can't be written"):
        report.record(tried(), "A. Owner")
