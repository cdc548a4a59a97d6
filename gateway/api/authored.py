"""The resource types that the gateway makes of its own records, as the CapabilityStatement lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Listed:
    """A search parameter: name, type, what it says, and R4's own definition ("" where it has none)."""

    name: str
    type: str
    says: str
    definition: str = ""


@dataclass(frozen=True, slots=True)
class Authored:
    """One type. `action` is the door that one must be let through to read it."""

    type: str
    action: str
    documentation: str
    params: tuple[Listed, ...]

    def resource(self) -> dict[str, Any]:
        """As `CapabilityStatement.rest.resource`."""
        return {
            "type": self.type,
            "documentation": self.documentation,
            "interaction": [{"code": "read"}, {"code": "search-type"}],
            "versioning": "no-version",
            "readHistory": False,
            "updateCreate": False,
            "conditionalCreate": False,
            "searchParam": [_param(one) for one in self.params],
        }


def _param(one: Listed) -> dict[str, str]:
    listed = {"name": one.name, "type": one.type, "documentation": one.says}
    return {**listed, "definition": one.definition} if one.definition else listed
