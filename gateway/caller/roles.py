"""National job-role codes to our roles, by the type of organisation: `policies/job-roles.yaml`, read strictly.

The table is governance's: no code is mentioned in Python. A job-role code alone doesn't tell what somebody does (R8000
covers general practitioners and hospital doctors alike), so the organisation's type decides with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from connectors.sdk.errors import ConfigurationError
from connectors.sdk.file_faults import read_yaml
from connectors.sdk.organisations import OrganisationType
from gateway.caller.model import STAFF, Role

_ANY: Final = "any"
_STRICT: Final = ConfigDict(frozen=True, extra="forbid")
_Types = Annotated[tuple[OrganisationType, ...], Field(min_length=1)]


class JobRole(BaseModel):
    """One line of the table. `acts_in` narrows where this code means the role; without it the role's own applies."""

    model_config = _STRICT

    code: str = Field(pattern=r"^R[0-9]{4}$")
    name: str = Field(min_length=1)
    acts_in: _Types | None = Field(default=None, alias="acts-in")


class _RoleEntry(BaseModel):
    model_config = _STRICT

    why: str = Field(min_length=1)
    acts_in: _Types = Field(alias="acts-in")
    job_roles: Annotated[tuple[JobRole, ...], Field(min_length=1)] | Literal["any"] = Field(alias="job-roles")


class JobRoles:
    """Which of our roles a job-role code has in a type of organisation."""

    def __init__(
        self, table: Mapping[tuple[str, OrganisationType], Role], whole: Mapping[OrganisationType, Role]
    ) -> None:
        self._table = dict(table)
        self._whole = dict(whole)
        self._codes = frozenset(code for code, _ in table)

    def knows(self, code: str) -> bool:
        """True where the code has a role in some type of organisation."""
        return code in self._codes

    def role_of(self, code: str, organisation_type: OrganisationType) -> Role | None:
        """The role, or None where the code has none there."""
        return self._whole.get(organisation_type) or self._table.get((code, organisation_type))

    def __iter__(self) -> Iterator[tuple[str, OrganisationType, Role]]:
        return ((code, type_, role) for (code, type_), role in self._table.items())


def load_job_roles(path: Path) -> JobRoles:
    """Read and check the table. Raises ConfigurationError with file, line and remedy."""
    table = _Table(path)
    roles = _roles_node(path)
    for name, node in roles.items():
        line = roles.lc.key(name)[0] + 1
        role, entry = _read_role(path, name, node, line)
        if entry.job_roles == _ANY:
            table.add(line, role, None, entry.acts_in)
            continue
        for index, job_role in enumerate(entry.job_roles):
            table.add_job_role(node["job-roles"].lc.item(index)[0] + 1, role, job_role, entry)
    return JobRoles(table.by_code, table.whole)


class _Table:
    """The table as it grows; nothing may be said twice."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.by_code: dict[tuple[str, OrganisationType], Role] = {}
        self.whole: dict[OrganisationType, Role] = {}

    def add_job_role(self, line: int, role: Role, job_role: JobRole, entry: _RoleEntry) -> None:
        types = job_role.acts_in or entry.acts_in
        if not set(types) <= set(entry.acts_in):
            what = f"{job_role.code} acts where {role} doesn't"
            raise _wrong(self._path, line, what, "Widen the role's acts-in, or narrow this one.")
        self.add(line, role, job_role.code, types)

    def add(self, line: int, role: Role, code: str | None, types: tuple[OrganisationType, ...]) -> None:
        for type_ in types:
            taken = self._taken(code, type_)
            if taken is not None:
                what = f"{code or 'everybody'} in a {type_} is {role} here, and {taken} before"
                raise _wrong(self._path, line, what, "Keep one.")
            if code is None:
                self.whole[type_] = role
            else:
                self.by_code[code, type_] = role

    def _taken(self, code: str | None, type_: OrganisationType) -> Role | None:
        if type_ in self.whole:
            return self.whole[type_]
        if code is not None:
            return self.by_code.get((code, type_))
        return next((role for (_, taken), role in self.by_code.items() if taken is type_), None)


def _roles_node(path: Path) -> CommentedMap:
    document = read_yaml(path)
    if not isinstance(document, CommentedMap) or set(document) != {"owner", "source", "roles"}:
        raise _wrong(path, 1, "the file must hold owner, source and roles, and nothing else", "Add or remove keys.")
    if not isinstance(document["roles"], CommentedMap) or not document["roles"]:
        raise _wrong(path, 1, "no role is listed", "List roles by name under roles:.")
    return document["roles"]


def _read_role(path: Path, name: Any, node: Any, line: int) -> tuple[Role, _RoleEntry]:
    role = next((role for role in STAFF if role == name), None)
    if role is None:
        raise _wrong(path, line, f"there is no role {name} of staff", f"Use one of: {', '.join(STAFF)}.")
    try:
        return role, _RoleEntry.model_validate(node)
    except ValidationError as error:
        first = error.errors()[0]
        where = first["loc"]
        said = f"{role}: {'.'.join(str(step) for step in where)}: {first['msg']}"
        raise _wrong(path, _line_at(node, where, line), said, "Mend the entry.") from error


def _line_at(node: Any, where: tuple[int | str, ...], line: int) -> int:
    """The line of the innermost part of the entry that the error's place still leads to."""
    for step in where:
        if isinstance(node, CommentedMap) and step in node:
            line = node.lc.key(step)[0] + 1
        elif isinstance(node, CommentedSeq) and isinstance(step, int) and step < len(node):
            line = node.lc.item(step)[0] + 1
        else:
            continue  # pydantic's own steps, such as the name of a union's member
        node = node[step]
    return line


def _wrong(path: Path, line: int, what: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(f"{path}:{line}: {what}. {remedy}")
