"""The words with which a search is refused: they name the parameter, say what is offered, and never repeat a value."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from gateway.errors import BadRequest, NotSupported

_ECHO: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}", re.ASCII)
# Nine digits in a row could be most of an NHS number that somebody put in the wrong place.
_NUMBER: Final = re.compile(r"[0-9](?:[._:-]?[0-9]){8}", re.ASCII)


def echo(name: str) -> str:
    """The parameter's name where it is safe to repeat: short, plain, and not a number that could be a patient's."""
    if _ECHO.fullmatch(name) and not _NUMBER.search(name):
        return f"`{name}`"
    return "with that name"


def _expression(name: str) -> str:
    return f"http.{name}" if echo(name) != "with that name" else ""


def not_offered(name: str, where: str, offered: Iterable[str]) -> NotSupported:
    """For a parameter, modifier or chain that isn't on the list of this type."""
    base, modifier, _ = name.partition(":")
    if modifier:
        told, rule = f"Modifiers aren't offered: the parameter {echo(name)} has one.", "search.modifier"
    elif "." in base:
        told, rule = f"Chained parameters aren't offered: {echo(name)} is one.", "search.chain"
    elif base.startswith(("_include", "_revinclude", "_has")):
        told, rule = f"Joins to other resources aren't offered: the parameter {echo(name)} is one.", "search.join"
    else:
        told, rule = f"A parameter {echo(name)} isn't offered here.", "search.unknown-parameter"
    return NotSupported(f"{told} {where}: {', '.join(offered)}.", rule=rule, expression=_expression(name))


def joined(name: str, offered: Iterable[str]) -> NotSupported:
    """For an `_include` that isn't on the list of this type."""
    told = f"The parameter {echo(name)} takes only what is listed for this type: {', '.join(offered)}."
    return NotSupported(told, rule="search.join", expression=_expression(name))


def repeated(name: str) -> BadRequest:
    """For a parameter given twice: two halves of a request could be read in two ways."""
    told = f"The parameter {echo(name)} is given more than once. Give each parameter once, alternatives after a comma."
    return BadRequest(told, rule="search.repeated-parameter", expression=_expression(name))


def wrong(name: str, must: str, rule: str = "search.wrong-value") -> BadRequest:
    """For a value that can't be read. `must` says what the parameter takes."""
    return BadRequest(f"The parameter {echo(name)} {must}", rule=rule, expression=_expression(name))


def wrong_cursor(why: str) -> BadRequest:
    """For a page's cursor that can't be used."""
    return wrong("_cursor", f"{why} Begin again with the first page of the search.", "search.cursor")


def malformed(told: str) -> BadRequest:
    """For a query string or form that isn't one."""
    return BadRequest(told, rule="search.malformed")
