"""respx for httpx2: import this module, and `respx.mock(using="httpcore2")` stands in for the network.

respx 0.23 knows httpx and httpcore alone, and an unknown `using` mocks nothing at all, without a word: calls would go
out. So the mocker is registered here, under the name that respx is asked for.
"""

from __future__ import annotations

from typing import Any

import httpcore2
from respx.mocks import HTTPCoreMocker


class HttpCore2Mocker(HTTPCoreMocker):
    """As respx's own for httpcore, one package further."""

    name = "httpcore2"
    targets = [target.replace("httpcore.", "httpcore2.") for target in HTTPCoreMocker.targets]  # noqa: RUF012

    @classmethod
    def from_sync_httpx_response(cls, httpx_response: Any, target: Any, **kwargs: Any) -> httpcore2.Response:
        """The mocked response in httpcore2's own words."""
        return httpcore2.Response(
            status=httpx_response.status_code,
            headers=httpx_response.headers.raw,
            content=httpx_response.stream,
            extensions=httpx_response.extensions,
        )
