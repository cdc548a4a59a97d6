"""How far a connector can be trusted with an organisation, earned by evidence files and by nothing else.

    bronze   evidence/kit.json              `connectcare connector check NAME --record`: every case of the kit passed
    silver   evidence/<ODS>/contract.json   `connectcare connector try NAME --record`: a contract run against the
                                            organisation's test endpoint came out whole, and the connection has an owner
    gold     evidence/<ODS>/drills.json     the failure drills were held and passed,
             evidence/<ODS>/runbook.md      and whoever is called at night has a runbook

Each grade needs those below it. Evidence names the content of the connector that it was earned with, so a connector
that was changed has lost its grades until the evidence is made again. Evidence that is there and can't be read is an
error, never a lower grade: somebody meant it to count.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import date
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from connectors.sdk.errors import ConfigurationError
from connectors.sdk.manifest import EVIDENCE, folder_of, read_manifest
from connectors.sdk.model import Section

KIT_EVIDENCE: Final = "kit.json"
CONTRACT_EVIDENCE: Final = "contract.json"
DRILL_EVIDENCE: Final = "drills.json"
RUNBOOK: Final = "runbook.md"
KIT_VERSION: Final = 1
"""The version of the kit whose evidence counts. Raised when a case is added or made stricter: all check again."""

SHORTEST_RUNBOOK: Final = 200
"""Characters. Less than a paragraph helps nobody at night."""

_NOT_CONTENT: Final = frozenset({EVIDENCE, "tests", "__pycache__"})
_ODS: Final = re.compile(r"[A-Z0-9]{2,6}")
_HOST: Final = r"^(?=.{4,253}$)[a-z0-9-]+(\.[a-z0-9-]+)+(:[0-9]{1,5})?$"
_LOCAL: Final = re.compile(r"localhost|.*\.(localhost|local|test|example|invalid)|[0-9.]+")

_Text = Annotated[str, msgspec.Meta(min_length=1)]


class Grade(IntEnum):
    """In order: production asks an organisation only from silver on."""

    NONE = 0
    BRONZE = 1
    SILVER = 2
    GOLD = 3

    def __str__(self) -> str:
        return self.name.lower()


class KitEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`kit.json`. `cases` are the numbers of those that passed, `skipped` says why each of the others doesn't apply."""

    connector: _Text
    content: _Text
    kit: int
    recorded: date
    cases: Annotated[list[str], msgspec.Meta(min_length=1)]
    skipped: dict[str, _Text]


class ContractEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`contract.json`. `endpoint` is host and port of the organisation's test endpoint, `owner` who answers for the
    connection, `sections` what became of each section that the organisation offers."""

    connector: _Text
    content: _Text
    ods: _Text
    endpoint: Annotated[str, msgspec.Meta(pattern=_HOST)]
    recorded: date
    owner: _Text
    run_by: _Text
    outcome: Literal["answered"]
    sections: dict[Section, Literal["whole"]]
    took_ms: float
    calls: int


class Drill(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One failure that was caused on purpose: what was done, and what came of it."""

    failure: _Text
    expected: _Text
    seen: _Text
    passed: bool


class DrillEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`drills.json`: the failure drills held with an organisation."""

    connector: _Text
    content: _Text
    ods: _Text
    held: date
    led_by: _Text
    drills: Annotated[list[Drill], msgspec.Meta(min_length=3)]


class Standing(msgspec.Struct, frozen=True):
    """A grade, the files that earned it, and what the next one lacks ("" at gold)."""

    grade: Grade
    evidence: tuple[str, ...] = ()
    lacks: str = ""


def grade_of(connector: str, ods: str | None = None) -> Grade:
    """The grade that a connector's evidence earns it, for one organisation; without `ods`, bronze is the best.

    Raises LookupError where there is no such connector, ConfigurationError for a manifest or evidence that is broken.
    """
    return standing_of(connector, ods).grade


def standing_of(connector: str, ods: str | None = None) -> Standing:
    """The grade with its evidence, and the first thing that the next one lacks. Raises as `grade_of`."""
    return standing_in(folder_of(connector), ods)


def kit_result(connector: str) -> KitEvidence | None:
    """What the connector last came to in the kit; None where nothing was recorded. Raises as `grade_of`."""
    found: KitEvidence | None = _read(folder_of(connector) / EVIDENCE / KIT_EVIDENCE, KitEvidence)
    return found


def standing_in(folder: Path, ods: str | None = None) -> Standing:
    """As `standing_of`, for the connector in a folder."""
    read_manifest(folder)
    evidence = folder / EVIDENCE
    if ods is not None and not _ODS.fullmatch(ods):
        raise ConfigurationError("An ODS code has two to six capital letters and digits. Correct it.")
    earned: list[str] = []
    grade = Grade.NONE
    for grade_sought, files, objection in _steps(folder, evidence, ods):
        if objection:
            return Standing(grade, tuple(earned), objection)
        earned += [str(file.relative_to(folder)) for file in files]
        grade = grade_sought
    return Standing(grade, tuple(earned), "" if grade is Grade.GOLD else "an organisation: silver is earned at one")


def _steps(folder: Path, evidence: Path, ods: str | None) -> Iterator[tuple[Grade, list[Path], str]]:
    """Each grade from below, with its files and what is against it ("" for nothing)."""
    content = content_hash(folder)
    kit = evidence / KIT_EVIDENCE
    yield Grade.BRONZE, [kit], _against_kit(folder.name, content, kit)
    if ods is None:
        return
    contract = evidence / ods / CONTRACT_EVIDENCE
    yield Grade.SILVER, [contract], _against_contract(folder.name, content, ods, contract)
    drills, runbook = evidence / ods / DRILL_EVIDENCE, evidence / ods / RUNBOOK
    yield Grade.GOLD, [drills, runbook], _against_drills(folder.name, content, ods, drills) or _against_runbook(runbook)


def content_hash(folder: Path) -> str:
    """What the connector is, in 40 hexadecimal digits: every file of its folder by name and bytes.

    Evidence and tests aren't part of it, nor is prose (`*.md`), which changes nothing that was tested.
    """
    digest = hashlib.blake2b(digest_size=20)
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    for name, path in sorted(files.items()):
        if not _NOT_CONTENT.intersection(name.split("/")) and path.suffix not in (".md", ".pyc"):
            body = path.read_bytes()
            digest.update(f"{len(name)} {name} {len(body)} ".encode())
            digest.update(body)
    return digest.hexdigest()


def _against_kit(connector: str, content: str, file: Path) -> str:
    found = _read(file, KitEvidence)
    if found is None:
        return f"{file.name}: record it with connectcare connector check {connector} --record"
    if found.kit != KIT_VERSION:
        return f"{file.name} was recorded by version {found.kit} of the kit, which is at {KIT_VERSION}: record it again"
    _demand(file, connector=(found.connector, connector))
    return _if_changed(file, found.content, content)


def _against_contract(connector: str, content: str, ods: str, file: Path) -> str:
    found = _read(file, ContractEvidence)
    if found is None:
        return f"{ods}/{file.name}: record it with connectcare connector try {connector} --ods {ods} --record"
    _demand(file, connector=(found.connector, connector), ods=(found.ods, ods))
    if is_local(found.endpoint):
        raise ConfigurationError(
            f"{file}: endpoint is no organisation's own. Run the contract against its test endpoint."
        )
    if not found.sections:
        raise ConfigurationError(f"{file}: no section was asked for. Run the contract again.")
    return _if_changed(file, found.content, content)


def _against_drills(connector: str, content: str, ods: str, file: Path) -> str:
    found = _read(file, DrillEvidence)
    if found is None:
        return f"{ods}/{file.name}: hold the failure drills of docs/add-a-connector.md and write down what came of them"
    _demand(file, connector=(found.connector, connector), ods=(found.ods, ods))
    failed = [drill.failure for drill in found.drills if not drill.passed]
    if failed:
        return f"{ods}/{file.name}: a drill failed ({failed[0]}): mend it and hold it again"
    return _if_changed(file, found.content, content)


def _against_runbook(file: Path) -> str:
    try:
        length = len(file.read_text(encoding="utf-8").strip())
    except FileNotFoundError:
        return f"{file.parent.name}/{file.name}: write what to do when the connection fails"
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: can't be read ({type(error).__name__}). Write it anew.") from error
    return "" if length >= SHORTEST_RUNBOOK else f"{file.parent.name}/{file.name}: it is too short to help anybody"


def _if_changed(file: Path, recorded: str, content: str) -> str:
    return "" if recorded == content else f"{file.name} was earned by other code: the connector was changed since"


def is_local(endpoint: str) -> bool:
    """True for a host that is no organisation's: this machine, a bare IP address, a name that is reserved for tests."""
    return _LOCAL.fullmatch(endpoint.partition(":")[0]) is not None


def _demand(file: Path, **pairs: tuple[str, str]) -> None:
    """Evidence lies where it belongs. Raises ConfigurationError."""
    for name, (said, expected) in pairs.items():
        if said != expected:
            raise ConfigurationError(
                f"{file}: {name} says {said}, but it lies with {expected}. Put it where it belongs."
            )


def _read(file: Path, kind: type[Any]) -> Any:
    """The evidence, or None where there is none. Raises ConfigurationError for a file that is there and isn't right."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"{file}: {error}. Record it again, or remove it.") from error
    except OSError as error:
        raise ConfigurationError(f"{file}: can't be read ({error.strerror}). Record it again.") from error


def write_evidence(file: Path, evidence: KitEvidence | ContractEvidence) -> None:
    """Write evidence whole or not at all, the same bytes for the same content."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".new")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(evidence, order="sorted"), indent=2) + b"\n")
    partial.replace(file)
