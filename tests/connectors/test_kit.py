"""The kit itself: what it reads, what it refuses, and that it judges nothing as passed that it couldn't judge."""

from __future__ import annotations

import asyncio
import logging
import sys
import types
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import connectors
from connectors.fhir_r4.sandbox import holdings
from connectors.kit import check as kit
from connectors.kit import stand as stands
from connectors.kit.cases import ALL
from connectors.kit.check import CaseResult, check, play, subject_of
from connectors.kit.exchange import Exchange
from connectors.kit.overheard import overhear
from connectors.kit.registry import CASES, Case, Fell, case, require
from connectors.kit.stand import SECRET, Settled, Stand, standing
from connectors.kit.subject import KitSettings, Subject, read_kit, subject_from
from connectors.kit.suite import ConnectorSuite
from connectors.kit.whose import taken_for
from connectors.sdk.errors import ConfigurationError, NoRecord
from connectors.sdk.model import NHS_NUMBER_SYSTEM, Answer, Ask, Gap, Item, Outcome, Section
from tests.connectors.mutants.reference import KIT, Reference
from tests.connectors.mutants.reference import subject_of as mutant_subject

GRACE, OTHER = "9990000409", "9990000964"


@pytest.fixture(scope="module")
def subject() -> Subject:
    return mutant_subject(Reference, holdings("G85005", canaries=True))


# ---- reading the manifest ----


def written(folder: Path, kit: str, name: str = "mine") -> Path:
    """The folder of a connector with this `kit`."""
    made = folder / name
    made.mkdir()
    (made / "README.md").write_text("x")
    sections = "[demographics]"
    head = f"name: {name}\nkind: dialect\nsummary: x\nowner: x\ncontract: x\nsections: {sections}\n"
    (made / "manifest.yaml").write_text(head + kit)
    return made


WHOLE = f"""kit:
  ods: RJ2
  sections: [demographics]
  patient: "{GRACE}"
  other: "{OTHER}"
  unknown: "9990009996"
  calls: 1
  sandbox: connectors.fhir_r4.sandbox
"""


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (f'"{GRACE}"', '"9434765919"', "kit.patient: must be a synthetic NHS number"),
        (f'"{GRACE}"', '"9990000408"', "kit.patient: must be a synthetic NHS number"),
        ("calls: 1", "calls: 0", "kit.calls: "),
        ("calls: 1", "calls: 1\n  skip: {K99: because it is so and not otherwise}", "K99 is no case"),
        ("calls: 1", "calls: 1\n  skip: {K01: because it is so and not otherwise}", "K01 (found) applies to every"),
        ("calls: 1", "calls: 1\n  skip: {K26: no}", "K26 needs a reason"),
        ("calls: 1", "calls: 1\n  shape: round", "kit.shape: "),
        ("kit:", "kit: {}\n#", "kit is missing"),
    ],
)
def test_a_wrong_manifest_is_refused_with_file_and_remedy(tmp_path: Path, before: str, after: str, says: str) -> None:
    text = WHOLE.replace(before, after)
    folder = written(tmp_path, text if "#" not in after else "kit: {}\n")
    with pytest.raises(ConfigurationError) as refused:
        read_kit(folder)
    assert says in str(refused.value)
    assert str(folder / "manifest.yaml") in str(refused.value)
    assert "docs/connector-kit.md" in str(refused.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sandbox": "connectors.nowhere.sandbox"}, "isn't there. Ship a sandbox"),
        ({"patient": "9990000018"}, "kit.patient is nobody whom the sandbox knows"),
        ({"empty": "9990000018"}, "kit.empty is nobody whom the sandbox knows"),
        ({"unknown": OTHER}, "kit.unknown is known to the sandbox"),
        ({"ods": "X99"}, r"kit.ods, or --ods: There is no sandbox data for X99.* Use one of: .*RJ2"),
    ],
)
def test_a_sandbox_that_does_not_fit_is_refused(tmp_path: Path, change: dict[str, str], says: str) -> None:
    settings = read_kit(written(tmp_path, WHOLE)).model_copy(update=change)
    with pytest.raises(ConfigurationError, match=says):
        subject_from("mine", settings, tmp_path / "manifest.yaml")


def test_a_connector_in_another_folder_is_found_and_another_organisation_may_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, WHOLE)
    monkeypatch.setattr(connectors, "__path__", [*connectors.__path__, str(tmp_path)])
    assert subject_of("mine").source == "RJ2"
    assert subject_of("mine", "G85005").source == "G85005"
    with pytest.raises(ConfigurationError, match="mine"):
        subject_of("yours")


def test_a_sandbox_without_people_is_taken_at_its_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("kit_sandbox_without_people")
    module.create_app = lambda ods, canaries: object()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    settings = read_kit(written(tmp_path, WHOLE)).model_copy(update={"sandbox": module.__name__})
    found = subject_from("mine", settings, tmp_path / "manifest.yaml")
    assert found.base_path == "/fhir"
    assert found.sandbox() is not found.sandbox()


async def test_what_stands_for_a_file_is_made_and_what_stands_for_nothing_is_refused(subject: Subject) -> None:
    given: dict[str, Any] = {
        "a": "${origin}",
        "b": ["${address}"],
        "auth": {"scheme": "header", "name": "X-A", "value_file": "${secret}"},
        "keys": {"ec": "${ec_key}", "rsa": "${rsa_key}", "again": "${ec_key}"},
        "number": 7,
    }
    seen: list[dict[str, Any]] = []

    def build(organisation: Any) -> Reference:
        seen.append(dict(organisation.settings))
        assert Path(organisation.settings["auth"]["value_file"]).read_text() == SECRET + "\n"
        for key in ("ec", "rsa"):
            assert "PRIVATE KEY" in Path(organisation.settings["keys"][key]).read_text()
        return Reference(organisation)

    asked = replace(subject, kit=KIT.model_copy(update={"settings": given}), build=build)
    async with standing(asked) as stand:
        assert seen[0]["a"] == stand.server.origin
        assert seen[0]["b"] == [stand.server.address]
        assert seen[0]["number"] == 7
        assert seen[0]["keys"]["ec"] == seen[0]["keys"]["again"]
    with pytest.raises(ConfigurationError, match=r"\$\{sceret\} stands for nothing"):
        await check(replace(subject, kit=KIT.model_copy(update={"settings": {"x": "${sceret}"}})))


# ---- playing cases ----


async def test_only_what_was_chosen_is_played(subject: Subject) -> None:
    results = await check(subject, ["K24", "K03"])
    assert [(result.number, result.passed) for result in results] == [("K03", True), ("K24", True)]
    assert results[0] == CaseResult("K03", "not known", True, "raised NoRecord", "docs/connector-kit.md#k03")
    with pytest.raises(ConfigurationError, match="K77: no such case"):
        await check(subject, ["K77", "K03"])


async def test_a_skipped_case_is_not_played_and_says_why(subject: Subject) -> None:
    reason = "the source has no pages, as its contract says"
    skipping = replace(subject, kit=KIT.model_copy(update={"skip": {"K26": reason}}))
    (result,) = await check(skipping, ["K26"])
    assert (result.passed, result.skipped, result.said) == (True, True, f"skipped: {reason}")


class Odd(Reference):
    """Answers with whatever the test gives it."""

    gives: Any = None

    async def ask(self, ask: Ask) -> Answer:
        if isinstance(self.gives, BaseException):
            raise self.gives
        answer: Answer = self.gives
        return answer


@pytest.mark.parametrize(
    ("gives", "says"),
    [
        (None, "returned NoneType, which is no Answer"),
        (KeyError("9990000409"), "which is no SourceError"),
        (asyncio.CancelledError(), "gave itself up"),
        (Answer("G85005", Outcome.ANSWERED, items=[None]), "can't be judged: AttributeError"),  # type: ignore[list-item]
        (Answer("G85005", Outcome.FAILED), "said failed with 0 items and no gap, where answered is due"),
        (NoRecord("x"), "raised NoRecord, where answered is due"),
    ],
)
async def test_what_no_connector_may_return_is_no_pass(subject: Subject, gives: Any, says: str) -> None:
    odd = type("OddOne", (Odd,), {"gives": gives})
    (result,) = await check(replace(subject, build=odd), ["K01"])
    assert not result.passed
    assert says in result.said
    assert GRACE not in result.said


class Endless(Reference):
    """Goes on after its deadline."""

    async def ask(self, ask: Ask) -> Answer:
        await asyncio.sleep(60)
        raise AssertionError


async def test_one_that_does_not_end_is_cut_and_falls(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stands, "_LATE", 0.05)
    async with standing(replace(subject, build=Endless)) as stand:
        with pytest.raises(Fell, match="was still busy"):
            await stand.ask(seconds=0.05)
    monkeypatch.setattr(kit, "_LONGEST", 0.05)
    result = await play(replace(subject, build=Endless), ALL["K01"])
    assert (result.passed, result.said) == (False, "the case did not end within 0.05 s")


async def test_a_configuration_error_is_not_a_verdict(subject: Subject) -> None:
    def build(organisation: Any) -> Reference:
        raise ConfigurationError("a secret is missing")

    with pytest.raises(ConfigurationError, match="a secret is missing"):
        await play(replace(subject, build=build), ALL["K01"])


async def test_a_case_that_finds_nothing_to_play_on_falls(subject: Subject) -> None:
    """The sandbox's answers without their links, totals and lists of anything."""

    @asynccontextmanager
    async def bare() -> AsyncIterator[Subject]:
        yield replace(subject, kit=KIT.model_copy(update={"empty": None, "other": KIT.patient, "settings": {}}))

    async with bare() as poor:
        poor = replace(poor, build=lambda organisation: Reference(organisation_with_header(organisation)))
        results = {result.number: result for result in await check(poor, ["K02", "K04", "K05", "K47"])}
    assert "kit.empty names nobody" in results["K02"].said
    assert "nothing of their own" in results["K04"].said
    assert "nothing of their own" in results["K05"].said
    assert "nothing secret went out" in results["K47"].said
    assert not any(result.passed for result in results.values())


def organisation_with_header(organisation: Any) -> Any:
    return organisation.model_copy(update={"settings": {"auth": {"scheme": "none"}}})


async def test_cases_about_lists_fall_where_there_are_none(subject: Subject) -> None:
    only = KIT.model_copy(update={"sections": (Section.DEMOGRAPHICS,)})
    results = await check(replace(subject, kit=only), ["K05", "K06", "K07", "K26", "K27", "K37", "K38", "K39", "K40"])
    assert [(result.number, result.passed) for result in results if result.passed] == []
    assert all("skip this case and say so" in result.said for result in results), results


async def test_a_deadline_that_passes_while_all_is_well_is_told_as_such(subject: Subject) -> None:
    async with standing(replace(subject, build=type("Gone", (Odd,), {"gives": NoRecord("x")}))) as stand:
        with pytest.raises(Fell, match="raised NoRecord when all was well: see k01 first"):
            await stand.well()


def test_a_number_belongs_to_one_case() -> None:
    with pytest.raises(ValueError, match="K01 stands twice"):

        @case("K01", "again")
        async def again(stand: Stand) -> str:
            return ""

    assert set(CASES) == set(ALL)
    with pytest.raises(Fell, match="so it is"):
        require(False, "so it is")


def test_an_answer_is_read_as_the_gateway_reads_it() -> None:
    answer = Answer("RJ2", Outcome.ANSWERED, gaps={Section.RESULTS: Gap.FAILED})
    settled = Settled(answer, None, 0.0, [])
    assert settled.outcome is Outcome.PARTIAL
    assert settled.in_words == "said answered with 0 items and gaps in results (failed)"
    told = Answer(
        "RJ2", Outcome.PARTIAL, gaps={Section.RESULTS: Gap.FAILED}, detail="results: 999 000 0409: status 500"
    )
    assert Settled(told, None, 0.0, []).in_words.endswith("results (failed): results: …: status 500")
    assert Settled(None, NoRecord("x"), 0.0, []).in_words == "raised NoRecord"


# ---- as a pytest class ----


async def test_the_suite_passes_skips_and_fails_as_the_case_does(subject: Subject) -> None:
    suite = ConnectorSuite()
    await suite.test_case(subject, ALL["K03"])
    skipping = replace(subject, kit=KIT.model_copy(update={"skip": {"K26": "there are no pages at all, ever"}}))
    with pytest.raises(pytest.skip.Exception, match="there are no pages at all"):
        await suite.test_case(skipping, ALL["K26"])
    odd = replace(subject, build=type("OddOne", (Odd,), {"gives": NoRecord("x")}))
    with pytest.raises(AssertionError, match=r"K01 found: raised NoRecord.*See docs/connector-kit.md#k01"):
        await suite.test_case(odd, ALL["K01"])


# ---- whose an item is ----


def item(kind: str, number: str, section: Section | None = Section.RESULTS, **more: Any) -> Item:
    return Item("RJ2", {"resourceType": kind, "id": number, **more}, section, number)


def patient(identity: str, number: str) -> Item:
    identifier = [{"system": NHS_NUMBER_SYSTEM, "value": number}]
    return item("Patient", identity, Section.DEMOGRAPHICS, identifier=identifier)


@pytest.mark.parametrize(
    ("about", "taken"),
    [
        ({"subject": {"reference": "Patient/1"}}, True),
        ({"subject": {"reference": "https://x.test/fhir/Patient/1"}}, True),
        ({"subject": {"reference": "Patient/1/_history/3"}}, True),
        ({"subject": {"reference": "Patient/2"}}, False),
        ({"subject": {"reference": "Patient/1"}, "focus": [{"reference": "Patient/2"}]}, False),
        ({"subject": {"reference": "Group/1"}}, False),
        ({"subject": {"reference": "Patient/1"}, "identifier": [{"system": "nhs-number", "value": "1"}]}, False),
        ({}, False),
    ],
)
def test_an_item_is_taken_for_whom_its_references_lead_to(about: dict[str, Any], taken: bool) -> None:
    items = [patient("1", GRACE), item("Observation", "17", **about)]
    assert (items[1] in taken_for(items, GRACE)) is taken


def test_a_patient_is_taken_for_whom_its_identifier_names() -> None:
    ours, theirs, nobody = patient("1", GRACE), patient("2", OTHER), item("Patient", "3", identifier="x")
    assert taken_for([ours, theirs, nobody], GRACE) == [ours]
    full = replace(ours, full_url="urn:uuid:1")
    told = item("Observation", "1", subject={"reference": "urn:uuid:1"})
    assert told in taken_for([full, told], GRACE)


# ---- listening ----


async def test_who_listens_hears_their_own_and_nobody_elses(capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("somebody")

    async def say(word: str) -> None:
        log.debug("logged %s", word, extra={"more": f"extra {word}"})
        print(f"printed {word}")
        warnings.showwarning(UserWarning(f"warned {word}"), UserWarning, "x", 1)
        try:
            raise ValueError(f"raised {word}")
        except ValueError:
            log.exception("failed")

    async def listen(word: str) -> list[tuple[str, str]]:
        with overhear() as heard:
            await asyncio.create_task(say(word))
            await asyncio.sleep(0.01)
        return heard.said

    outside = logging.getLogger().level
    one, two = await asyncio.gather(listen("one"), listen("two"))
    for word, said in (("one", one), ("two", two)):
        texts = " ".join(text for _, text in said)
        for verb in ("logged", "extra", "printed", "warned", "raised"):
            assert f"{verb} {word}" in texts
        assert ("one" in texts) is (word == "one")
    assert {place for place, _ in one} == {"the log of somebody", "what was printed", "a warning"}
    assert logging.getLogger().level == outside
    with overhear() as heard, pytest.MonkeyPatch.context():
        heard.note("here", ["a secret"])
        assert heard.where("secret") == "here"
        assert heard.where("nothing") == ""
    print("after")
    assert capsys.readouterr().out == "after\n"


async def test_who_is_not_listened_to_speaks_as_always(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(warnings, "showwarning", lambda message, *more: shown.append(str(message)))
    entered, leave = asyncio.Event(), asyncio.Event()

    async def listen() -> None:
        with overhear():
            entered.set()
            await leave.wait()

    task = asyncio.create_task(listen())
    await entered.wait()
    print("aloud")
    sys.stdout.flush()
    warnings.showwarning(UserWarning("shown"), UserWarning, "x", 1)
    leave.set()
    await task
    assert capsys.readouterr().out == "aloud\n"
    assert shown == ["shown"]


async def test_a_redirect_reaches_the_server_that_stands_elsewhere(subject: Subject) -> None:
    async with standing(subject) as stand:

        async def lead(exchange: Exchange) -> None:
            assert exchange.elsewhere == stand.elsewhere.origin
            await exchange.reply(await exchange.well())

        stand.server.fault = lead
        assert (await stand.ask()).outcome is Outcome.ANSWERED
        assert stand.elsewhere.requests == []


def test_settings_are_what_the_guide_says() -> None:
    guide = (Path(__file__).parents[2] / "docs/connector-kit.md").read_text()
    for name in KitSettings.model_fields:
        assert f"`{name}`" in guide


def test_the_cases_are_dataclasses_with_their_paragraph() -> None:
    assert isinstance(ALL["K01"], Case)
    assert ALL["K01"].paragraph == "docs/connector-kit.md#k01"
