"""Sources that mean harm: each string of all that they hold is an attack on the page that shows it."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any, Final

from connectors.fhir_r4 import sandbox
from connectors.sdk.bundle import examine
from connectors.sdk.model import (
    INCLUDED_BY,
    SECTION_OF_TYPE,
    SUPPORTING_TYPES,
    Answer,
    Ask,
    Item,
    Outcome,
    Section,
    SourceWarning,
)
from tests.flow.stack import GRACE

_DATA: Final = Path(sandbox.__file__).parent / "data"
_ELSEWHERE: Final = "http://elsewhere.invalid"
SPOILT: Final = ("709", "G85005", "RJ2")
"""The organisations that hold Grace's data, but for one. The first of them says who the patient is."""
LONGEST: Final = "W" * 10_000
ATTACKS: Final = (
    "\"'><script>canary()</script>",
    "\"'><img src=x onerror=canary()>",
    "<svg onload=canary()><animate onbegin=canary() attributeName=x dur=1s></svg>",
    "</title></textarea></noscript></style><script>canary()</script>",
    "</template></slot><template shadowrootmode=open><slot></slot><script>canary()</script></template>",
    "</p></div></section></main></body></html><style>*{display:none!important}</style>",
    "' onmouseover=canary() autofocus onfocus=canary() tabindex=1 x='",
    '" style="position:fixed;inset:0;z-index:9999;background:red" x="',
    "javascript:canary()",
    "data:text/html,<script>canary()</script>",
    f"<base href={_ELSEWHERE}/><meta http-equiv=refresh content=0;url={_ELSEWHERE}/>",
    f"<link rel=stylesheet href={_ELSEWHERE}/x.css><iframe srcdoc='<script>parent.canary()</script>'></iframe>",
    f"}}*{{background:url({_ELSEWHERE}/x)!important;display:none}}/*",
    "]]><![CDATA[<script>canary()</script>]]><!--><script>canary()</script>-->",
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=canary()&gt;">',
    "{{7*7}}{% for x in y %}${7*7}<%= 7*7 %>#{7*7}&#60;script&#62;canary()&#60;/script&#62;",
    "\u202e\u202d\u2067desrever\u200b\u200d\ufeff\u2028\u2029",
    LONGEST,
    "\U0001f469\U0001f3fd\u200d\u2695\ufe0f" * 60 + "Z\u0351\u036b\u0343\u036a\u0302" * 200,
    "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd " * 20,
    "null",
    "undefined",
    "-" * 2_000,
)
NARRATIVE: Final = "".join(f"<p>{attack}</p>" for attack in ATTACKS if "canary" in attack)
_SHOWN: Final = SECTION_OF_TYPE.keys() | SUPPORTING_TYPES
_STRUCTURE: Final = frozenset({"resourceType", "id", "reference", "status", "birthDate", "gender", "url", "div", "use"})
"""Without these nothing would be shown at all: their own hostile forms are for the guard, which drops them."""
_NAMES_THE_PATIENT: Final = frozenset({"https://fhir.nhs.uk/Id/nhs-number", GRACE})


class Hostile:
    """All that Grace's organisations hold, as the source `ods` would spoil it."""

    def __init__(self, ods: str) -> None:
        self._ods = ods
        self._attacks = count()

    async def ask(self, ask: Ask) -> Answer:
        """Everything, with warnings in the same vein."""
        warnings = [SourceWarning(Section.RESULTS, "other", attack[:200]) for attack in ATTACKS]
        items = [self._item(each) for each in self._held() if each["resourceType"] in _SHOWN]
        return Answer(self._ods, Outcome.ANSWERED, items, warnings=warnings, includes=frozenset(INCLUDED_BY))

    async def aclose(self) -> None:
        """Nothing to close."""

    def _held(self) -> list[dict[str, Any]]:
        held: list[dict[str, Any]] = json.loads((_DATA / self._ods / "adebayo.json").read_text())
        return held

    def _item(self, resource: dict[str, Any]) -> Item:
        spoilt = self._spoilt(resource)
        if spoilt["resourceType"] == "Patient":
            spoilt["name"][0]["family"] += LONGEST
        # What is generated may come early; anything else waits for everybody.
        status = "additional" if spoilt["resourceType"] == "Condition" else "generated"
        spoilt["text"] = {"status": status, "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{NARRATIVE}</div>'}
        kind = str(spoilt["resourceType"])
        return Item(self._ods, spoilt, SECTION_OF_TYPE.get(kind), str(spoilt["id"]), findings=examine(spoilt)[0])

    def _spoilt(self, node: Any, name: str = "") -> Any:
        if isinstance(node, dict):
            return {key: self._spoilt(value, key) for key, value in node.items()}
        if isinstance(node, list):
            return [self._spoilt(value, name) for value in node]
        if not isinstance(node, str) or name in _STRUCTURE or node in _NAMES_THE_PATIENT or _is_date(node):
            return node
        return node + ATTACKS[next(self._attacks) % len(ATTACKS)]


def _is_date(text: str) -> bool:
    return len(text) >= len("2024") and text[:4].isdigit() and text[4:5] in ("", "-")
