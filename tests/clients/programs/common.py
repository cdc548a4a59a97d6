"""What the Python programs share: they read what to do from standard input and print one JSON object of what they saw.

They run in the clients' own environment, where nothing of this project is installed.
"""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from typing import Any

SOURCES = "urn:connect-care:sources"
World = dict[str, Any]


def run(client_of: Callable[[World], Any], cases: dict[str, Callable[[Any, World], Any]]) -> None:
    """Do the asked cases, one after the other; a case that raises has seen its error's words."""
    world = json.load(sys.stdin)
    seen = {}
    for name in world["cases"]:
        try:
            seen[name] = cases[name](client_of(world), world)
        except Exception as error:  # whatever it is, it is what the client saw
            seen[name] = {"threw": f"{type(error).__name__}: {error}"[:800]}
    print(json.dumps(seen))


def searchset(bundle: dict[str, Any]) -> dict[str, Any]:
    """What an application reads of a searchset."""
    found = [entry["resource"] for entry in bundle.get("entry", []) if entry["search"]["mode"] == "match"]
    return {"total": bundle["total"], "ids": ids(found)}


def ids(resources: Iterable[dict[str, Any]]) -> list[str]:
    """The resources' names."""
    return [f"{resource['resourceType']}/{resource['id']}" for resource in resources]


def told(outcome: dict[str, Any]) -> dict[str, str]:
    """What an OperationOutcome says to do."""
    return {"code": outcome["issue"][0]["code"], "told": outcome["issue"][0]["details"]["text"]}


def signals(bundle: dict[str, Any]) -> dict[str, Any]:
    """What a Bundle says of the sources."""
    resources = [entry["resource"] for entry in bundle["entry"]]
    return {
        "tags": [tag["code"] for tag in bundle["meta"]["tag"] if tag["system"] == SOURCES],
        "outcomes": outcomes_in(resources),
    }


def outcomes_in(resources: Iterable[dict[str, Any]]) -> list[str]:
    """The sentences on sources, wherever a list of resources holds an OperationOutcome."""
    found = [resource for resource in resources if resource["resourceType"] == "OperationOutcome"]
    return [issue["details"]["text"] for outcome in found for issue in outcome["issue"]]


def batch_of(patient: str) -> dict[str, Any]:
    """Three reads in one call: a search, a person, and something that isn't there."""
    urls = (f"Encounter?patient={patient}", f"Patient/{patient}", "Observation/nothing-of-this-id")
    entries = [{"request": {"method": "GET", "url": url}} for url in urls]
    return {"resourceType": "Bundle", "type": "batch", "entry": entries}


def batch_seen(bundle: dict[str, Any]) -> dict[str, Any]:
    """What became of each of the three."""
    search, read, missing = bundle["entry"]
    return {
        "statuses": [int(entry["response"]["status"][:3]) for entry in bundle["entry"]],
        "searched": searchset(search["resource"]),
        "read": read["resource"]["id"],
        "missing": told(missing["response"].get("outcome") or missing["resource"]),
    }


def callback_from(authorize: str) -> str:
    """Sign in as a GP at the demo's identity provider: what a browser would do at the address that the client made."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    try:
        urllib.request.build_opener(Stay).open(f"{authorize}&as=gp")
    except urllib.error.HTTPError as answer:
        with answer:
            return str(answer.headers["location"])
    raise ValueError("the identity provider sent nobody anywhere")
