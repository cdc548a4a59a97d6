"""What a resource is called; and different resources under one id: none is lost, no reference to that id is guessed at.

The gateway takes two resources of one id for versions of the same, and shows the newest. That is right where the
source tells when each was changed. Where it doesn't, they may be two allergies of which one would vanish, or two
Medications of which the wrong one would name a medicine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final

import msgspec

from connectors.gp_connect.stu3.model import Translated
from connectors.gp_connect.stu3.tidy import NotStu3
from connectors.sdk.model import Resource, Section

_ONE_AND_THE_SAME: Final = frozenset({"id", "meta"})


def id_of(source: Resource) -> str:
    """The source's own id as it is: the gateway seals it, so that one that breaks R4's rule does no harm.

    Without one, an id that depends on nothing but the content. Raises NotStu3 for an id that is no text.
    """
    sent_id = source.get("id", "")
    if not isinstance(sent_id, str):
        raise NotStu3("id is no text")
    return sent_id if sent_id.strip() else f"without-id-{digest(source)}"


def lifted_to(holder: Resource, part: Resource) -> str:
    """The reference of a contained resource that becomes one of its own: named after its List, if that has an id.

    (Those of real systems have none, and are made anew for each request: then the content tells it apart.)
    """
    holder_id = holder.get("id")
    part_id = part.get("id")
    name = part_id if isinstance(part_id, str) and part_id.strip() else digest(part)
    if isinstance(holder_id, str) and holder_id.strip():
        return f"{part['resourceType']}/{holder_id}-{name}"
    return f"{part['resourceType']}/ended-{name}-{digest(part)}"


def tell_apart(done: Translated, made: Mapping[str, Sequence[Resource]], short_of: Mapping[str, Section]) -> None:
    """Give each such resource an id by its content, and count them as broken: what refers to them leads nowhere.

    `made` has the resources of `done` by key. Parties and the Patient stay as they are: he is the guard's to judge.
    """
    renamed: dict[str, tuple[str, ...]] = {}
    for key, versions in made.items():
        section = short_of.get(key.partition("/")[0])
        if section in (None, Section.DEMOGRAPHICS) or not _are_different(versions):
            continue
        for resource in versions:
            resource["id"] = f"{resource['id']}-{digest(resource)}"
        renamed[key] = tuple(f"{resource['resourceType']}/{resource['id']}" for resource in versions)
        done.broken[section] += len(versions)
    if renamed:
        done.traced = [
            replace(one, became=tuple(new for key in one.became for new in renamed.get(key, (key,))))
            for one in done.traced
        ]


def digest(resource: Resource) -> str:
    """What tells a resource apart by nothing but its content."""
    return hashlib.blake2b(msgspec.json.encode(resource, order="sorted"), digest_size=12).hexdigest()


def _are_different(versions: Sequence[Resource]) -> bool:
    """True where their content differs, and when each was changed doesn't tell which one holds."""
    contents = [{name: part for name, part in one.items() if name not in _ONE_AND_THE_SAME} for one in versions]
    return any(content != contents[0] for content in contents) and not _dated(versions)


def _dated(versions: Collection[Resource]) -> bool:
    changed = {one.get("meta", {}).get("lastUpdated") for one in versions}
    return None not in changed and len(changed) == len(versions)
