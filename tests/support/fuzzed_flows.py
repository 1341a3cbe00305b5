"""Flows with inputs of every type, for requests that are made at random."""

from __future__ import annotations

from collections.abc import Mapping

FUZZED_FLOWS: Mapping[str, str] = {
    "served/every_type/flow.dag.yaml": """\
inputs:
  text: {type: string}
  count: {type: int, default: 1}
  share: {type: double, default: 0.5}
  is_loud: {type: bool, default: false}
  items: {type: list, default: []}
  things: {type: object, default: {}}
outputs:
  shown: {type: string, reference: "${show.output}"}
  kept: {type: object, reference: "${keep.output}"}
nodes:
- {name: show, type: prompt, source: {type: code, path: show.jinja2}, inputs: {text: "${inputs.text}"}}
- name: keep
  type: python
  source: {type: code, path: keep.py}
  inputs:
    count: ${inputs.count}
    share: ${inputs.share}
    is_loud: ${inputs.is_loud}
    items: ${inputs.items}
    things: ${inputs.things}
""",
    "served/every_type/show.jinja2": "<{{text}}>",
    "served/every_type/keep.py": """\
from promptflow.core import tool

@tool
def keep(count: int, share: float, is_loud: bool, items: list, things: dict) -> dict:
    return {"count": count, "share": share, "is_loud": is_loud, "items": items, "things": things}
""",
    "served/chat/flow.dag.yaml": """\
inputs:
  chat_history: {type: list, default: [], is_chat_history: true}
  question: {type: string, is_chat_input: true}
outputs:
  answer: {type: string, reference: "${say.output}", is_chat_output: true}
nodes:
- name: say
  type: python
  source: {type: code, path: say.py}
  inputs: {question: "${inputs.question}", chat_history: "${inputs.chat_history}"}
""",
    "served/chat/say.py": """\
from promptflow.core import tool

@tool
def say(question: str, chat_history: list):
    for word in f"{question} {len(chat_history)}".split(" "):
        yield word
""",
    "served/picture/flow.dag.yaml": """\
inputs:
  picture: {type: image}
outputs:
  again: {type: image, reference: "${look.output}"}
nodes:
- {name: look, type: python, source: {type: code, path: look.py}, inputs: {picture: "${inputs.picture}"}}
""",
    "served/picture/look.py": """\
from promptflow.core import tool

@tool
def look(picture):
    return picture
""",
    "served/flexible/flow.flex.yaml": "entry: entry:answer\n",
    "served/flexible/entry.py": """\
def answer(question: str, count: int = 1) -> dict:
    return {"answer": question * min(count, 3)}
""",
}
"""Files by name; the folder ``served`` holds the flows."""
