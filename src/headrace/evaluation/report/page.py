"""The frame of every HTML page: one file that loads nothing from anywhere and runs no script but its own."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from html import escape

from headrace.evaluation.report.style import STYLE
from headrace.evaluation.report.visible import visible

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def render_page(
    body: Sequence[str],
    *,
    title: str,
    skip: tuple[str, str],
    footer: str,
    style: str = STYLE,
    script: str = "",
    refresh_s: int | None = None,
) -> str:
    """Put ``body`` into a whole page.

    Args:
        body: HTML of the page, from the top down.
        title: Of the browser's tab; plain text.
        skip: Id of the element that keyboard users can jump to, and the text that offers it.
        footer: Plain text.
        style: The style sheet.
        script: The only script that the page's policy lets run, by its digest; empty for none.
        refresh_s: After so many seconds browsers load the page again; ``None`` for never.
    """
    content = visible("\n".join(body))
    policy = f"{_POLICY}; script-src '{_digest(script)}'" if script else _POLICY
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            *([f'<meta http-equiv="refresh" content="{refresh_s}">'] if refresh_s is not None else []),
            f"<title>{visible(escape(title))}</title>",
            f"<style>{style}</style>",
            "</head>",
            "<body>",
            f'<a class="skip" href="#{skip[0]}">{escape(skip[1])}</a>',
            '<div class="page">',
            content,
            f"<footer>{visible(escape(footer))}</footer>",
            "</div>",
            *([f"<script>{script}</script>"] if script else []),
            "</body>",
            "</html>",
            "",
        ]
    )


def _digest(script: str) -> str:
    """The source expression that allows ``script`` (Content Security Policy level 2, hash-source)."""
    return f"sha256-{b64encode(sha256(script.encode('utf-8')).digest()).decode('ascii')}"


def render_header(title: str, facts: Mapping[str, str | None]) -> str:
    """The heading of the page and a row of facts; facts without a value are left out."""
    entries = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in facts.items()
        if value
    )
    return f'<header><h1>{escape(title)}</h1><dl class="facts">{entries}</dl></header>'


def render_section(identifier: str, heading: str, content: str) -> str:
    """A section with its heading; ``heading`` and ``content`` are HTML."""
    return (
        f'<section id="{identifier}" aria-labelledby="{identifier}-heading">'
        f'<h2 id="{identifier}-heading">{heading}</h2>{content}</section>'
    )
