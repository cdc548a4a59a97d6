"""A client of the gateway that proves with every request that its token is its own (DPoP)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx2

from tests.real.signing_in import Application, Person


@dataclass
class Client:
    """Somebody's application, signed in. `signed` is the issuer's token answer."""

    base: str
    application: Application
    person: Person
    signed: dict[str, Any]

    @property
    def token(self) -> str:
        return str(self.signed["access_token"])

    def get(self, path: str, **params: str) -> httpx2.Response:
        """GET, with a fresh proof."""
        return self._send("GET", path, params=params)

    def agree(self, nhs_number: str) -> httpx2.Response:
        """The patient says yes to this caller."""
        return self._send("POST", "/permissions", json={"nhsNumber": nhs_number, "basis": "patient-agreed"})

    def search(self, kind: str, nhs_number: str, **params: str) -> list[dict[str, Any]]:
        """Every resource of a type that the gateway shows, page by page to the last."""
        answer = self.get(f"/fhir/R4/{kind}", patient=nhs_number, **params)
        found = []
        for _ in range(100):
            assert answer.status_code == 200, answer.text
            bundle = answer.json()
            entries = bundle.get("entry", [])
            found += [entry["resource"] for entry in entries if entry["search"]["mode"] == "match"]
            following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
            if not following:
                return found
            answer = self._send("GET", following[0].removeprefix(self.base))
        raise AssertionError("the pages don't end")

    def _send(self, method: str, path: str, **more: Any) -> httpx2.Response:
        url = self.base + path
        headers = self.application.headers(method, url.partition("?")[0], self.token)
        return httpx2.request(method, url, headers=headers, timeout=30, trust_env=False, **more)
