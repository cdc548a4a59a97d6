"""Does a contract break those who built on the one before? Small rules over two OpenAPI documents, in plain sentences.

What a client sends may only be allowed more, what it receives may only be promised more: so a schema is read one way in
a request and the other way in a response. Texts and examples promise nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, Final

Json = Mapping[str, Any]
_METHODS: Final = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})
_AT_LEAST: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_AT_MOST: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_UNIONS: Final = ("anyOf", "oneOf", "allOf")


class Way(Enum):
    """Whose data a schema describes."""

    SENT = "sent"
    RECEIVED = "received"


def breaks(before: Json, after: Json) -> list[str]:
    """What breaks, a sentence each; none where every client of the contract before is served by this one."""
    return list(dict.fromkeys(_Comparison(before, after).paths()))


def version_allows(before: str, after: str) -> bool:
    """True where the step from one version to the other may break clients: another major one, or another minor one
    while the major one is 0 (Semantic Versioning 2.0, 4). Raises ValueError for what isn't a version."""
    was, now = (tuple(int(part) for part in each.split(".")[:2]) for each in (before, after))
    return now[0] > was[0] or (was[0] == now[0] == 0 and now[1] > was[1])


class _Comparison:
    def __init__(self, before: Json, after: Json) -> None:
        self._before = before
        self._after = after
        self._seen: set[tuple[str, str, Way]] = set()

    def paths(self) -> Iterator[str]:
        for path, methods in self._before["paths"].items():
            now = self._after["paths"].get(path)
            if now is None:
                yield f"{path}: the path is gone"
                continue
            for method in sorted(_METHODS & set(methods)):
                where = f"{method.upper()} {path}"
                if method not in now:
                    yield f"{where}: the operation is gone"
                else:
                    yield from self._operation(where, methods[method], now[method])

    def _operation(self, where: str, before: Json, after: Json) -> Iterator[str]:
        yield from self._parameters(where, before, after)
        yield from self._body(where, before.get("requestBody"), after.get("requestBody"))
        yield from self._responses(where, before["responses"], after["responses"])
        if not before.get("security") and after.get("security"):
            yield f"{where}: it takes a token now"

    def _parameters(self, where: str, before: Json, after: Json) -> Iterator[str]:
        was, now = _by_name(before), _by_name(after)
        for key, parameter in was.items():
            if key not in now:
                yield f"{where}: the {key[0]} parameter {key[1]} is gone"
                continue
            at = f"{where}: {key[0]} parameter {key[1]}"
            if now[key].get("required") and not parameter.get("required"):
                yield f"{at} is required now"
            yield from self._schema(at, parameter.get("schema", {}), now[key].get("schema", {}), Way.SENT)
        for key in sorted(now.keys() - was.keys()):
            if now[key].get("required"):
                yield f"{where}: the new {key[0]} parameter {key[1]} is required"

    def _body(self, where: str, before: Json | None, after: Json | None) -> Iterator[str]:
        if after is None:
            if before is not None:
                yield f"{where}: it takes no body any more"
            return
        if after.get("required") and not (before or {}).get("required"):
            yield f"{where}: a body is required now"
        yield from self._contents(f"{where}: body", before or {}, after, Way.SENT)

    def _responses(self, where: str, before: Json, after: Json) -> Iterator[str]:
        for status, answer in before.items():
            if status not in after:
                # A refusal that doesn't occur any more harms nobody.
                if status.startswith("2"):
                    yield f"{where}: the answer {status} is gone"
                continue
            at = f"{where}: answer {status}"
            was, now = _followed(self._before, answer), _followed(self._after, after[status])
            yield from self._contents(at, was, now, Way.RECEIVED)
            gone = {name.lower() for name in was.get("headers", {})} - {name.lower() for name in now.get("headers", {})}
            yield from (f"{at}: the header {name} is gone" for name in sorted(gone))
        for status in sorted(after.keys() - before.keys()):
            if status.startswith(("2", "3")):
                yield f"{where}: it may answer {status} now"

    def _contents(self, at: str, before: Json, after: Json, way: Way) -> Iterator[str]:
        was, now = before.get("content", {}), after.get("content", {})
        for kind, media in was.items():
            if kind not in now:
                yield f"{at}: the media type {kind} is gone"
            else:
                yield from self._schema(at, media.get("schema", {}), now[kind].get("schema", {}), way)
        if way is Way.RECEIVED and was:
            yield from (f"{at}: it may be {kind} now" for kind in sorted(now.keys() - was.keys()))

    def _schema(self, at: str, before: Json, after: Json, way: Way) -> Iterator[str]:
        pair = (json.dumps(before, sort_keys=True), json.dumps(after, sort_keys=True), way)
        if pair in self._seen:
            return  # a schema that holds itself, or one that many doors share: once is enough
        self._seen.add(pair)
        was, now = _followed(self._before, before), _followed(self._after, after)
        yield from _types(at, was, now, way)
        yield from _values(at, was, now, way)
        yield from _bounds(at, was, now, way)
        yield from self._members(at, was, now, way)
        if "items" in was or "items" in now:
            yield from self._schema(f"{at}[]", _schema_of(was.get("items")), _schema_of(now.get("items")), way)
        yield from self._unions(at, was, now, way)

    def _members(self, at: str, was: Json, now: Json, way: Way) -> Iterator[str]:
        members, new = was.get("properties", {}), now.get("properties", {})
        for name, schema in members.items():
            if name in new:
                yield from self._schema(f"{at}.{name}", schema, new[name], way)
            elif way is Way.RECEIVED or now.get("additionalProperties") is False:
                yield f"{at}.{name} is gone"
        had, has = set(was.get("required", ())), set(now.get("required", ()))
        if way is Way.SENT:
            yield from (f"{at}.{name} is required now" for name in sorted(has - had))
        else:
            yield from (f"{at}.{name} may be missing now" for name in sorted((had - has) & new.keys()))
        if (
            way is Way.SENT
            and now.get("additionalProperties") is False
            and was.get("additionalProperties") is not False
        ):
            yield f"{at}: other members are refused now"

    def _unions(self, at: str, was: Json, now: Json, way: Way) -> Iterator[str]:
        """Alternatives are matched by what they are: each that a client may send must still be there, and each that it
        may receive must have been there."""
        for union in _UNIONS:
            olds, news = (list(each.get(union, ())) for each in (was, now))
            if len(olds) == len(news):
                for old, new in zip(olds, news, strict=True):
                    yield from self._schema(at, old, new, way)
            elif union == "allOf" or len(olds) == 0 or len(news) == 0:
                yield f"{at}: it is put together in another way"
            elif lost := _lost(*((olds, news) if way is Way.SENT else (news, olds))):
                yield f"{at}: {lost} of the alternatives {'are gone' if way is Way.SENT else 'are new'}"


def _by_name(operation: Json) -> dict[tuple[str, str], Json]:
    return {(each["in"], each["name"]): each for each in operation.get("parameters", ())}


def _followed(document: Json, schema: Json) -> Json:
    while "$ref" in schema:
        target: Any = document
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step.replace("~1", "/").replace("~0", "~")]
        schema = target
    return schema


def _schema_of(items: Any) -> Json:
    return items if isinstance(items, Mapping) else {}


def _lost(needed: Iterable[Json], there: Iterable[Json]) -> int:
    kept = {json.dumps(each, sort_keys=True) for each in there}
    return sum(json.dumps(each, sort_keys=True) not in kept for each in needed)


def _types(at: str, was: Json, now: Json, way: Way) -> Iterator[str]:
    before, after = _type_names(was), _type_names(now)
    narrow, wide = (after, before) if way is Way.SENT else (before, after)
    # Where nothing is said, everything is allowed.
    if narrow and not (wide and wide <= narrow):
        yield f"{at}: its type was {_said(before)}, and is {_said(after)}"


def _type_names(schema: Json) -> frozenset[str]:
    said = schema.get("type", ())
    names = {said} if isinstance(said, str) else set(said)
    return frozenset(names | ({"integer"} if "number" in names else set()))


def _said(names: frozenset[str]) -> str:
    return " or ".join(sorted(names)) or "any"


def _values(at: str, was: Json, now: Json, way: Way) -> Iterator[str]:
    before, after = _allowed(was), _allowed(now)
    narrow, wide = (after, before) if way is Way.SENT else (before, after)
    if narrow is None:
        return
    if wide is None:
        yield f"{at}: its values are {'listed' if way is Way.SENT else 'not listed any more'}"
        return
    for value in sorted(wide - narrow):
        yield f"{at}: the value {value} {'is gone' if way is Way.SENT else 'is new'}"


def _allowed(schema: Json) -> frozenset[str] | None:
    if "const" in schema:
        return frozenset({json.dumps(schema["const"])})
    return frozenset(json.dumps(value) for value in schema["enum"]) if "enum" in schema else None


def _bounds(at: str, was: Json, now: Json, way: Way) -> Iterator[str]:
    """A bound on what is received is no promise that a client can break on, but for a string's form."""
    for key in ("pattern", "format"):
        before, after = was.get(key), now.get(key)
        promised = after if way is Way.SENT else before
        if promised is not None and before != after:
            yield f"{at}: its {key} was {before}, and is {after}"
    if way is Way.RECEIVED:
        return
    for key in _AT_LEAST:
        if key in now and now[key] > was.get(key, float("-inf")):
            yield f"{at}: {key} is {now[key]} now"
    for key in _AT_MOST:
        if key in now and now[key] < was.get(key, float("inf")):
            yield f"{at}: {key} is {now[key]} now"
