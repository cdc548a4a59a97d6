"""`connectcare`, whose connections to sources may take as long as an answer may: `python -m tests.unhurried serve …`.

A gateway gives a source two seconds to take a connection and asks no second time. A machine that stands still for so
long at just that moment would make a source late that isn't: where every record must be whole, the gateway runs so.
"""

from __future__ import annotations

import ssl
from dataclasses import replace

from connectors.sdk.http import AiohttpTransport
from connectors.sdk.port import Limits
from tests.boundless import UNHURRIED

MODULE = "tests.unhurried"
_make = AiohttpTransport.__init__


def _patient(self: AiohttpTransport, limits: Limits, tls: ssl.SSLContext | None = None) -> None:
    _make(self, replace(limits, connect_timeout=UNHURRIED), tls)


if __name__ == "__main__":
    from gateway.cli import main

    AiohttpTransport.__init__ = _patient  # type: ignore[method-assign]
    main()
