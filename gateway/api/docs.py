"""`/docs`: both contracts to read, from this gateway alone. Nothing is loaded from anywhere else, and nothing is sent.

The reader is Swagger UI, whose files come in the wheel `fastapi-swagger`; trying requests out is switched off, since a
page that takes a token and shows records would be a viewer without a viewer's care.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import Final, NamedTuple

from fastapi import APIRouter, Request, Response

from gateway.api import models
from gateway.api.capability import Capabilities
from gateway.api.contract import own_contract
from gateway.api.door import parts_of
from gateway.contracts.examples import read_examples
from gateway.contracts.fhir import fhir_contract
from gateway.contracts.published import FHIR, OWN, texts
from gateway.errors import NotFound

router = APIRouter(prefix="/docs", include_in_schema=False)
_SWAGGER_UI: Final = "fastapi_swagger.resources"
_POLICY: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
_TITLES: Final[Mapping[str, str]] = MappingProxyType(
    {"connect-care": "Connect Care's own API", "fhir-r4": "The FHIR R4 API"}
)
_START: Final = b"""\
"use strict";
const nothing = () => () => null;
SwaggerUIBundle({
  url: document.getElementById("contract").dataset.url,
  dom_id: "#contract",
  supportedSubmitMethods: [],
  validatorUrl: null,
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  plugins: [() => ({ wrapComponents: { authorizeBtn: nothing, authorizeOperationBtn: nothing } })],
});
"""
_HEAD: Final = '<!doctype html><html lang="en-GB"><head><meta charset="utf-8"><title>{title}</title>'


class _Asset(NamedTuple):
    media_type: str
    body: bytes


def _from_wheel(name: str, media_type: str) -> _Asset:
    return _Asset(media_type, resources.files(_SWAGGER_UI).joinpath(name).read_bytes())


def _assets() -> dict[str, _Asset]:
    return {
        "swagger-ui.css": _from_wheel("swagger-ui.css", "text/css"),
        "swagger-ui.js": _from_wheel("swagger-ui-bundle.js", "text/javascript"),
        "start.js": _Asset("text/javascript", _START),
    }


_ASSETS: Final = _assets()
_NONE_YET: Final[tuple[Capabilities | None, dict[str, str]]] = None, {}


@router.get("")
async def index() -> Response:
    """Which contracts there are."""
    items = "".join(f'<li><a href="/docs/{name}">{title}</a></li>' for name, title in _TITLES.items())
    return _page(
        f"{_HEAD.format(title='Connect Care: API documents')}</head><body><h1>Connect Care</h1><ul>{items}</ul>"
    )


@router.get("/contracts/{file}")
async def contract_file(request: Request, file: str) -> Response:
    """A contract as this gateway keeps it: its FHIR API with what its organisations offer."""
    offered = parts_of(request).capabilities
    made_of, contracts = getattr(request.app.state, "contracts", _NONE_YET)
    if made_of is not offered:  # the first to ask, or the first since a reload
        contracts = await asyncio.to_thread(_contracts, request)
        request.app.state.contracts = offered, contracts
    text = contracts.get(file)
    if text is None:
        raise _nothing()
    return Response(text, media_type="application/json")


@router.get("/assets/{name}")
async def asset(name: str) -> Response:
    """A file of the reader."""
    if name not in _ASSETS:
        raise _nothing()
    return Response(_ASSETS[name].body, media_type=_ASSETS[name].media_type)


@router.get("/{contract}")
async def reader(contract: str) -> Response:
    """One contract, to read."""
    if contract not in _TITLES:
        raise _nothing()
    return _page(
        f"{_HEAD.format(title=_TITLES[contract])}"
        '<link rel="stylesheet" href="/docs/assets/swagger-ui.css"></head><body>'
        f'<div id="contract" data-url="/docs/contracts/{contract}.json"></div>'
        '<script src="/docs/assets/swagger-ui.js"></script><script src="/docs/assets/start.js"></script>'
    )


def _contracts(request: Request) -> dict[str, str]:
    statement = json.loads(parts_of(request).capabilities.document())
    own, version = own_contract(request.app, models.REQUESTS), request.app.version
    offered = fhir_contract(statement, version)
    there = tuple(
        one for one in read_examples() if one.request.path in {OWN: own, FHIR: offered}[f"{one.api}.json"]["paths"]
    )
    return texts(own, offered, there)


def _page(html: str) -> Response:
    return Response(f"{html}</body></html>", media_type="text/html", headers=_POLICY)


def _nothing() -> NotFound:
    return NotFound("There is no such document here. See /docs.", rule="docs.unknown")
