"""Controls whose tests fail when they are taken away: docs/assurance rests on them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests import removal
from tests.documents import ROOT, Named
from tests.removal import CannotRemove, Control, Ran, Verdict, check, controls, copied, removed, unnamed

CONTROLS = controls()


def test_there_are_many_and_each_is_named_by_a_document() -> None:
    assert len(CONTROLS) == len({control.id for control in CONTROLS}) >= 10
    assert unnamed(CONTROLS) == []


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.id)
def test_what_is_taken_away_is_there_and_what_is_left_is_code(control: Control) -> None:
    left = removed(control, (ROOT / control.file).read_text(encoding="utf-8"))
    if control.file.endswith(".py"):
        compile(left, control.file, "exec")


@pytest.mark.slow
def test_without_a_control_its_tests_fail() -> None:
    # Not in tmp_path: the project's own words for canaries are no clinical content that a test left behind.
    with tempfile.TemporaryDirectory() as folder:
        verdicts = check(CONTROLS, copied(Path(folder).resolve()))
    assert {verdict.control.id: verdict.wrong for verdict in verdicts} == {control.id: "" for control in CONTROLS}


def a_control(**more: object) -> Control:
    said = {"id": "R99", "control": "c", "file": "code.py", "text": "guard()\n", "without": "", "tests": ()}
    return Control(**{**said, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize("source", ["", "guard()\nguard()\n"])
def test_a_text_that_is_not_there_just_once_is_told(source: str) -> None:
    with pytest.raises(CannotRemove, match="R99: its text stands"):
        removed(a_control(), source)


def test_an_entry_that_is_not_whole_or_changes_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("controls:\n  - {id: R98, control: c, file: f, text: t, without: x}\n")
    with pytest.raises(CannotRemove, match="R98: id, control, file, text and tests are needed"):
        controls(tmp_path / "list.yaml")
    with pytest.raises(CannotRemove, match="stands 1 times"):
        removed(a_control(without="guard()\n"), "guard()\n")


def test_a_test_that_no_document_names_is_told() -> None:
    test = Named("tests/contract/test_removal.py", "test_a_test_that_no_document_names_is_told")
    assert unnamed([a_control(tests=(test,))]) == [f"{test}: no document names it"]


PROJECT = {
    "code.py": "def shown(item):\n    if item.secret:\n        return None\n    return item.text\n",
    "tests/test_code.py": (
        "from types import SimpleNamespace as Item\n\nimport pytest\n\nimport code_\n\n\n"
        "@pytest.mark.parametrize('text', ['a', 'b'])\n"
        "def test_notices(text):\n    assert code_.shown(Item(secret=True, text=text)) is None\n\n\n"
        "def test_sleeps():\n    assert code_.shown(Item(secret=False, text='b')) == 'b'\n\n\n"
        "def test_breaks():\n    assert code_.shown(Item(secret=True)) is None\n"
    ),
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one function, whose control is a question and an answer."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "code_.py").write_text(PROJECT["code.py"])
    (tmp_path / "tests" / "test_code.py").write_text(PROJECT["tests/test_code.py"])
    monkeypatch.setattr(removal, "nodes", lambda test: [str(test)])
    return tmp_path


def a_check(project: Path, *tests: str) -> list[str]:
    secret = "    if item.secret:\n        return None\n"
    control = a_control(file="code_.py", text=secret, tests=tuple(Named("tests/test_code.py", each) for each in tests))
    wrong = [verdict.wrong for verdict in check([control], project)]
    assert (project / "code_.py").read_text() == PROJECT["code.py"], "it is put back"
    return wrong


def test_a_test_that_fails_by_an_assertion_has_noticed(project: Path) -> None:
    assert a_check(project, "test_notices") == [""]


@pytest.mark.slow
def test_one_that_passes_all_the_same_and_one_that_breaks_have_not(project: Path) -> None:
    [slept] = a_check(project, "test_notices", "test_sleeps")
    assert slept == "nothing noticed: tests/test_code.py::test_sleeps"
    [broke] = a_check(project, "test_breaks")
    assert broke.startswith("not by an assertion: test_breaks: AttributeError")


@pytest.mark.slow
def test_tests_must_pass_while_the_control_is_there(project: Path) -> None:
    (project / "tests" / "test_code.py").write_text("def test_notices():\n    assert False\n")
    with pytest.raises(CannotRemove, match=r"with every control in place: .*test_notices"):
        a_check(project, "test_notices")
    with pytest.raises(CannotRemove, match="pytest ended with 4"):
        a_check(project, "test_gone")


def test_the_command_tells_of_each(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(removal, "copied", lambda folder: folder)
    monkeypatch.setattr(removal, "check", lambda listed, _: [Verdict(each, "") for each in listed])
    assert removal.main() == 0
    assert capsys.readouterr().out.count(" noticed ") == len(CONTROLS)
    monkeypatch.setattr(removal, "check", lambda listed, _: [Verdict(listed[0], "nothing noticed: t")])
    assert removal.main() == 1
    assert "nothing noticed: t" in capsys.readouterr().out


def test_what_a_run_says_is_read(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    cases = (
        '<testcase name="test_ok"/><testcase name="test_no"><failure message="AssertionError: x"/></testcase>'
        '<testcase name="test_no"><error message="failed on teardown with y"/></testcase>'
        '<testcase name="test_raised"><failure message="Failed: DID NOT RAISE"/></testcase>'
        '<testcase name="test_set_up"><error message="failed on setup with z"/></testcase>'
    )
    report.write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    assert removal._read(report) == Ran(
        ["test_ok"], ["test_no", "test_raised"], ["test_set_up: failed on setup with z"]
    )
