"""What a disclosure says of itself: what its policy leaves out. Never whether anything was left out."""

from __future__ import annotations

from connectors.sdk.model import Section
from gateway.disclosure.model import NamedPolicy
from gateway.policy.decide import Policy
from gateway.policy.told import ABSENCE, SECTION_NAMES


def left_out(policy: Policy, named: NamedPolicy) -> list[str]:
    """Standing sentences, the same for every record that is disclosed under this policy."""
    told = []
    if absent := [SECTION_NAMES[section] for section in Section if section not in named.terms.sections]:
        told.append(f"Not part of a disclosure under “{named.title}”: {', '.join(absent)}.")
    if not named.terms.sensitive:
        titles = "; ".join(policy.labels.titles[label] for label in sorted(policy.labels.vocabulary))
        told.append(f"Not part of it either, whether or not there are any: items labelled {titles}.")
    told.append("What an organisation itself withholds is no part of a disclosure: ask that organisation.")
    return [*told, ABSENCE]
