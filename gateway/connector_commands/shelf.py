"""`connector list` and `connector describe`: what is installed, for whom, and how far it can be trusted."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from connectors.sdk.grades import Grade, standing_of
from connectors.sdk.installed import available, package
from connectors.sdk.manifest import load_manifest
from connectors.sdk.organisations import Organisations, load_organisations
from gateway.connector_commands.refusals import CannotDo
from gateway.settings import Settings

_MOST_NAMED: Final = 8
_NO_MANIFEST: Final = "no manifest"


@dataclass(frozen=True, slots=True)
class Behind:
    """One entry of `organisations.yaml` behind a connector: an organisation, or a group of practices (no `ods`)."""

    said: str
    ods: str | None = None


def listing(file: Path | None) -> str:
    """One line for each connector: name, kind, grade, organisations."""
    organisations = _organisations(file)
    rows = [("connector", "kind", "grade", "organisations")]
    for name in available():
        behind = list(_behind(name, organisations))
        rows.append((name, _kind(name), _grades(name, behind), _named(behind)))
    widths = [max(len(row[place]) for row in rows) for place in range(3)]
    return "\n".join(
        "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3])).rstrip()
        for row in rows
    )


def description(name: str, file: Path | None) -> str:
    """All there is to say of one connector. Raises CannotDo for one that doesn't exist, or has no manifest."""
    try:
        manifest = load_manifest(name)
    except LookupError as error:
        raise CannotDo(str(error.args[0])) from error
    serving = manifest.served_by
    behind = list(_behind(serving, _organisations(file)))
    lines = [
        f"{name}: {manifest.summary}",
        "",
        f"  kind       {manifest.kind}" + (f", served by {serving}" if serving != name else ""),
        f"  owner      {manifest.owner}",
        f"  contract   {manifest.contract}",
        f"  sections   {', '.join(manifest.sections)}",
        f"  documents  connectors/{name}/{manifest.docs}",
        "",
        f"Grade of {serving}",
        *_standings(serving, behind),
        "",
        f"Settings of {serving}",
        *_settings(serving),
    ]
    return "\n".join(lines)


def _organisations(file: Path | None) -> Organisations:
    return load_organisations(file or Settings.model_fields["organisations_file"].default)


def _behind(name: str, organisations: Organisations) -> Iterator[Behind]:
    for entry in organisations.listed():
        if entry.connector == name:
            yield Behind(f"{entry.ods} ({entry.stage})", entry.ods)
    for group in organisations.groups():
        if group.entry.connector == name:
            yield Behind(f"{len(group)} practices of {group.name}")


def _named(behind: list[Behind]) -> str:
    if not behind:
        return "none"
    more = len(behind) - _MOST_NAMED
    return ", ".join(one.said for one in behind[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _kind(name: str) -> str:
    try:
        return load_manifest(name).kind
    except LookupError:
        return _NO_MANIFEST


def _grades(name: str, behind: Iterable[Behind]) -> str:
    """The best grade among its organisations: `silver for RJ2`, or what it has for all of them."""
    try:
        everywhere = standing_of(name).grade
        of_each = {one.ods: standing_of(name, one.ods).grade for one in behind if one.ods is not None}
    except LookupError:
        return str(Grade.NONE)
    best = max(of_each.values(), default=everywhere)
    if best <= everywhere:
        return str(everywhere)
    return f"{best} for {', '.join(ods for ods, grade in of_each.items() if grade is best and ods)}"


def _standings(name: str, behind: Iterable[Behind]) -> Iterator[str]:
    for ods in (None, *(one.ods for one in behind if one.ods is not None)):
        standing = standing_of(name, ods)
        proof = f" by {', '.join(standing.evidence)}" if standing.evidence else ""
        lacks = f"; the next one lacks {standing.lacks}" if standing.lacks else ""
        yield f"  {ods or 'any organisation':<17}{standing.grade}{proof}{lacks}"


def _settings(name: str) -> Iterator[str]:
    model = package(name).Settings
    yield from (f"  {line}".rstrip() for line in inspect.cleandoc(model.__doc__ or "").splitlines())
    schema = model.model_json_schema()
    yield ""
    for field, about in schema.get("properties", {}).items():
        default = "" if "default" not in about else f", {_by_default(about['default'])}"
        needed = ", must be given" if field in schema.get("required", ()) else ""
        yield f"  {field}: {_type(about, schema.get('$defs', {}))}{needed}{default}"
        if "description" in about:
            yield f"    {about['description']}"


def _by_default(value: Any) -> str:
    return "may be left out" if value is None else f"{_plain(value)} by default"


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_plain(part)}" for name, part in value.items() if part is not None) + "}"
    return (
        {True: "true", False: "false"}.get(value, str(value))
        if not isinstance(value, list)
        else (f"[{', '.join(map(_plain, value))}]")
    )


_WORDS: Final = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}


def _type(about: Mapping[str, Any], defined: Mapping[str, Any]) -> str:
    """What a value may be, in words, from its JSON schema."""
    if "$ref" in about:
        return _type(defined[about["$ref"].rpartition("/")[2]], defined)
    if "enum" in about or "const" in about:
        return " or ".join(map(str, about.get("enum", [about.get("const")])))
    if "anyOf" in about or "oneOf" in about:
        either = about.get("anyOf", about.get("oneOf", ()))
        return " or ".join(_type(one, defined) for one in either if one.get("type") != "null")
    if about.get("type") == "array":
        return f"list of {_type(about.get('items', {}), defined)}"
    if "properties" in about:
        return "{" + ", ".join(_member(name, part) for name, part in about["properties"].items()) + "}"
    if about.get("type") == "object":
        return "mapping"
    return _WORDS.get(about.get("type", ""), "any value") + _bounds(about)


def _member(name: str, about: Mapping[str, Any]) -> str:
    return f"{name}: {about['const']}" if "const" in about else name


def _bounds(about: Mapping[str, Any]) -> str:
    if "minimum" in about and "maximum" in about:
        return f" from {about['minimum']} to {about['maximum']}"
    return ""
