"""PyPI fhirpy."""

import json
from collections.abc import Callable
from typing import Any

from common import World, batch_of, batch_seen, ids, outcomes_in, run, searchset, signals, told
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import ForbiddenError, OperationOutcome, ResourceNotFound


def client(world: World) -> SyncFHIRClient:
    """A client with a token; it leaves sign-in to the application."""
    return SyncFHIRClient(world["base"], authorization=f"Bearer {world['token']}")


def discovery(api: SyncFHIRClient, _world: World) -> dict[str, Any]:
    """By plain calls: the client reads no discovery document of its own accord."""
    statement = api.execute("metadata", method="get")
    smart = api.execute(".well-known/smart-configuration", method="get")
    return {
        "fhirVersion": statement["fhirVersion"],
        "authorize": smart["authorization_endpoint"],
        "token": smart["token_endpoint"],
    }


def search(api: SyncFHIRClient, world: World) -> dict[str, Any]:
    """`fetch_raw` gives the Bundle; `fetch` and `fetch_all` give the found resources alone."""
    found = api.resources("Encounter").search(patient=world["patient"])
    raw = searchset(json.loads(json.dumps(found.fetch_raw(), default=lambda resource: resource.serialize())))
    fetched = ids(found.fetch())
    if fetched != raw["ids"]:
        raise ValueError("fetch and fetch_raw differ")
    return raw


def read(api: SyncFHIRClient, world: World) -> dict[str, Any]:
    """By NHS number, and by sealed id."""
    observation = api.reference(reference=world["observation"]).to_resource()
    return {"patient": api.reference("Patient", world["patient"]).to_resource()["id"], "observation": observation["id"]}


def paging(api: SyncFHIRClient, world: World) -> dict[str, Any]:
    """`fetch_all` follows next links and doesn't say how many there were."""
    observations = api.resources("Observation").search(patient=world["long"]).limit(25)
    return {"total": observations.count(), "ids": ids(observations.fetch_all())}


def everything(api: SyncFHIRClient, world: World) -> dict[str, Any]:
    """An operation on a reference."""
    return searchset(api.reference("Patient", world["patient"]).execute("$everything", method="get"))


def batch(api: SyncFHIRClient, world: World) -> dict[str, Any]:
    """A plain call to the base address: the client has no method for it."""
    return batch_seen(api.execute("", data=batch_of(world["patient"])))


def compartment(api: SyncFHIRClient, world: World) -> dict[str, Any]:
    """The patient in the address."""
    return searchset(api.reference("Patient", world["patient"]).execute("Encounter", method="get"))


def failure(ask: Callable[[], Any]) -> dict[str, Any]:
    """The client's errors are told apart by class; they hold the OperationOutcome, and neither status nor headers."""
    try:
        ask()
    except OperationOutcome as error:
        return told(error.resource)
    except (ForbiddenError, ResourceNotFound) as error:
        return told(json.loads(str(error)))
    raise ValueError("it was answered")


def encounters(api: SyncFHIRClient, patient: str) -> Any:
    """What each error is asked for with."""
    return api.resources("Encounter").search(patient=patient).fetch()


def partial(api: SyncFHIRClient, world: World) -> dict[str, Any]:
    """Only `fetch_raw` has tags and outcome: `fetch` and `fetch_all` keep neither."""
    found = api.resources("AllergyIntolerance").search(patient=world["patient"])
    bundle = json.loads(json.dumps(found.fetch_raw(), default=lambda resource: resource.serialize()))
    fetched = found.fetch()
    return {"ids": ids(fetched), **signals(bundle), "inLists": outcomes_in(fetched)}


run(
    client,
    {
        "discovery": discovery,
        "search": search,
        "read": read,
        "paging": paging,
        "everything": everything,
        "batch": batch,
        "compartment": compartment,
        "totals": lambda api, world: {"total": api.resources("Observation").search(patient=world["long"]).count()},
        "forbidden": lambda api, world: failure(lambda: encounters(api, world["stranger"])),
        "not-found": lambda api, _: failure(lambda: api.reference("Observation", "nothing-of-this-id").to_resource()),
        "too-many": lambda _, world: failure(lambda: encounters(client(world["limited"]), world["patient"])),
        "unavailable": lambda api, world: failure(lambda: encounters(api, world["patient"])),
        "partial": partial,
    },
)
