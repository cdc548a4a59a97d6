"""Reads `policies/disclosures.yaml`: the named policies under which a record may be disclosed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar

from connectors.sdk.model import Section
from gateway.disclosure.model import LawfulBasis, NamedPolicy, Terms
from gateway.policy.files import PolicyProblem, check_keys, read_yaml, refuse

FILE: Final = "disclosures.yaml"
_KEYS: Final = ("name", "title", "why", "owner", "sections", "sensitive", "bases")
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{2,63}", re.ASCII)
_Word = TypeVar("_Word", bound=StrEnum)


def load_disclosures(path: Path) -> Mapping[str, NamedPolicy]:
    """By name, in the file's order. Raises PolicyProblem with the file and the remedy."""
    listed = check_keys(path, read_yaml(path), ("owner", "version", "policies"))["policies"]
    if not isinstance(listed, list) or not listed:
        refuse(path, "policies must list at least one policy", "Write one, or bring the shipped file back.")
    found: dict[str, NamedPolicy] = {}
    for node in listed:
        policy = _policy(path, check_keys(path, node, _KEYS, "each policy"))
        if policy.name in found:
            refuse(path, f"two policies are named {policy.name}", "Give each its own name.")
        found[policy.name] = policy
    return found


def _policy(path: Path, node: Mapping[str, Any]) -> NamedPolicy:
    name = node["name"]
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        refuse(path, f"{name!r} is no name for a policy", "Use small letters, digits and hyphens: whole-record.")
    for key in ("title", "why", "owner"):
        if not isinstance(node[key], str) or not node[key].strip():
            refuse(path, f"{key} of {name} must be text", "Write it.")
    if not isinstance(node["sensitive"], bool):
        refuse(path, f"sensitive of {name} must be true or false", "Say whether labelled items may go out.")
    sections = _words(path, name, node["sections"], Section, "sections")
    if Section.DEMOGRAPHICS not in sections:
        refuse(path, f"{name} leaves out demographics", "Add it: a record must say whose it is.")
    terms = Terms(sections, node["sensitive"], _words(path, name, node["bases"], LawfulBasis, "bases"))
    return NamedPolicy(name, node["title"].strip(), node["why"].strip(), node["owner"].strip(), terms)


def _words(path: Path, name: str, node: object, kind: type[_Word], inside: str) -> frozenset[_Word]:
    if not isinstance(node, list) or not node:
        refuse(path, f"{inside} of {name} must list at least one", f"Use some of {', '.join(kind)}.")
    try:
        words = [kind(each) for each in node]
    except ValueError as error:
        raise PolicyProblem(f"{path}: {inside} of {name}: {error}. Use some of {', '.join(kind)}.") from error
    if len(set(words)) < len(words):
        refuse(path, f"{inside} of {name} says one twice", "Strike it off once.")
    return frozenset(words)
