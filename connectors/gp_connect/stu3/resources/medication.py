"""Medication: what a medicine is, by dm+d and the system's own code. Both codings stay, in the source's order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from connectors.gp_connect.stu3.naming import of_stu3
from connectors.gp_connect.stu3.rules import Draft, Rules, an_object, as_extension, code, kept, objects, only, renamed
from connectors.sdk.model import Resource

_STATUS: Final = frozenset({"active", "inactive", "entered-in-error"})


def _ingredients(draft: Draft, value: Any) -> None:
    draft.r4["ingredient"] = [
        renamed(ingredient, {"amount": "strength"}, "ingredient") for ingredient in objects(value, "ingredient")
    ]


_CONTAINER: Final = {"container": ("container", "valueCodeableConcept")}
_CONTENT: Final = {
    "itemCodeableConcept": ("item", "valueCodeableConcept"),
    "itemReference": ("item", "valueReference"),
    "amount": ("amount", "valueQuantity"),
}
_BATCH: Final = {"lotNumber": ("lotNumber", "valueString"), "expirationDate": ("expirationDate", "valueDateTime")}
"""For each element of the packet: what it is called within the extension, and its value there."""


def _package(draft: Draft, value: Any) -> None:
    """R4 keeps the batch, if it is one. It has no place for the packet: that is an extension, element by element."""
    package = only(draft, an_object(value, "package"), {"container", "content", "batch"}, "package")
    batches = list(objects(package.get("batch", []), "package.batch"))
    if batches:
        draft.r4["batch"] = batches[0]
    parts = [
        *_parts(draft, package, _CONTAINER, ""),
        *(
            {"url": "content", "extension": _parts(draft, content, _CONTENT, "package.content")}
            for content in objects(package.get("content", []), "package.content")
        ),
        *({"url": "batch", "extension": _parts(draft, batch, _BATCH, "package.batch")} for batch in batches[1:]),
    ]
    if parts:
        draft.extend(of_stu3("Medication.package", "extension", parts))


def _parts(draft: Draft, node: Resource, names: Mapping[str, tuple[str, str]], path: str) -> list[Resource]:
    if path:
        only(draft, node, names, path)
    return [{"url": url, value_name: node[name]} for name, (url, value_name) in names.items() if name in node]


MEDICATION: Final = Rules(
    "Medication",
    {
        **kept("code", "manufacturer", "form"),
        "status": code("status", _STATUS),
        "isBrand": as_extension("isBrand", "valueBoolean"),
        "isOverTheCounter": as_extension("isOverTheCounter", "valueBoolean"),
        "ingredient": _ingredients,
        "package": _package,
        "image": as_extension("image", "valueAttachment"),
    },
)
