"""The page of a flow, for people: a form of its inputs, or a conversation where it is a chat flow.

It is rendered here and asks ``/score`` with a little script; it loads nothing from anywhere. Where callers have to show
a key, the page that everybody may open holds nothing of the flow: it asks for the key, and with it for the rest.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp

from headrace.domain.flow import PROMPTY, Flow, FlowInput
from headrace.domain.multimedia import VISION
from headrace.planning.chat import ChatPorts, find_chat_ports
from headrace.serving.page_script import SCRIPT
from headrace.serving.page_style import STYLE
from headrace.serving.routes import Routes, answering
from headrace.serving.served import Served, ServedFlow, ServedVersion

_SCRIPT_NEEDED = (
    "<noscript><p>This page needs JavaScript. Without it, send the inputs as a JSON object to <code>score</code> "
    "below this address.</p></noscript>"
)
_FAULT = '<div id="fault" class="fault" role="alert" tabindex="-1" hidden></div>'


def routes(served: Served) -> Routes:
    """The pages; everything that a person may open is among :func:`open_paths`."""
    found: dict[str, Mapping[str, ASGIApp]] = {}
    if "" not in served.flows:
        found |= _pages("", _Index(served), is_open=not served.access.asks_who)
    for flow in served.flows.values():
        found |= _pages(flow.path, _FlowPage(flow), is_open=not served.access.asks_who)
    return found


def open_paths(served: Served) -> frozenset[str]:
    """Paths of pages that hold nothing of a flow while callers have to show a key."""
    paths = {flow.path for flow in served.flows.values()}
    return frozenset({"/", *(f"{path}/" for path in paths), *(path for path in paths if path)})


class _Index:
    """The page of a server that has no flow at its root."""

    def __init__(self, served: Served) -> None:
        self._served = served

    def title(self) -> str:
        return "Served flows"

    def main(self) -> str:
        items = "".join(
            f'<li><a href="{escape(flow.path.strip("/"))}/">{escape(flow.path.strip("/"))}</a> '
            f'<span class="hint">{escape(flow.version.name)}</span></li>'
            for flow in self._served.flows.values()
        )
        return f'<h1>Served flows</h1><div class="card"><ul class="flows">{items}</ul></div>'


class _FlowPage:
    """The page of one flow."""

    def __init__(self, flow: ServedFlow) -> None:
        self._flow = flow

    def title(self) -> str:
        return self._flow.version.flow.plan.flow.name

    def main(self) -> str:
        return _render_flow(self._flow.version)


def _pages(path: str, page: _Index | _FlowPage, *, is_open: bool) -> dict[str, Mapping[str, ASGIApp]]:
    async def whole(_: Request) -> Response:
        return _whole_page(page.title(), page.main()) if is_open else _whole_page("A served flow", _KEY_FORM)

    async def form(_: Request) -> Response:
        return HTMLResponse(page.main())

    async def with_slash(_: Request) -> Response:
        return RedirectResponse(f"{path.rpartition('/')[2]}/")

    found: dict[str, Mapping[str, ASGIApp]] = {f"{path}/": {"GET": answering(whole)}}
    if not is_open:
        found[f"{path}/form"] = {"GET": answering(form)}
    if path:
        found[path] = {"GET": answering(with_slash)}
    return found


_KEY_FORM = (
    '<h1>A served flow</h1><form id="key-form" class="card"><div class="field"><label for="key">Key or token</label>'
    '<p class="hint" id="key-hint">It is sent with every request and forgotten when the page is closed.</p>'
    '<input id="key" type="password" required autocomplete="off" spellcheck="false" aria-describedby="key-hint"></div>'
    f'<button class="main">Open</button></form>{_FAULT}'
)


def _whole_page(title: str, main: str) -> Response:
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    body = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,"><style nonce="{nonce}">{STYLE}</style></head>'
        f'<body><a class="skip" href="#main">To the content</a><div class="page">{_SCRIPT_NEEDED}'
        f'<main id="main" tabindex="-1">{main}</main></div><script nonce="{nonce}">{SCRIPT}</script></body></html>'
    )
    return HTMLResponse(body, headers={"content-security-policy": policy})


def _render_flow(version: ServedVersion) -> str:
    flow = version.flow.plan.flow
    ports = find_chat_ports(flow)[0]
    used = () if ports is None else (ports.message, ports.history)
    items = [item for item in flow.inputs.values() if item.name not in used]
    name = escape(flow.name)
    head = (
        f'<h1>{name}</h1><p class="facts"><span>{escape(version.name)}</span>'
        '<a href="swagger.json">Inputs and outputs as OpenAPI</a></p>'
    )
    fields = "".join(
        _render_field(f"input-{position}", item, version.example) for position, item in enumerate(items)
    )
    body = _render_form(fields) if ports is None else _render_chat(flow, ports, fields)
    return head + body + _render_data(flow, ports, items)


def _render_form(fields: str) -> str:
    return (
        f'<form id="ask" class="card">{fields}<div class="buttons"><button id="send" class="main">Run</button>'
        '<button id="stop" type="button" hidden>Stop</button></div><p id="status" role="status"></p></form>'
        f'{_FAULT}<section id="result" class="card" aria-live="polite" aria-labelledby="result-head" hidden>'
        '<h2 id="result-head">Outputs</h2><div id="outputs"></div></section>'
    )


def _render_chat(flow: Flow, ports: ChatPorts, fields: str) -> str:
    others = f"<details><summary>Other inputs</summary>{fields}</details>" if fields else ""
    pictures = ""
    if flow.inputs[ports.message].type == "list":
        pictures = (
            '<div class="field"><label for="pictures">Images</label><input id="pictures" type="file" accept="image/*" '
            'multiple><div id="pictures-thumbs"></div></div>'
        )
    described = flow.inputs[ports.message].description or ""
    hint = f"{described} " if described else ""
    return (
        f'<ol id="log" role="log" aria-live="polite" aria-label="Conversation"></ol>{_FAULT}'
        '<form id="ask" class="card"><div class="field"><label for="message">Message</label>'
        f'<p class="hint" id="message-hint">{escape(hint)}Enter sends, Shift and Enter begin a new line.</p>'
        '<textarea id="message" rows="2" aria-describedby="message-hint"></textarea></div>'
        f'{pictures}{others}<div class="buttons"><button id="send" class="main">Send</button>'
        '<button id="stop" type="button" hidden>Stop</button>'
        '<button id="new" type="button">New conversation</button></div><p id="status" role="status"></p></form>'
    )


def _render_field(identifier: str, item: FlowInput, example: Mapping[str, Any]) -> str:
    """One input: a control of its type, with its description, filled with its default or with the example."""
    value = item.default if item.has_default else example.get(item.name)
    needed = "" if item.has_default or item.type in ("string", "bool") else " required"
    about = f'id="{identifier}" aria-describedby="{identifier}-hint"'
    kinds = [item.description or "", item.type, "" if not item.has_default else "may be left out"]
    hint = " · ".join(filter(None, kinds))
    label = f'<label for="{identifier}">{escape(item.name)}</label>'
    said = f'<p class="hint" id="{identifier}-hint">{escape(hint)}</p>'
    if item.type == "bool":
        checked = " checked" if value is True or str(value).lower() == "true" else ""
        control = f'<div class="check"><input type="checkbox" {about}{checked}>{label}</div>{said}'
        return f'<div class="field">{control}</div>'
    return f'<div class="field">{label}{said}{_render_control(item, identifier, f"{about}{needed}", value)}</div>'


def _render_control(item: FlowInput, identifier: str, attributes: str, value: Any) -> str:
    if item.type == "image":
        return f'<input type="file" accept="image/*" {attributes}><div id="{identifier}-thumbs"></div>'
    if item.type in ("int", "double"):
        step = "1" if item.type == "int" else "any"
        shown = value if isinstance(value, int | float) and not isinstance(value, bool) else ""
        return f'<input type="number" step="{step}" {attributes} value="{shown}">'
    if item.type == "string":
        text, name = "" if value is None else str(value), ""
    else:
        text, name = "" if value is None else json.dumps(value, ensure_ascii=False, default=str), "json"
    # The first line break after the tag is not part of the value.
    return f'<textarea rows="2" class="{name}" {attributes}>\n{escape(text)}</textarea>'


def _render_data(flow: Flow, ports: ChatPorts | None, items: Iterable[FlowInput]) -> str:
    """What the script knows of the flow."""
    data: dict[str, Any] = {
        "name": flow.name,
        "isVision": flow.message_format == VISION,
        "inputs": [
            {
                "id": f"input-{position}",
                "name": item.name,
                "type": item.type,
                "isEmptyDefault": item.has_default and item.default in (None, ""),
            }
            for position, item in enumerate(items)
        ],
        "chat": None,
    }
    if ports is not None:
        data["chat"] = {
            "message": ports.message,
            "history": ports.history,
            "answer": ports.answer,
            "isList": flow.inputs[ports.message].type == "list",
            "hasRoles": flow.kind == PROMPTY,
        }
    text = json.dumps(data).replace("<", "\\u003c")
    return f'<script type="application/json" id="flow">{text}</script>'
