"""The resource types that the gateway makes of its own records, as the CapabilityStatement lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.caller.model import Caller
from gateway.errors import Refusal


@dataclass(frozen=True, slots=True)
class Listed:
    """A search parameter: name, type, what it says, and R4's own definition ("" where it has none)."""

    name: str
    type: str
    says: str
    definition: str = ""


def demand_scope(caller: Caller, resource_type: str, rule: str) -> None:
    """Raises Refusal where the scopes of the caller's token leave the type out."""
    if not caller.grants.lets_read(resource_type):
        raise Refusal(
            f"Your application's token doesn't let it read {resource_type}s. It needs the scope "
            f"user/{resource_type}.rs (or user/{resource_type}.read).",
            rule=rule,
        )


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
