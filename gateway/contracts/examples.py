"""Examples in the contracts: requests and answers of synthetic patients, as the folder `examples` has them.

Each file is one request with its answer, made from a running gateway (`python -m tests.examples`). A wheel has none.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

import gateway

EXAMPLES: Final = Path(gateway.__file__).resolve().parent.parent / "examples"
Json = dict[str, Any]


class Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client sends. `path` is the door's template, `url` what it asks; `form` is a query string in the body."""

    method: str
    path: str
    url: str
    headers: dict[str, str] = {}
    body: Any = None
    form: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What it gets."""

    status: int
    headers: dict[str, str] = {}
    body: Any = None


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """One of `examples/NAME.json`. `api` is the contract's file name without its end; `who` asks."""

    name: str
    api: str
    summary: str
    who: str
    request: Request
    answer: Answer


def read_examples(folder: Path = EXAMPLES) -> tuple[Example, ...]:
    """All of a folder, by name; none where there is no folder. Raises msgspec.ValidationError."""
    files = sorted(folder.glob("*/*.json")) if folder.is_dir() else []
    return tuple(msgspec.json.decode(file.read_bytes(), type=Example) for file in files)


def with_examples(documents: Mapping[str, Json], examples: Iterable[Example]) -> dict[str, Json]:
    """The documents, by file name, each with its examples. Raises KeyError for an example of a door that isn't in the
    contract, or of an answer that this door doesn't promise."""
    whole = {name: copy.deepcopy(document) for name, document in documents.items()}
    for example in examples:
        document = whole[f"{example.api}.json"]
        operation = document["paths"][example.request.path][example.request.method.lower()]
        for media, value in _places(document, operation, example):
            media.setdefault("examples", {})[example.name] = {"summary": example.summary, "value": value}
    return whole


def _places(document: Json, operation: Json, example: Example) -> Iterator[tuple[Json, Any]]:
    """(media type object, value) of the request's body and of the answer's. An answer that all doors share stands at
    this door as its own from then on."""
    if example.request.body is not None:
        [media] = operation["requestBody"]["content"].values()
        yield media, example.request.body
    status = str(example.answer.status)
    answer = operation["responses"][status]
    if "$ref" in answer:
        shared = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
        answer = operation["responses"][status] = copy.deepcopy(shared)
    if example.answer.body is not None:
        kind = example.answer.headers["Content-Type"].partition(";")[0]
        yield answer["content"][kind], example.answer.body


def as_text(example: Example) -> str:
    """The file of an example."""
    return json.dumps(msgspec.to_builtins(example), indent=2, ensure_ascii=False) + "\n"
