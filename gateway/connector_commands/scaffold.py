"""`connector new`: the files of a connector from `connectors/template/`, and what to do next.

Every file is new: a connector is added without an edit of anything that others share.
"""

from __future__ import annotations

import getpass
import keyword
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

import connectors
from connectors.sdk.address import address_fault
from connectors.sdk.errors import ConfigurationError
from connectors.sdk.manifest import NAME_PATTERN, Kind
from connectors.sdk.organisations import OrganisationType, load_organisations
from gateway.connector_commands.refusals import CannotDo

_ODS: Final = re.compile(r"[A-Z0-9]{2,6}", re.ASCII)
_NAME: Final = re.compile(NAME_PATTERN, re.ASCII)
_PLAIN_TEXT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .,@()'-]{0,79}", re.ASCII)
_SUFFIX: Final = ".tmpl"
_TEST: Final = "test.py"
_ORGANISATIONS: Final = "connectors/organisations.yaml"
_CHECKOUT: Final = ("pyproject.toml", _ORGANISATIONS, "tests/connectors")
_TAKEN: Final = frozenset({"sdk", "kit", "template", "practices"})


@dataclass(frozen=True, slots=True)
class Order:
    """A connector to be written, checked: `root` is a source checkout that has none of this name."""

    name: str
    kind: Kind
    ods: str
    type: OrganisationType
    address: str
    owner: str
    root: Path

    @property
    def folder(self) -> Path:
        """Where it goes."""
        return self.root / "connectors" / self.name

    @property
    def test(self) -> Path:
        """Its test, where `make test` finds it."""
        return self.root / "tests" / "connectors" / f"test_{self.name}.py"


def order(
    name: str,
    kind: str,
    ods: str,
    organisation_type: str,
    *,
    address: str,
    owner: str | None = None,
    root: Path | None = None,
) -> Order:
    """The order, or CannotDo with what is wrong with it."""
    checked = Order(
        _checked_name(name),
        Kind(_one_of(kind, Kind, "--kind")),
        _checked_ods(ods),
        OrganisationType(_one_of(organisation_type, OrganisationType, "--type")),
        _checked_address(address),
        _checked_owner(owner or getpass.getuser()),
        _checkout(root),
    )
    for path in (checked.folder, checked.test):
        if path.exists():
            raise CannotDo(f"{path.relative_to(checked.root)} exists already. Choose another name, or remove it.")
    return checked


def _checked_name(name: str) -> str:
    if keyword.iskeyword(name):
        raise CannotDo(f"{name!r} can't be a connector's name: it's a word of Python. Choose another name.")
    if not _NAME.fullmatch(name):
        raise CannotDo(f"{name[:40]!r} can't be a connector's name. Use 2 to 40 small letters, digits and underscores.")
    if name in _TAKEN:
        raise CannotDo(f"connectors/{name} is something else already. Choose another name.")
    return name


def _checked_ods(ods: str) -> str:
    if not _ODS.fullmatch(ods):
        raise CannotDo(f"{ods[:20]!r} is no ODS code: those have two to six capital letters and digits, like RJ2.")
    return ods


def _one_of(value: str, offered: Sequence[str] | type[Kind] | type[OrganisationType], option: str) -> str:
    if value not in list(offered):
        raise CannotDo(f"{option} {value[:40]} is not known. Use one of: {', '.join(offered)}.")
    return value


def _checked_address(address: str) -> str:
    if fault := address_fault(address):
        raise CannotDo(f"--address {fault}. Correct it.")
    return address


def _checked_owner(owner: str) -> str:
    if not _PLAIN_TEXT.fullmatch(owner):
        raise CannotDo("--owner must be a name: up to 80 letters, digits, spaces and .,@()'-")
    return owner


def _checkout(root: Path | None) -> Path:
    """A source checkout. An installed gateway has no place for a connector's tests, nor for the next release of it."""
    found = (root or Path(connectors.__file__).parent.parent).resolve()
    if lacking := next((name for name in _CHECKOUT if not (found / name).exists()), None):
        raise CannotDo(
            f"{found} is no source checkout of Connect Care ({lacking} isn't there). A connector is written and "
            "reviewed in one: clone the repository and run the command there, or name the checkout with --dir."
        )
    return found


def write(order: Order) -> list[Path]:
    """Write every file, all or none; returns them in the order in which to read them."""
    rendered = _rendered(order)
    partial = order.folder.with_name(f".{order.name}.new")
    try:
        for path, text in rendered.items():
            target = partial / path.relative_to(order.folder) if path.is_relative_to(order.folder) else path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        partial.rename(order.folder)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        order.test.unlink(missing_ok=True)
        what = f"connectors/{order.name} can't be written ({error.strerror})"
        raise CannotDo(f"{what}. Check who owns {order.root}.") from error
    return list(rendered)


def _rendered(order: Order) -> dict[Path, str]:
    templates = Path(connectors.__path__[0]) / "template" / order.kind
    words = _words(order)
    made = {}
    for template in sorted(templates.rglob(f"*{_SUFFIX}")):
        place = template.relative_to(templates).as_posix().removesuffix(_SUFFIX)
        path = order.test if place == _TEST else order.folder / place
        made[path] = Template(template.read_text(encoding="utf-8")).substitute(words)
    return made


def _words(order: Order) -> Mapping[str, str]:
    title = order.name.replace("_", " ").capitalize()
    return {
        "name": order.name,
        "title": title,
        "ods": order.ods,
        "organisation": title,
        "type": order.type.value,
        "address": order.address,
        "owner": order.owner,
    }


def told(order: Order, files: Sequence[Path]) -> str:
    """What was written, and what to do next."""
    lines = ["Written:", *(f"  {path.relative_to(order.root)}" for path in files), "", "Next:"]
    steps = _DIALECT_STEPS if order.kind is Kind.DIALECT else _R4_STEPS
    lines += [f"  {number}. {step}" for number, step in enumerate(steps, start=1)]
    lines += ["", _TWICE] if _takes_part(order) else []
    return Template("\n".join(lines)).substitute(_words(order))


def _takes_part(order: Order) -> bool:
    """True where the code stands in the checkout's organisations. What is wrong in that file is said elsewhere."""
    try:
        return load_organisations(order.root / _ORGANISATIONS).get(order.ods) is not None
    except ConfigurationError:
        return False


_TWICE: Final = (
    "$ods stands in connectors/organisations.yaml already, and a code may stand there once. For the demo, put the "
    "entry in a copy of that file, in place of the other."
)
_CHECK: Final = "See it pass: connectcare connector check $name"
_DEMO: Final = (
    "See it in the demo: cat connectors/organisations.yaml connectors/$name/entry.yaml > connectors/with-$name.yaml; "
    "connectcare demo --organisations connectors/with-$name.yaml"
)
_TRY: Final = (
    "Ask it one real question: connectcare connector try $name --ods $ods --nhs-number ... --config ... "
    "--reason connecting"
)
_LIVE: Final = "Go live: docs/add-a-connector.md says how its grade is earned, and what production asks for"
_R4_STEPS: Final = (
    _CHECK,
    "Set address, sections and auth in connectors/$name/entry.yaml (connectors/fhir_r4/README.md has every setting)",
    _DEMO,
    _TRY,
    _LIVE,
)
_DIALECT_STEPS: Final = (
    _CHECK,
    "Say where its lists are in connectors/$name/connector.py, what an entry becomes in connectors/$name/mapping.py",
    "Make connectors/$name/sandbox answer as the real system does, and check again",
    "Run its test: pytest tests/connectors/test_$name.py",
    _DEMO,
    _TRY,
    "Record the check: connectcare connector check $name --record",
    _LIVE,
)
