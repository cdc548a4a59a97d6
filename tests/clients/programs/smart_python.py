"""PyPI fhirclient (SMART Health IT's own)."""

from collections.abc import Callable
from typing import Any

import requests
from common import World, batch_of, batch_seen, callback_from, outcomes_in, run, searchset, signals, told
from fhirclient.client import FHIRClient
from fhirclient.models.allergyintolerance import AllergyIntolerance
from fhirclient.models.bundle import Bundle
from fhirclient.models.encounter import Encounter
from fhirclient.models.observation import Observation
from fhirclient.models.patient import Patient
from fhirclient.server import FHIRNotFoundException, FHIRPermissionDeniedException, FHIRServer

CALLBACK = "http://127.0.0.1:1/app/callback"


def client(world: World) -> FHIRClient:
    """A client with a token: with the state that it saves of itself after sign-in."""
    auth = {"app_id": "an-app", "access_token": world["token"]}
    server = {"base_uri": world["base"] + "/", "auth_type": "oauth2", "auth": auth}
    return FHIRClient(state={"app_id": "an-app", "server": server})


def new_client(world: World) -> FHIRClient:
    """A client that knows the gateway's address and nothing else."""
    settings = {"app_id": "an-app", "api_base": world["base"], "redirect_uri": CALLBACK, "scope": "openid user/*.rs"}
    fresh = FHIRClient(settings=settings)
    fresh.wants_patient = False
    fresh.prepare()
    return fresh


def discovery(_client: FHIRClient, world: World) -> dict[str, Any]:
    """Strict about the statement, and it takes OAuth addresses from the statement's extension alone."""
    fresh = new_client(world)
    statement = fresh.server.capabilityStatement
    oauth = next(each for each in statement.rest[0].security.extension if each.url.endswith("/oauth-uris"))
    uris = {each.url: each.valueUri for each in oauth.extension}
    return {"fhirVersion": statement.fhirVersion, "authorize": uris["authorize"], "token": uris["token"]}


def sign_in(_client: FHIRClient, world: World) -> dict[str, Any]:
    """The whole code flow."""
    fresh = new_client(world)
    fresh.handle_callback(callback_from(fresh.authorize_url))
    return {"id": Patient.read(world["patient"], fresh.server).id}


def search(smart: FHIRClient, world: World) -> dict[str, Any]:
    """A search as the client's models."""
    (page,) = Encounter.where({"patient": world["patient"]}).perform_iter(smart.server)
    return searchset(page.as_json())


class Bearer(requests.auth.AuthBase):
    """The client signs GET and JSON requests itself, forms not."""

    def __init__(self, server: FHIRServer) -> None:
        self.server = server

    def __call__(self, request: Any) -> Any:
        request.headers.update(self.server.auth.signed_headers({}))
        return request


def post_search(smart: FHIRClient, world: World) -> dict[str, Any]:
    """`post_as_form` is the client's one way to send a form."""
    url = f"{world['base']}/Encounter/_search"
    answer = smart.server.post_as_form(url, {"patient": world["patient"]}, auth=Bearer(smart.server))
    return searchset(Bundle(answer.json()).as_json())


def read(smart: FHIRClient, world: World) -> dict[str, Any]:
    """By NHS number, and by sealed id."""
    observation = Observation.read(world["observation"].partition("/")[2], smart.server)
    return {"patient": Patient.read(world["patient"], smart.server).id, "observation": observation.id}


def paging(smart: FHIRClient, world: World) -> dict[str, Any]:
    """Every page."""
    search = Observation.where({"patient": world["long"], "_count": "25"})
    pages = [page.as_json() for page in search.perform_iter(smart.server)]
    return {
        "pages": len(pages),
        "total": pages[0]["total"],
        "ids": [name for page in pages for name in searchset(page)["ids"]],
    }


def everything(smart: FHIRClient, world: World) -> dict[str, Any]:
    """The whole record, each resource as the client's model: one that is not valid would refuse the Bundle."""
    return searchset(Bundle.read_from(f"Patient/{world['patient']}/$everything", smart.server).as_json())


def batch(smart: FHIRClient, world: World) -> dict[str, Any]:
    """A Bundle that is 'created'."""
    return batch_seen(Bundle(batch_of(world["patient"])).create(smart.server))


def compartment(smart: FHIRClient, world: World) -> dict[str, Any]:
    """The patient in the address."""
    return searchset(Bundle.read_from(f"Patient/{world['patient']}/Encounter", smart.server).as_json())


def totals(smart: FHIRClient, world: World) -> dict[str, Any]:
    """The number alone."""
    (page,) = Observation.where({"patient": world["long"], "_summary": "count"}).perform_iter(smart.server)
    return {"total": page.total}


def failure(ask: Callable[[], Any]) -> dict[str, Any]:
    """Each of the client's errors holds the response."""
    try:
        ask()
    except (FHIRPermissionDeniedException, FHIRNotFoundException, requests.HTTPError) as error:
        answer = error.response
        retry = answer.headers.get("Retry-After")
        return {"status": answer.status_code, "retryAfter": retry, **told(answer.json())}
    raise ValueError("it was answered")


def partial(smart: FHIRClient, world: World) -> dict[str, Any]:
    """Pages hold tags and outcome; a list of resources holds the outcome alone."""
    allergies = AllergyIntolerance.where({"patient": world["patient"]})
    (page,) = (each.as_json() for each in allergies.perform_iter(smart.server))
    listed = [resource.as_json() for resource in allergies.perform_resources_iter(smart.server)]
    return {"ids": searchset(page)["ids"], **signals(page), "inLists": outcomes_in(listed)}


run(
    client,
    {
        "discovery": discovery,
        "sign-in": sign_in,
        "search": search,
        "post-search": post_search,
        "read": read,
        "paging": paging,
        "everything": everything,
        "batch": batch,
        "compartment": compartment,
        "totals": totals,
        "forbidden": lambda smart, world: failure(lambda: search(smart, {"patient": world["stranger"]})),
        "not-found": lambda smart, _: failure(lambda: Observation.read("nothing-of-this-id", smart.server)),
        "too-many": lambda _, world: failure(lambda: search(client(world["limited"]), world)),
        "unavailable": lambda smart, world: failure(lambda: search(smart, world)),
        "partial": partial,
    },
)
