"""R4's element tables: read once, before anybody waits for them."""

from __future__ import annotations

from gateway.policy import r4


def test_everything_that_a_known_type_leads_to_is_read_beforehand() -> None:
    r4.prepare()
    before = r4.elements.cache_info().misses, r4.demanded.cache_info().misses
    models, waiting = set(), list(r4.KNOWN_TYPES)
    while waiting:
        model = waiting.pop()
        models.add(model)
        r4.demanded(model)
        waiting += [one.model for one in r4.elements(model).values() if one.model and one.model not in models]
    assert {"Patient", "Observation", "CodeableConcept", "Reference", "EncounterLocation"} <= models
    assert (r4.elements.cache_info().misses, r4.demanded.cache_info().misses) == before
