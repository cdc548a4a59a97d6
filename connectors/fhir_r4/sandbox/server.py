"""A small FHIR R4 (4.0.1) server that only reads: metadata, read, search by GET and by POST _search, a batch of
searches, $everything."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from connectors.fhir_r4.sandbox.bundles import Binder, Found, Pages
from connectors.fhir_r4.sandbox.capability import capability
from connectors.fhir_r4.sandbox.flavours import Flavour
from connectors.fhir_r4.sandbox.holdings import Holdings
from connectors.fhir_r4.sandbox.query import Refusal, read_query
from connectors.fhir_r4.sandbox.search import everything, search
from connectors.kit.asgi import FHIR_JSON, BodyTooLong, Receive, Scope, Send, outcome, read, reply
from connectors.kit.faults import Mode, mode_of

_FORM: Final = b"application/x-www-form-urlencoded"


class FhirServer:
    """ASGI app over `holdings` under `base_path`; every call but metadata needs `required_header` (name, value)."""

    def __init__(
        self,
        holdings: Holdings,
        flavour: Flavour,
        *,
        base_path: str = "/fhir",
        required_header: tuple[str, str] | None = None,
    ) -> None:
        self._holdings = holdings
        self._flavour = flavour
        self._base_path = base_path
        self._pages = Pages()
        self._binder = Binder(holdings, flavour, self._pages)
        self._capability = capability(holdings.ods, flavour, secured=required_header is not None)
        self._required = required_header and (required_header[0].lower().encode(), required_header[1].encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            status, body = 200, await self._answer(scope, receive)
        except Refusal as refusal:
            status, body = refusal.status, outcome(refusal.code, refusal.sentence)
        more = [(b"www-authenticate", b"Bearer")] if status == 401 else []
        await reply(send, status, body, FHIR_JSON, *more)

    async def _answer(self, scope: Scope, receive: Receive) -> bytes:
        steps = scope["path"].removeprefix(self._base_path).strip("/").split("/")
        if steps == ["metadata"]:
            return self._capability
        self._check_header(scope)
        if steps == [""] and scope["method"] == "POST" and self._flavour.batch:
            return await self._batch(self._base(scope), receive, mode_of(scope))
        text = await self._query_text(scope, receive, steps)
        base = self._base(scope)
        mode = mode_of(scope)
        match steps:
            case [kind] | [kind, "_search"]:
                return self._search(base, kind, text, mode)
            case ["Patient", patient, "$everything"] if self._flavour.everything:
                return self._everything(base, patient, text, mode)
            case [kind, resource_id]:
                return self._read(kind, resource_id)
        raise Refusal(404, "not-found", "There is nothing at this address.")

    def _check_header(self, scope: Scope) -> None:
        if self._required is not None and self._required not in scope["headers"]:
            raise Refusal(401, "login", "The header that this system requires is missing or wrong.")

    def _base(self, scope: Scope) -> str:
        """The absolute base as the caller knows it, by its own Host header."""
        host = next(
            (value.decode("ascii", "replace") for name, value in scope["headers"] if name == b"host"), "localhost"
        )
        return f"{scope.get('scheme', 'http')}://{host}{self._base_path}"

    async def _query_text(self, scope: Scope, receive: Receive, steps: list[str]) -> str:
        """The question, from the address or from a POST _search form. Raises Refusal (405, 413, 415)."""
        in_address: str = scope["query_string"].decode("ascii", "replace")
        if scope["method"] == "GET" and steps[-1] != "_search":
            return in_address
        if scope["method"] != "POST" or len(steps) != 2 or steps[-1] != "_search":
            raise Refusal(405, "not-supported", "This system is read only.")
        if not any(name == b"content-type" and value.startswith(_FORM) for name, value in scope["headers"]):
            raise Refusal(415, "not-supported", f"Send {_FORM.decode()}.")
        try:
            form = (await read(receive)).decode("ascii", "replace")
        except BodyTooLong as error:
            raise Refusal(413, "too-long", str(error)) from error
        return "&".join(part for part in (in_address, form) if part)

    async def _batch(self, base: str, receive: Receive, mode: Mode) -> bytes:
        """Each search of a batch, answered by itself and in its place, as R4 wants it."""
        try:
            asked = msgspec.json.decode(await read(receive))
            searches = [str(entry["request"]["url"]) for entry in asked["entry"]]
        except (ValueError, LookupError, TypeError) as error:
            raise Refusal(400, "structure", "Send a Bundle of type batch.") from error
        entries = [self._in_batch(base, search, mode) for search in searches]
        return msgspec.json.encode({"resourceType": "Bundle", "type": "batch-response", "entry": entries})

    def _in_batch(self, base: str, url: str, mode: Mode) -> dict[str, Any]:
        kind, _, text = url.partition("?")
        try:
            return {
                "response": {"status": "200 OK"},
                "resource": msgspec.Raw(self._search(base, kind, text, mode)),
            }
        except Refusal as refusal:
            said = msgspec.Raw(outcome(refusal.code, refusal.sentence))
            return {"response": {"status": str(refusal.status)}, "resource": said}

    def _search(self, base: str, kind: str, text: str, mode: Mode) -> bytes:
        if kind not in self._flavour.types:
            raise Refusal(404, "not-supported", "This system holds no resources of this type.")
        if mode is Mode.NO_ALLERGIES and kind == "AllergyIntolerance":
            raise Refusal(500, "exception", "The allergy module failed.")
        if page := parse_qs(text).get("_page"):
            return self._binder.bind(base, *self._pages.recall(f"/{kind}", page[0]))
        query = read_query(kind, text, self._flavour)
        found = search(self._holdings, query, mode)
        size = self._page_size(query.count)
        return self._binder.bind(base, Found(f"/{kind}", text, found, tuple(query.includes), size))

    def _page_size(self, count: int | None) -> int | None:
        largest = self._flavour.page_size
        return largest if count is None or largest is None else min(count, largest)

    def _read(self, kind: str, resource_id: str) -> bytes:
        stored = self._holdings.by_key.get(f"{kind}/{resource_id}")
        if stored is None:
            raise Refusal(404, "not-found", "There is no such resource.")
        return stored.body

    def _everything(self, base: str, patient: str, text: str, mode: Mode) -> bytes:
        """All at once, on one page unless `_count` wants less; a missing allergy module is owned up to."""
        path = f"/Patient/{patient}/$everything"
        if f"Patient/{patient}" not in self._holdings.by_key:
            raise Refusal(404, "not-found", "There is no such patient.")
        asked = parse_qs(text)
        if page := asked.pop("_page", None):
            return self._binder.bind(base, *self._pages.recall(path, page[0]))
        types = [kind for value in asked.pop("_type", ()) for kind in value.split(",")]
        size = asked.pop("_count", [""])[0]
        if asked or (size and not (size.isascii() and size.isdigit())):
            raise Refusal(400, "not-supported", "$everything takes _type and _count here.")
        found, extra = everything(self._holdings, patient, mode)
        if types:
            found, extra = ([one for one in held if one.type in types] for held in (found, extra))
        whole = Found(path, text, found, page_size=int(size) if size else None, extra=tuple(extra))
        if mode is Mode.NO_ALLERGIES:
            warning = outcome(
                "incomplete", "The allergy module failed: allergies are missing here.", severity="warning"
            )
            whole = replace(whole, warning=warning)
        return self._binder.bind(base, whole)
