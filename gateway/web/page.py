"""The frame of every page, and the headers that go with it. Whatever is put into a page is escaped where it is put."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Final

_STYLE: Final = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HTML: Final = "text/html; charset=utf-8"
HEADERS: Final[Mapping[str, str]] = {
    # No script, no image, no frame, nothing from elsewhere; the one style is named by its digest.
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "X-Frame-Options": "DENY",
    # Not no-referrer: with that a browser sends `Origin: null` with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def page(title: str, main: Iterable[str], *, signed_in: str = "", banner: Iterable[str] = ()) -> bytes:
    """A whole page. `title` and `signed_in` are text; `banner` and `main` are HTML already."""
    who = f"<p>{escape(signed_in)}</p>" if signed_in else ""
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en-GB">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)} - Connect Care</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
            '<a class="skip" href="#main">Skip to the page</a>',
            f"<header><p><strong>Connect Care</strong></p>{who}</header>",
            *banner,
            '<main id="main">',
            f"<h1>{escape(title)}</h1>",
            *main,
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    ).encode()


def paragraph(text: str, kind: str = "") -> str:
    """One paragraph of text."""
    named = f' class="{kind}"' if kind else ""
    return f"<p{named}>{escape(text)}</p>"


def listed(texts: Iterable[str]) -> str:
    """Texts, one a line."""
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>"


def form(action: str, csrf: str, buttons: Iterable[str]) -> str:
    """A form that posts the session's own secret; `buttons` are HTML already."""
    hidden = f'<input type="hidden" name="csrf" value="{escape(csrf)}">'
    return f'<form method="post" action="{escape(action)}">{hidden}{"".join(buttons)}</form>'


def button(text: str, *, answer: str = "", kind: str = "") -> str:
    """A button; with `answer`, it says that."""
    says = f' name="answer" value="{escape(answer)}"' if answer else ""
    return f'<button type="submit"{says} class="{kind}">{escape(text)}</button>'


def problem(told: str, request_id: str) -> bytes:
    """What went wrong, and what to do."""
    return page("This page can't be shown", [paragraph(told, "warning"), paragraph(f"Request {request_id}", "meta")])
