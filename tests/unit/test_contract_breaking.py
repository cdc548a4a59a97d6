"""What breaks those who built on a contract, and what doesn't: one change at a time."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.contracts.breaking import breaks, version_allows
from gateway.contracts.published import ContractBroken, broken, keep, told

Json = dict[str, Any]
Change = Callable[[Json], Any]
WHERE = "POST /things/{id}"


def contract(version: str = "0.1.0") -> Json:
    """One door with a parameter, a body that holds itself, and an answer."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Things", "version": version},
        "paths": {
            "/things/{id}": {
                "post": {
                    "parameters": [
                        {
                            "name": "id",
                            "in": "path",
                            "required": True,
                            "schema": {"type": "string", "pattern": "^[a-z]$"},
                        },
                        {"name": "count", "in": "query", "schema": {"type": "integer", "minimum": 0, "maximum": 10}},
                        {"name": "sort", "in": "query", "schema": {"type": "string", "enum": ["up", "down"]}},
                    ],
                    "requestBody": {
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}
                    },
                    "responses": {
                        "200": {
                            "description": "Done",
                            "headers": {"Location": {}},
                            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Done"}}},
                        },
                        "404": {"description": "None"},
                    },
                },
                "get": {"responses": {"200": {"description": "It"}}},
            }
        },
        "components": {
            "schemas": {
                "Thing": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": {"type": "string", "maxLength": 10},
                        "note": {"type": ["string", "null"]},
                        "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Thing"}},
                        "kind": {"anyOf": [{"const": "a"}, {"const": "b"}]},
                    },
                },
                "Done": {
                    "type": "object",
                    "required": ["at"],
                    "properties": {
                        "at": {"type": "string", "format": "date-time"},
                        "state": {"enum": ["good", "bad"]},
                        "of": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                    },
                },
            }
        },
    }


def post(document: Json) -> Json:
    found: Json = document["paths"]["/things/{id}"]["post"]
    return found


def thing(document: Json) -> Json:
    found: Json = document["components"]["schemas"]["Thing"]
    return found


def done(document: Json) -> Json:
    found: Json = document["components"]["schemas"]["Done"]
    return found


def changed(change: Change) -> Json:
    document = contract()
    change(document)
    return document


BREAKING: dict[str, tuple[Change, str]] = {
    "a path goes": (lambda d: d["paths"].clear(), "/things/{id}: the path is gone"),
    "an operation goes": (lambda d: d["paths"]["/things/{id}"].pop("get"), "GET /things/{id}: the operation is gone"),
    "a token is asked for": (lambda d: post(d).update(security=[{"bearer": []}]), f"{WHERE}: it takes a token now"),
    "a parameter goes": (lambda d: post(d)["parameters"].pop(1), f"{WHERE}: the query parameter count is gone"),
    "a parameter becomes required": (
        lambda d: post(d)["parameters"][1].update(required=True), f"{WHERE}: query parameter count is required now",
    ),
    "a new parameter is required": (
        lambda d: post(d)["parameters"].append({"name": "new", "in": "header", "required": True}),
        f"{WHERE}: the new header parameter new is required",
    ),
    "a parameter takes less": (
        lambda d: post(d)["parameters"][2]["schema"]["enum"].pop(),
        f'{WHERE}: query parameter sort: the value "down" is gone',
    ),
    "a parameter's values are listed": (
        lambda d: post(d)["parameters"][1]["schema"].update(enum=[1, 2]),
        f"{WHERE}: query parameter count: its values are listed",
    ),
    "a number is bounded from below": (
        lambda d: post(d)["parameters"][1]["schema"].update(minimum=1),
        f"{WHERE}: query parameter count: minimum is 1 now",
    ),
    "a number is bounded from above": (
        lambda d: post(d)["parameters"][1]["schema"].update(maximum=9),
        f"{WHERE}: query parameter count: maximum is 9 now",
    ),
    "a parameter has another form": (
        lambda d: post(d)["parameters"][0]["schema"].update(pattern="^[0-9]$"),
        f"{WHERE}: path parameter id: its pattern was ^[a-z]$, and is ^[0-9]$",
    ),
    "a body is asked for": (lambda d: post(d)["requestBody"].update(required=True), f"{WHERE}: a body is required now"),
    "a body goes": (lambda d: post(d).pop("requestBody"), f"{WHERE}: it takes no body any more"),
    "a body is another": (
        lambda d: post(d)["requestBody"].update(content={"text/plain": {}}),
        f"{WHERE}: body: the media type application/json is gone",
    ),
    "a member becomes required": (lambda d: thing(d)["required"].append("note"), f"{WHERE}: body.note is required now"),
    "a member takes another type": (
        lambda d: thing(d)["properties"]["note"].update(type="string"),
        f"{WHERE}: body.note: its type was null or string, and is string",
    ),
    "a member is shorter": (
        lambda d: thing(d)["properties"]["name"].update(maxLength=5), f"{WHERE}: body.name: maxLength is 5 now",
    ),
    "a member goes, and others are refused": (
        lambda d: (thing(d)["properties"].pop("note"), thing(d).update(additionalProperties=False)),
        f"{WHERE}: body.note is gone",
    ),
    "other members are refused": (
        lambda d: thing(d).update(additionalProperties=False), f"{WHERE}: body: other members are refused now",
    ),
    "an alternative goes": (
        lambda d: thing(d)["properties"]["kind"]["anyOf"].pop(), f"{WHERE}: body.kind: 1 of the alternatives are gone",
    ),
    "it is put together in another way": (
        lambda d: thing(d)["properties"]["kind"].pop("anyOf"), f"{WHERE}: body.kind: it is put together in another way",
    ),
    "the answer goes": (lambda d: post(d)["responses"].pop("200"), f"{WHERE}: the answer 200 is gone"),
    "the answer may be another": (
        lambda d: post(d)["responses"].update({"202": {}}), f"{WHERE}: it may answer 202 now",
    ),
    "the answer is another kind too": (
        lambda d: post(d)["responses"]["200"]["content"].update({"text/plain": {}}),
        f"{WHERE}: answer 200: it may be text/plain now",
    ),
    "a header goes": (
        lambda d: post(d)["responses"]["200"].pop("headers"), f"{WHERE}: answer 200: the header location is gone",
    ),
    "an answer's member goes": (lambda d: done(d)["properties"].pop("state"), f"{WHERE}: answer 200.state is gone"),
    "an answer's member may be missing": (
        lambda d: done(d).update(required=[]), f"{WHERE}: answer 200.at may be missing now",
    ),
    "an answer has a new value": (
        lambda d: done(d)["properties"]["state"]["enum"].append("unsure"),
        f'{WHERE}: answer 200.state: the value "unsure" is new',
    ),
    "an answer's values aren't listed any more": (
        lambda d: done(d)["properties"]["state"].pop("enum"),
        f"{WHERE}: answer 200.state: its values are not listed any more",
    ),
    "an answer's form isn't promised any more": (
        lambda d: done(d)["properties"]["at"].pop("format"),
        f"{WHERE}: answer 200.at: its format was date-time, and is None",
    ),
    "an answer's type is wider": (
        lambda d: done(d)["properties"]["at"].update(type=["string", "null"]),
        f"{WHERE}: answer 200.at: its type was string, and is null or string",
    ),
    "an answer has a new alternative": (
        lambda d: done(d)["properties"]["of"]["anyOf"].append({"type": "object"}),
        f"{WHERE}: answer 200.of: 1 of the alternatives are new",
    ),
}  # fmt: skip
HARMLESS: dict[str, Change] = {
    "nothing": lambda d: None,
    "another text": lambda d: post(d).update(summary="Better said"),
    "a new path": lambda d: d["paths"].update({"/others": {}}),
    "a new parameter that needn't be given": lambda d: post(d)["parameters"].append({"name": "n", "in": "query"}),
    "a parameter takes more": lambda d: post(d)["parameters"][2]["schema"]["enum"].append("sideways"),
    "a number may be larger": lambda d: post(d)["parameters"][1]["schema"].update(maximum=11),
    "an integer becomes a number": lambda d: post(d)["parameters"][1]["schema"].update(type="number"),
    "a member needn't be given": lambda d: thing(d).update(required=[]),
    "a body may have another form": lambda d: post(d)["requestBody"]["content"].update({"text/plain": {}}),
    "a new refusal": lambda d: post(d)["responses"].update({"429": {"description": "Too many"}}),
    "a refusal goes": lambda d: post(d)["responses"].pop("404"),
    "an answer says more": lambda d: done(d)["properties"].update(more={"type": "string"}),
    "an answer promises more": lambda d: done(d)["required"].append("state"),
    "an answer has a value less": lambda d: done(d)["properties"]["state"]["enum"].pop(),
    "an answer's alternative goes": lambda d: done(d)["properties"]["of"]["anyOf"].pop(),
}


@pytest.mark.parametrize("name", BREAKING)
def test_what_breaks_is_said(name: str) -> None:
    change, sentence = BREAKING[name]
    assert sentence in breaks(contract(), changed(change))


@pytest.mark.parametrize("name", HARMLESS)
def test_what_harms_nobody_passes(name: str) -> None:
    assert breaks(contract(), changed(HARMLESS[name])) == []


@pytest.mark.parametrize(
    ("before", "after", "may"),
    [
        ("0.1.0", "0.1.9", False),
        ("0.1.0", "0.2.0", True),
        ("0.9.0", "1.0.0", True),
        ("1.4.0", "1.5.0", False),
        ("1.4.0", "2.0.0", True),
        ("0.2.0", "0.1.0", False),
        ("2.0.0", "1.9.0", False),
    ],
)
def test_only_the_version_that_says_so_may_break(before: str, after: str, may: bool) -> None:
    assert version_allows(before, after) is may


def text(document: Json) -> dict[str, str]:
    return {"fhir-r4.json": json.dumps(document)}


def test_a_break_is_released_with_another_version_alone(tmp_path: Path) -> None:
    keep(tmp_path, text(contract()), release=True)
    without = copy.deepcopy(contract())
    without["paths"]["/things/{id}"].pop("get")
    with pytest.raises(ContractBroken, match=r"GET /things/\{id\}: the operation is gone"):
        keep(tmp_path, text(without), release=True)
    assert broken(tmp_path / "released", text(without)) == ["fhir-r4.json: GET /things/{id}: the operation is gone"]
    without["info"]["version"] = "0.2.0"
    assert broken(tmp_path / "released", text(without)) == []
    keep(tmp_path, text(without), release=True)
    assert json.loads((tmp_path / "released" / "fhir-r4.json").read_text()) == without
    assert json.loads((tmp_path / "fhir-r4.json").read_text()) == without


def test_a_contract_that_was_never_released_does_not_pass_unseen(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        broken(tmp_path, text(contract()))


def test_one_contract_goes_into_a_file(tmp_path: Path) -> None:
    made = {"connect-care.json": "own", "fhir-r4.json": "fhir"}
    keep(tmp_path / "any.json", made)
    keep(tmp_path / "fhir-r4.json", made)
    assert [(tmp_path / name).read_text() for name in ("any.json", "fhir-r4.json")] == ["own", "fhir"]
    assert "pyproject.toml another version" in told(["x"])
