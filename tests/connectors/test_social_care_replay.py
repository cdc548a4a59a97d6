"""Saved payloads through the connector, and the README's own examples."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from connectors.sdk.errors import NoRecord, WrongContent
from connectors.sdk.model import Answer, Gap, Outcome, Section
from connectors.sdk.organisations import load_organisations
from connectors.social_care.codes import Codes
from connectors.social_care.replay import replaying
from connectors.social_care.sandbox import create_app
from connectors.social_care.settings import Settings
from tests.connectors.asking import BASE, NHS_NUMBER, asking
from tests.connectors.social_care_asking import COUNCIL, GRACE, STRANGER, ask, council, keys, only

README = Path(__file__).resolve().parents[2] / "connectors" / "social_care" / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)


async def saved(*paths: str) -> list[bytes]:
    """What the sandbox of 709 answers, byte for byte."""
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(create_app("709"))) as http:
        return [(await http.get(f"{BASE}/{path}")).content for path in paths]


PERSON = f"Patient?identifier=https://fhir.nhs.uk/Id/nhs-number|{GRACE}"
CASES, CONTACTS = "EpisodeOfCare?patient=LAS-304218", "Encounter?patient=LAS-304218"


async def replayed(payloads: list[bytes], nhs_number: str = NHS_NUMBER, **settings: Any) -> Answer:
    async with council(None, transport=replaying(payloads, nhs_number), **settings) as connector:
        return await connector.ask(asking(nhs_number, COUNCIL))


async def test_saved_answers_bring_what_the_facade_brought() -> None:
    live = await ask(create_app("709", careless=True))
    for paths in ((PERSON, CASES, CONTACTS), (CONTACTS, PERSON, CASES)):
        answer = await replayed(await saved(*paths))
        assert (answer.outcome, answer.gaps) == (Outcome.ANSWERED, {})
        assert [item.resource for item in answer.items] == [item.resource for item in live.items]
        assert answer.traced == live.traced


async def test_a_whole_person_in_one_file_is_taken_apart() -> None:
    bodies = [json.loads(body) for body in await saved(PERSON, CASES, CONTACTS)]
    together = {"resourceType": "Bundle", "type": "collection", "entry": [e for b in bodies for e in b["entry"]]}
    answer = await replayed([json.dumps(together).encode()])
    live = await ask(create_app("709"))
    assert (answer.outcome, answer.gaps) == (Outcome.ANSWERED, {})
    assert keys(answer.items) == keys(live.items)


async def test_what_is_not_in_the_files_is_a_gap() -> None:
    answer = await replayed(await saved(PERSON, CASES))
    assert answer.gaps == {Section.CONTACTS: Gap.FAILED}
    cut = await replayed([body.replace(b'"total":4', b'"total":9') for body in await saved(PERSON, CASES, CONTACTS)])
    assert cut.gaps == {Section.CONTACTS: Gap.HELD_BACK}
    assert "counted 9 and sent 4" in cut.detail


async def test_empty_answers_count_where_it_is_plain_what_they_answered() -> None:
    person, empty = await saved(PERSON, "Encounter?patient=nobody")
    none = await replayed([person, empty, empty])
    assert (none.outcome, none.gaps) == (Outcome.ANSWERED, {})
    assert set(await _gaps([person, empty])) == {Section.CARE_TEAM, Section.CONTACTS}
    with pytest.raises(NoRecord):
        await replayed([empty])


async def _gaps(payloads: list[bytes]) -> dict[Section, Gap]:
    return (await replayed(payloads)).gaps


async def test_another_number_than_the_payloads_is_seen() -> None:
    answer = await replayed(await saved(PERSON, CASES), STRANGER)
    assert answer.gaps == dict.fromkeys(COUNCIL, Gap.IDENTITY_ALARM)
    transport = replaying(await saved(PERSON), STRANGER)
    async with council(None, transport=transport) as connector:
        with pytest.raises(NoRecord):  # the replay is about one person, and the question about another
            await connector.ask(asking(GRACE, COUNCIL))


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b'{"resourceType":"Patient"}', b'{"resourceType":"Bundle","entry":[{}]}']
)
def test_what_is_no_bundle_is_refused(payload: bytes) -> None:
    with pytest.raises(WrongContent, match="not a Bundle"):
        replaying([payload], GRACE)


# ---- the README ----


async def test_the_examples_of_the_readme_go_through() -> None:
    examples = [text.encode() for text in blocks("json")]
    assert len(examples) == 3
    answer = await replayed(examples)
    assert (answer.outcome, answer.gaps, answer.detail) == (Outcome.ANSWERED, {}, "")
    assert keys(answer.items) == {
        *("Patient/LAS-304218", "CareTeam/LAS-433602", "Appointment/LAS-984931"),
        *("Organization/LAS-793101", "Practitioner/LAS-392924"),
    }
    assert all(one.became and not one.reason for one in answer.traced)
    assert only(answer, "Appointment")["serviceType"][0]["text"] == "Six month review"
    with pytest.raises(NoRecord):
        await replayed([b'{"resourceType": "Bundle", "type": "searchset", "total": 0}'])


def test_the_settings_of_the_readme_are_settings(tmp_path: Path) -> None:
    entries = [text for text in blocks("yaml") if text.startswith("organisations:")]
    assert len(entries) == 2
    for text in entries:
        (tmp_path / "organisations.yaml").write_text(text)
        (council_,) = load_organisations(tmp_path / "organisations.yaml").sources()
        assert council_.connector == "social_care"
    table = README.read_text().partition("## Every setting")[2]
    for name in Settings.model_fields:
        assert f"`{name}`" in table


def test_the_table_of_codes_of_the_readme_is_one(tmp_path: Path) -> None:
    (text,) = [text for text in blocks("yaml") if text.startswith("systems:")]
    (tmp_path / "codes.yaml").write_text(text)
    codes = Codes.load(tmp_path / "codes.yaml")
    review = {"coding": [{"system": "https://council.example/CodeSystem/contact-type", "code": "0042"}]}
    assert codes.worded(review)["text"] == "Six month review"
