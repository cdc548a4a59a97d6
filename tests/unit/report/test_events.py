"""From rows to lines: every kind of row has its words, every row stands in one line, and plain words they are."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

import gateway
from connectors.sdk.model import Section
from gateway.audit.report import words
from gateway.audit.report.events import events_of
from gateway.audit.report.glance import by_organisation, glance
from gateway.audit.report.groups import Numbered
from gateway.audit.report.model import Asked, Event, Period, What
from gateway.audit.report.moments import number_of, when
from gateway.audit.row import Kind, Lawful, Row
from gateway.caller.model import Role
from gateway.choice.model import Channel, Choice, StatedBy
from gateway.choice.reasons import ReasonCode
from gateway.desk.model import CaseKind, CaseStatus
from gateway.disclosure.model import LawfulBasis
from gateway.errors import CUT_SHORT
from gateway.release import SUPPORTING
from tests.unit.report.world import DOCTOR, GP, OFFICER, START, World

WORLD = World()
PAPERS = Lawful(basis="court-order", reference="KB-1", recipient="HM Coroner", policy="whole-record")


def numbered(*rows: Row | None) -> list[Numbered]:
    return [Numbered(place, place, row) for place, row in enumerate(rows, 1)]


def lines(*rows: Row | None, period: Period | None = None) -> tuple[Event, ...]:
    return events_of(numbered(*rows), len(rows), period or Period(), {})


def row(kind: Kind, **more: Any) -> Row:
    return WORLD.row(kind, who=more.pop("who", GP), **more)


def line(kind: Kind, **more: Any) -> Event:
    [event] = lines(row(kind, **more))
    return event


GIVEN: dict[Kind, dict[str, Any]] = {
    Kind.RELEASE: {"basis": "patient-agreed", "scope": "standard", "seen": {"medicines": 12, "allergies": 1}},
    Kind.REFUSAL: {"rule": "choice.opted-out"},
    Kind.PERSON_ANSWERED: {"seen": {"demographics": 1}},
    Kind.SHARING_CHOICE: {"detail": "opted-out, stated by patient, by phone"},
    Kind.PERMISSION_GRANTED: {"basis": "best-interests", "reason_code": "emergency", "cases": ["c"]},
    Kind.PERMISSION_EXTENDED: {"basis": "patient-agreed"},
    Kind.CASE_OPENED: {"cases": ["c"]},
    Kind.CASE_MOVED: {"detail": "best-interests: open -> justified", "cases": ["c"], "who": OFFICER},
    Kind.DISCLOSURE: {"lawful": PAPERS, "seen": {"results": 3}},
    Kind.AUDIT_READ: {"door": "POST /access-reports", "who": OFFICER},
    Kind.ERASED: {"who": None},
    Kind.CONFIGURED: {"who": None},
}


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_row_has_its_words(kind: Kind) -> None:
    event = line(kind, **GIVEN.get(kind, {}))
    assert event.text.endswith(".")
    assert "  " not in event.text
    assert event.rows == (1,)
    assert not re.search(r"[{}_]|\bNone\b", event.text)


def test_intent_and_release_are_one_line() -> None:
    [event] = lines(row(Kind.INTENT), row(Kind.RELEASE, intent=1, **GIVEN[Kind.RELEASE]))
    assert (event.what, event.rows) == (What.LOOKED, (1, 2))
    assert event.text == (
        "Dr Ada Obi, a GP at South Lewisham Group Practice, looked at your record. They saw your allergies (1 entry) "
        "and your medicines (12 entries). To give you care. You said yes."
    )


def test_a_look_that_comes_in_parts_is_one_line_and_its_end_another() -> None:
    first, second, refusal = lines(
        row(Kind.INTENT),
        row(Kind.INTENT, who=DOCTOR),
        row(Kind.RELEASE, intent=1, basis="patient-agreed", seen={"medicines": 2}),
        row(Kind.RELEASE, intent=1, basis="patient-agreed", seen={"medicines": 3, "results": 1}),
        row(Kind.REFUSAL, intent=1, rule="choice.opted-out"),
    )
    assert (first.rows, second.rows, refusal.rows) == ((1, 3, 4), (2,), (5,))
    assert [(saw.what, saw.entries) for saw in first.saw] == [("your medicines", 5), ("your test results", 1)]
    assert second.what is What.STARTED
    assert second.text.endswith("started to look at your record. Nothing was shown.")
    assert refusal.what is What.REFUSED
    assert refusal.text.endswith("They were not shown any more of it, because you had opted out.")


def test_who_goes_away_before_the_last_part_has_looked_once_and_was_not_stopped() -> None:
    events = lines(
        row(Kind.INTENT),
        row(Kind.RELEASE, intent=1, basis="patient-agreed", seen={"medicines": 2}, relationship="not-asked"),
        row(Kind.RELEASE, intent=1, basis="patient-agreed", seen={"results": 1}, relationship="attendance"),
        row(Kind.REFUSAL, intent=1, rule=CUT_SHORT, status=499),
    )
    [look] = events
    assert (look.what, look.rows) == (What.LOOKED, (1, 2, 3, 4))
    assert "They saw your medicines (2 entries) and your test results (1 entry). The rest was not shown" in look.text
    assert look.link == "You were being seen there."
    assert glance(events, is_all=True)[3].answer == ("No. Nobody was stopped.",)


def test_an_end_whose_beginning_is_about_nobody_is_a_line_of_its_own() -> None:
    [found] = lines(row(Kind.PERSON_ANSWERED, intent=77, seen={"demographics": 1}))
    assert found.what is What.FOUND
    assert found.asked is Asked.NOT_NEEDED
    [sought] = lines(row(Kind.REFUSAL, intent=77, subject="question abc", rule="choice.opted-out"))
    assert "searched for you by name. They were not shown anything, because you had opted out." in sought.text


def test_what_came_of_a_look_may_have_been_erased() -> None:
    from gateway.audit.report.erased import Gone

    rows = numbered(row(Kind.INTENT), None)
    started, erased = events_of(rows, 2, Period(), {2: Gone(START, START + timedelta(days=40))})
    assert "We can't say if anything was shown" in started.text
    assert erased.text == ("1 line from before 3 May 2026 was erased on 12 June 2026. Old lines are not kept for ever.")
    assert glance((erased,), is_all=True)[0].answer[-1].startswith("We can't say who looked before 3 May 2026")


def test_sources_in_the_background_what_was_kept_back_and_staff_numbers_are_left_out() -> None:
    from gateway.audit.row import Alarm, SourceLine

    event = line(
        Kind.RELEASE,
        basis="patient-agreed",
        seen={"results": 1},
        withheld={"label.sensitive.agreement": 4},
        outlined={"section.problems.outline": 2},
        sources={"G83021": SourceLine(outcome="answered", stage="shadow")},
        alarms=[Alarm(source="G83021", kind="wrong-person", count=1)],
        detail="an operator's word",
        bound={"x": "y"},
    )
    shown = msgspec.json.encode(event).decode()
    for hidden in ("G83021", "sensitive", "outline", "wrong-person", "operator", "u-gp", "p-1", "viewer", "t-1"):
        assert hidden not in shown


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"seen": {}, "total": 5}, "They were told that there are 5 entries, and saw none of them."),
        ({"seen": {}}, "There was nothing to show to them."),
        ({"seen": {"supporting": 2}}, "They saw names of staff and places (2 entries)."),
        ({"seen": {"unheard-of": 2}}, "They saw other parts of your record (2 entries)."),
        ({"seen": {"results": 1234}}, "(1,234 entries)"),
        ({"scope": "including-sensitive"}, "You said yes, and to very private things too."),
        ({"basis": None}, "Our list does not say if you were asked."),
        ({"relationship": "attendance"}, "You were being seen there."),
        ({"basis": "best-interests", "reason_code": "other"}, "It was not an emergency, but you could not be asked."),
        ({"who": None}, "The people who run Connect Care looked at your record."),
    ],
)
def test_a_look_in_words(given: dict[str, Any], told: str) -> None:
    assert told in line(Kind.RELEASE, **{"basis": "patient-agreed", "seen": {"results": 4}, **given}).text


def test_the_national_reason_is_that_of_the_permission_where_the_look_has_none() -> None:
    *_, look = lines(
        row(Kind.PERMISSION_GRANTED, basis="best-interests", permission="p", reason_code="emergency"),
        row(Kind.RELEASE, basis="best-interests", permission="p", seen={"results": 1}),
    )
    assert look.permission.endswith("It was an emergency.")
    assert look.asked is Asked.BEST_INTERESTS


@pytest.mark.parametrize(
    ("detail", "told"),
    [
        ("opted-out, stated by patient, by phone", "You chose that nobody may look at your record"),
        ("opted-in, stated by proxy, by letter", "Somebody who speaks for you chose that staff may ask to look"),
        ("opted-out, stated by representative-of-deceased, by email", "after your death chose that nobody"),
        ("something else", "Somebody made a choice about your record."),
    ],
)
def test_a_choice_in_words_and_who_took_the_call(detail: str, told: str) -> None:
    text = line(Kind.SHARING_CHOICE, detail=detail, who=OFFICER).text
    assert told in text
    assert text.endswith("Priya Nair, a privacy officer at Lewisham Hospital, wrote it down.")


def test_every_choice_that_can_be_recorded_has_its_words() -> None:
    for choice in Choice:
        for by in StatedBy:
            for channel in Channel:
                text = line(Kind.SHARING_CHOICE, detail=f"{choice}, stated by {by}, by {channel}").text
                assert "Somebody made" not in text
                assert "a choice about" not in text
                assert re.search(r", (by|face|online)", text)


def test_what_ended_a_permission() -> None:
    own = line(Kind.PERMISSION_WITHDRAWN).text
    assert own.endswith("will not look any more. They ended what you had said yes to.")
    word = line(Kind.PERMISSION_WITHDRAWN, detail="all, stated by patient, by phone").text
    assert word.startswith("You took back each yes, so nobody may use one any more, by phone.")


@pytest.mark.parametrize(
    ("detail", "told"),
    [
        ("best-interests: open -> questioned", "asked questions about a look when you could not be asked."),
        ("same-surname: open -> justified", "last name as you. They found that it was right."),
        ("own-record: questioned -> not-justified", "own record. They found that it was wrong."),
        ("colleague: justified -> justified", "wrote more about a look by somebody who works where you work."),
        ("open -> justified", "checked a look at your record. They found that it was right."),
        ("a new word", "wrote more about a look at your record."),
    ],
)
def test_what_a_privacy_officer_came_to(detail: str, told: str) -> None:
    judged = row(Kind.CASE_MOVED, detail="open -> justified", who=OFFICER, cases=["c-1"])
    text = lines(row(Kind.CASE_MOVED, detail=detail, who=OFFICER, cases=["c-1"]), judged)[0].text
    assert text.startswith("Priya Nair, a privacy officer at Lewisham Hospital, ")
    assert text.endswith(told)


def test_a_case_is_named_by_the_row_that_opened_it() -> None:
    *_, moved = lines(
        row(Kind.PERMISSION_GRANTED, basis="best-interests", cases=["c-1"]),
        row(Kind.CASE_MOVED, detail="open -> questioned", cases=["c-1"], who=OFFICER),
    )
    assert moved.text.endswith("asked questions about a look when you could not be asked.")
    judged = row(Kind.CASE_MOVED, detail="open -> not-justified", cases=["c-2"], who=OFFICER)
    opened, _ = lines(row(Kind.CASE_OPENED, cases=["c-2"], basis="best-interests"), judged)
    assert opened.text == "A privacy officer was asked to check a look by somebody who may not care for you."


def test_a_suspicion_is_told_once_it_is_judged_and_not_before() -> None:
    rows = [
        row(Kind.INTENT),
        row(Kind.RELEASE, intent=1, basis="patient-agreed", cases=["c-1"]),
        row(Kind.CASE_OPENED, cases=["c-2"]),
        row(Kind.CASE_MOVED, detail="same-address: open -> questioned", cases=["c-1"], who=OFFICER),
    ]
    looked, *others = lines(*rows)
    assert (looked.what, looked.officer_told) == (What.LOOKED, False)
    assert {(one.what, one.who, one.text) for one in others} == {
        (What.CHECK, None, "We did a check of our own. It showed nothing of your record.")
    }
    judged = row(Kind.CASE_MOVED, detail="same-address: questioned -> justified", cases=["c-1"], who=OFFICER)
    looked, opened, questioned, told = lines(*rows, judged)
    assert looked.text.endswith("A privacy officer was asked to check this.")
    assert opened.what is What.CHECK
    assert questioned.text.endswith("asked questions about a look by somebody who lives where you live.")
    assert told.text.endswith("They found that it was right.")


@pytest.mark.parametrize(
    ("door", "told"),
    [
        ("GET /fhir/R4/Patient/{id}/$everything", "tried to look at your record"),
        ("POST /records", "tried to look at your record"),
        ("POST /permissions", "tried to write down that they may look"),
        ("POST /sharing-choices", "tried to write down what you chose"),
        ("POST /audit/_search", "tried to read who looked at you"),
        ("GET /fhir/R4/AuditEvent", "tried to read who looked at you"),
        ("POST /access-reports", "tried to make a list"),
        ("POST /disclosures", "tried to give a copy of your record to somebody"),
        ("POST /desk/_search", "tried to read the checks about you"),
        ("connectcare connector try", "tried to look at your record"),
    ],
)
def test_what_was_tried(door: str, told: str) -> None:
    assert told in line(Kind.REFUSAL, door=door, rule="policy.default-deny").text


@pytest.mark.parametrize(
    ("door", "told"),
    [
        ("POST /permissions/_search", "read who may look at your record."),
        ("POST /sharing-choices/_search", "read what you chose."),
        ("POST /desk/_search", "read the checks about you."),
        ("POST /audit/_search", "read the list of who looked at you."),
    ],
)
def test_what_was_read(door: str, told: str) -> None:
    assert line(Kind.AUDIT_READ, door=door, who=OFFICER).text.endswith(told)


def test_a_disclosure_says_who_got_it_on_what_the_law() -> None:
    event = line(Kind.DISCLOSURE, lawful=PAPERS, seen={"results": 3}, who=OFFICER)
    assert event.law is not None
    assert (event.law.recipient, event.law.reference) == ("HM Coroner", "KB-1")
    assert event.asked is Asked.LAW
    assert "You were not asked, because a court ordered it." in event.text
    bare = line(Kind.DISCLOSURE, who=OFFICER)
    assert "gave a copy of your record to somebody else." in bare.text
    assert "The copy was empty." in bare.text


def test_hostile_names_are_one_quiet_line() -> None:
    who = msgspec.structs.replace(GP, name="Dr\u202eEvil\n\x1b[31m  <b>Ada</b>" + "x" * 500, role="made-up")
    event = line(Kind.RELEASE, who=who, basis="patient-agreed", seen={"results": 1})
    assert event.who is not None
    assert event.who.name.startswith("DrEvil [31m <b>Ada</b>xxx")
    assert len(event.who.name) == words.LONGEST
    assert event.who.role == words.STAFF


def test_a_period_leaves_out_what_is_outside_and_numbers_what_is_within() -> None:
    early = msgspec.structs.replace(row(Kind.AUDIT_READ), at=START)
    late = msgspec.structs.replace(row(Kind.AUDIT_READ), at=START + timedelta(hours=1))
    [event] = lines(early, late, period=Period(since=START + timedelta(hours=1)))
    assert (event.number, event.rows) == (1, (2,))
    [event] = lines(early, late, period=Period(until=START + timedelta(hours=1)))
    assert event.rows == (1,)
    assert "in this time" in glance((event,), is_all=False)[0].answer[0]


def test_who_by_place() -> None:
    looked = [row(Kind.INTENT), row(Kind.RELEASE, intent=1, basis="patient-agreed", seen={"results": 1})]
    best = row(Kind.RELEASE, who=DOCTOR, basis="best-interests", seen={"medicines": 1})
    events = lines(*looked, row(Kind.REFUSAL, rule="fault"), best)
    hospital, practice = by_organisation(events)
    assert (hospital.organisation, practice.organisation) == ("Lewisham Hospital", "South Lewisham Group Practice")
    assert (practice.people[0].looked, practice.people[0].not_shown) == (1, 1)
    assert (hospital.people[0].best_interests, hospital.people[0].saw) == (1, ("your medicines",))


def test_a_disclosure_and_a_search_by_name_are_at_the_top() -> None:
    events = lines(row(Kind.DISCLOSURE, lawful=PAPERS), row(Kind.PERSON_ANSWERED, seen={"demographics": 1}))
    who, why, what, stopped, unasked = glance(events, is_all=True)
    assert who.answer[1:] == (
        "Searched by name and found you: Dr Ada Obi, a GP at South Lewisham Group Practice (once)",
        "Was given a copy, because a court ordered it: HM Coroner",
    )
    assert why.answer == ("To give you care. (once)", "Because a court ordered it. (once)")
    assert what.answer == ("They saw your name, address and birth date.",)
    assert stopped.answer == ("No. Nobody was stopped.",)
    assert [each.partition(".")[0] for each in unasked.answer[:-1]] == ["Yes, because the law says so"]
    assert unasked.answer[-1].startswith("Also, somebody searched by name and found you once.")


def test_a_disclosure_over_an_opt_out_says_so() -> None:
    papers = msgspec.structs.replace(PAPERS, opted_out=True)
    assert "You had opted out. The law can ask for it all the same." in line(Kind.DISCLOSURE, lawful=papers).text


def test_a_look_of_which_nobody_knows_whether_the_patient_was_asked_is_not_called_asked() -> None:
    answer = glance(lines(row(Kind.RELEASE, seen={"results": 1})), is_all=True)[4].answer
    assert answer[0].startswith("We can't tell.")


RULE = re.compile(r'rule="([a-z-]+(?:\.[a-z-]+)?)"|: Final = "((?:choice|permission)\.[a-z-]+)"')


def test_every_refusal_in_the_code_has_its_words() -> None:
    sources = Path(gateway.__file__).parent.rglob("*.py")
    rules = {found[1] or found[2] for source in sources for found in RULE.finditer(source.read_text())}
    assert len(rules) > 40
    unknown = {rule for rule in rules if words.refused_because(rule) == words.OTHER_REFUSAL}
    assert unknown <= {"no-audit-no-data", "host.unknown", "nhs-number.invalid"}


def test_every_word_of_the_rows_has_its_plain_words() -> None:
    from gateway.relationship import Evidence

    assert set(words.ROLES) == set(Role)
    assert set(words.SECTIONS) == {*Section, SUPPORTING}
    assert set(words.REASONS) == set(ReasonCode)
    assert set(words.CASES) == set(CaseKind)
    assert set(words.GROUNDS) == set(LawfulBasis)
    assert set(words.OUTCOMES) == set(CaseStatus) - {CaseStatus.OPEN}
    assert set(words.LINKS) <= set(Evidence)
    assert all(word in words.LINKS for word in Evidence if word.is_shown)


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        ("2026-05-03T09:04:11+00:00", "3 May 2026 at 10:04am"),
        ("2026-01-03T09:04:11+00:00", "3 January 2026 at 9:04am"),
        ("2026-05-02T23:00:00+00:00", "3 May 2026 at midnight"),
        ("2026-05-03T11:00:00+00:00", "3 May 2026 at midday"),
        ("2026-05-03T11:05:00+00:00", "3 May 2026 at 12:05pm"),
        ("2026-01-03T00:05:00+00:00", "3 January 2026 at 12:05am"),
        ("2026-03-29T01:00:00+00:00", "29 March 2026 at 2:00am"),
    ],
)
def test_times_are_those_on_the_wall_in_the_united_kingdom(moment: str, told: str) -> None:
    assert when(datetime.fromisoformat(moment)) == told


def test_an_nhs_number_as_people_read_it() -> None:
    assert number_of("9990000409") == "999 000 0409"
    assert words.times(3) == "3 times"
    assert words.listed([]) == ""
    assert when(datetime(2026, 5, 3, tzinfo=UTC)) == "3 May 2026 at 1:00am"


def grade(text: str) -> float:
    """The Flesch-Kincaid grade of a text: 4 to 6 is what people of 9 to 11 read."""
    sentences = [each for each in re.split(r"[.:?]\s*", text) if each]
    spoken = re.findall(r"[a-z']+", text.lower())
    return 0.39 * len(spoken) / len(sentences) + 11.8 * sum(map(syllables, spoken)) / len(spoken) - 15.59


def syllables(word: str) -> int:
    groups = re.findall(r"[aeiouy]+", word)
    silent = word.endswith("e") and not word.endswith("le") and len(groups) > 1
    return max(1, len(groups) - silent - (word.endswith("ed") and word[-3:-2] not in "td" and len(groups) > 1))


def test_the_words_are_for_readers_of_nine_to_eleven() -> None:
    plain = msgspec.structs.replace(GP, name="Ann Lee", organisation_name="The Hill", role="gp")
    texts = [
        line(kind, **{"who": plain, **given}).text
        for kind, given in GIVEN.items()
        if kind not in (Kind.CASE_MOVED, Kind.AUDIT_READ)
    ]
    texts += [f"They were not shown anything, because {because}." for because in words.REFUSALS.values()]
    texts += [*words.REASONS.values(), *words.LINKS.values(), *words.PURPOSES.values()]
    texts += [f"They did this because {ground}." for ground in words.GROUNDS.values()]
    assert grade(" ".join(texts)) < 6
    for text in texts:
        for sentence in text.split(". "):
            assert len(sentence.split()) <= 25, sentence


def test_grades_tell_plain_words_from_others() -> None:
    plain, heavy = "The cat sat on the mat.", "Organisational confidentiality necessitates comprehensive authorisation."
    assert grade(plain) < 2 < 12 < grade(heavy)
    assert all(syllables(one) <= syllables(two) for one, two in pairwise(["cat", "record", "permission"]))
