"""The base of every sandbox: the system a connector talks to, behind a fault switch, with its calls counted.

    GET  /_sandbox/{ODS}           what mode it is in, how often it was called
    POST /_sandbox/{ODS}           {"mode": "slow", "delayMs": 800}
    POST /_sandbox/{ODS}/reset     well again, and `callsSinceReset` from nought
    GET  /_sandbox/{ODS}/canaries  every canary that the system can send

A connector's `sandbox` package exports `create_app(ods, *, canaries) -> ASGI app` built on `Sandbox`. Faults and counts
concern the system's own paths alone: the switch itself always works.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec

from connectors.kit.asgi import ASGIApp, BodyTooLong, Receive, Scope, Send, read, reply
from connectors.kit.canaries import canary
from connectors.kit.faults import DEFAULT_DELAY_MS, Call, Mode, Switch, answer

_LONGEST_DELAY_MS: Final = 600_000


class _Setting(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """The body of POST /_sandbox/{ODS}."""

    mode: Mode
    delay_ms: Annotated[int, msgspec.Meta(ge=0, le=_LONGEST_DELAY_MS)] | None = None


class Sandbox:
    """ASGI app of one organisation: `system` behind the switch, under `base_path`.

    `canaries` are those that the system's resources carry; the switch adds the one that the mode `broken` sends.
    """

    def __init__(self, ods: str, system: ASGIApp, *, base_path: str = "/fhir", canaries: Sequence[str] = ()) -> None:
        self.switch = Switch(ods)
        self.canaries = [*canaries, canary(ods, "broken")]
        self._system = system
        self._base_path = base_path
        self._control_path = f"/_sandbox/{ods}"
        self._calls: Counter[str] = Counter()
        self._since_reset = 0

    @property
    def base_path(self) -> str:
        """Where the system is, below the sandbox's origin."""
        return self._base_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path == self._base_path or path.startswith(self._base_path + "/"):
            self._count(scope["method"], path)
            await answer(Call(self._system, scope, receive, send, self.switch))
        else:
            status, said = await self._control(scope["method"], path, receive)
            await reply(send, status, msgspec.json.encode(said))

    def state(self) -> dict[str, Any]:
        """What GET /_sandbox/{ODS} says: mode, and calls of the system since it started and since the last reset."""
        return {
            "ods": self.switch.ods,
            "mode": self.switch.mode,
            "delayMs": self.switch.delay_ms,
            "calls": {"total": self._calls.total(), "byPath": dict(sorted(self._calls.items()))},
            "callsSinceReset": self._since_reset,
        }

    def _count(self, method: str, path: str) -> None:
        self._calls[f"{method} {template(path, self._base_path)}"] += 1
        self._since_reset += 1

    async def _control(self, method: str, path: str, receive: Receive) -> tuple[int, dict[str, Any]]:
        action = path.removeprefix(self._control_path)
        match (method, action) if path.startswith(self._control_path) else ("", ""):
            case ("GET", ""):
                return 200, self.state()
            case ("POST", ""):
                return await self._set(receive)
            case ("POST", "/reset"):
                return self._reset()
            case ("GET", "/canaries"):
                return 200, {"ods": self.switch.ods, "canaries": self.canaries}
        return 404, {"error": f"Nothing is here. The switch of this sandbox is at {self._control_path}."}

    async def _set(self, receive: Receive) -> tuple[int, dict[str, Any]]:
        try:
            setting = msgspec.json.decode(await read(receive), type=_Setting)
        except BodyTooLong as error:
            return 413, {"error": str(error)}
        except msgspec.DecodeError as error:
            return 400, {"error": f"{error}. Send a mode, one of: {', '.join(Mode)}; with slow, delayMs if you like."}
        if setting.delay_ms is not None and setting.mode is not Mode.SLOW:
            return 400, {"error": f"delayMs belongs to the mode slow; {setting.mode} takes none."}
        self.switch.mode = setting.mode
        self.switch.delay_ms = DEFAULT_DELAY_MS if setting.delay_ms is None else setting.delay_ms
        return 200, self.state()

    def _reset(self) -> tuple[int, dict[str, Any]]:
        self.switch.mode, self.switch.delay_ms = Mode.WELL, DEFAULT_DELAY_MS
        self._since_reset = 0
        return 200, self.state()


def template(path: str, base_path: str) -> str:
    """The path with ids taken out: `/fhir/Patient/{id}/$everything`, so that no identifier becomes a counter's name."""
    head, *rest = path.removeprefix(base_path).strip("/").split("/")
    return "/".join([base_path, head, *(part if part[:1] in ("$", "_") else "{id}" for part in rest)])
