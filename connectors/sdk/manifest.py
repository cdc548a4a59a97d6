"""A connector's manifest: `connectors/<name>/manifest.yaml`, read strictly.

It says what the connector is for, who owns it, which sections it can bring and where its contract is written; its
`kit` is what the conformance kit needs to know (docs/connector-kit.md). A folder whose `kit.connector` names another
connector is an organisation's own: its entry for `organisations.yaml`, and no Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from ruamel.yaml.comments import CommentedMap

import connectors
from connectors.sdk.file_faults import explain, line_of, plain, read_yaml, wrong
from connectors.sdk.model import Section

MANIFEST: Final = "manifest.yaml"
EVIDENCE: Final = "evidence"
NAME_PATTERN: Final = r"^[a-z][a-z0-9_]{1,39}$"


class Kind(StrEnum):
    """What the source speaks."""

    FHIR_R4 = "fhir-r4"
    DIALECT = "dialect"


class Manifest(BaseModel):
    """One connector, as its manifest describes it.

    `contract` says in a few words what is asked of the source and by which specification; `docs` is a file of the
    folder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=NAME_PATTERN)
    kind: Kind
    summary: str = Field(min_length=1)
    owner: str = Field(min_length=1)
    contract: str = Field(min_length=1)
    sections: tuple[Section, ...] = Field(min_length=1)
    docs: str = "README.md"
    kit: Mapping[str, Any] = Field(default_factory=dict)

    @field_validator("sections")
    @classmethod
    def _each_once(cls, value: tuple[Section, ...]) -> tuple[Section, ...]:
        if len(set(value)) != len(value):
            raise ValueError("one stands twice; list each once")
        return value

    @property
    def evidence(self) -> str:
        """The folder, inside the connector's, whose files earn its grades."""
        return EVIDENCE

    @property
    def served_by(self) -> str:
        """The connector that does the work: its own, or the one that serves this organisation."""
        return str(self.kit.get("connector") or self.name)


def folder_of(name: str) -> Path:
    """The folder of a connector. Raises LookupError, with a sentence, where no folder of that name has a manifest."""
    known = {path.parent.name: path.parent for root in connectors.__path__ for path in Path(root).glob(f"*/{MANIFEST}")}
    if name not in known:
        raise LookupError(
            f"There is no connector {name[:40]}: no folder of that name has a {MANIFEST}. "
            f"Use one of: {', '.join(sorted(known)) or 'none yet'}."
        )
    return known[name]


def load_manifest(name: str) -> Manifest:
    """The manifest of a connector. Raises LookupError, and ConfigurationError with file and remedy."""
    return read_manifest(folder_of(name))


def read_manifest(folder: Path) -> Manifest:
    """The manifest in a folder. Raises ConfigurationError with file, line and remedy."""
    file = folder / MANIFEST
    document = read_yaml(file)
    if not isinstance(document, CommentedMap):
        raise wrong(file, 1, "the manifest is not a mapping", "Write it as name: value, one a line.")
    try:
        manifest = Manifest.model_validate(plain(document))
    except ValidationError as error:
        raise explain(file, document, 1, error) from error
    if manifest.name != folder.name:
        line = line_of(document, "name")
        raise wrong(file, line, f"name says {manifest.name}, the folder {folder.name}", "Use one name.")
    if not (folder / manifest.docs).is_file():
        line = line_of(document, "docs")
        raise wrong(file, line, f"docs names {manifest.docs}, which isn't there", "Write it, or correct the name.")
    return manifest
