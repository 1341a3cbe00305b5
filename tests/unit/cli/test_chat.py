"""A chat in the terminal: what is written and how it ends. Standard input is a script here, but where a test says otherwise."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.commands import ListeningSession
from tests.support.images import RED, write_files
from tests.support.model_server import ModelServer, answer, error
from tests.support.tool_nodes import serving_names

from headrace.cli.main import run_command_line

FLOW = """\
inputs:
  question: {type: TYPE, is_chat_input: true}
  chat_history: {type: list, default: []}
  tone: {type: string, default: dry}
outputs:
  answer: {type: string, reference: "${talk.output.answer}", is_chat_output: true}
  turn: {type: int, reference: "${talk.output.turn}"}
nodes:
- name: talk
  type: python
  source: {type: code, path: talk.py}
  inputs: {question: "${inputs.question}", history: "${inputs.chat_history}", tone: "${inputs.tone}"}
"""
TALK = """\
from promptflow.core import tool
from pathlib import Path
from promptflow.contracts.multimedia import Image

@tool
def talk(question, history: list, tone: str):
    if question == "boom":
        raise ValueError("no")
    if question == "stop":
        raise KeyboardInterrupt
    if question == "draw":
        return {"answer": Image(Path("red.png").read_bytes()), "turn": len(history)}
    return {"answer": f"{tone} {question} {[turn['inputs'] | turn['outputs'] for turn in history]}", "turn": len(history)}
"""
BANNER = (
    "=" * 27 + "\nWelcome to chat flow, flow.\nPress Enter to send your message.\nYou can quit with ctrl+C.\n"
)
BANNER += "=" * 27 + "\n"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with serving_names(tmp_path):
        yield write_files(tmp_path, {"flow/talk.py": TALK, "flow/red.png": RED})


class Terminal(io.StringIO):
    """Standard input that says that a person types."""

    def isatty(self) -> bool:
        return True


def chat(
    folder: Path,
    lines: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    *words: str,
    kind: str = "string",
    is_terminal: bool = False,
    **environment: str,
) -> tuple[int, str, ListeningSession]:
    """Exit code, what follows the banner, and the session."""
    if not (folder / "flow" / "flow.dag.yaml").exists():
        write_files(folder, {"flow/flow.dag.yaml": FLOW.replace("TYPE", kind)})
    monkeypatch.setattr(sys, "stdin", (Terminal if is_terminal else io.StringIO)(lines))
    monkeypatch.chdir(folder)
    session = ListeningSession(folder, {"HOME": str(folder / "home"), **environment})
    code = run_command_line(["flow", "test", "--flow", "flow", "--interactive", *words], session)
    written = capsys.readouterr().out
    return code, written.partition(BANNER)[2] if BANNER in written else written, session


def test_every_turn_knows_those_before(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, written, _ = chat(folder, "hi\n \n  you \n", capsys, monkeypatch)
    first = "dry hi []"
    assert written == (
        f"User: Bot: {first}\nUser: User: Bot: dry   you  [{{'question': 'hi', 'answer': '{first}', 'turn': 0}}]\n"
        "User: Terminate the chat.\n"
    )
    assert code == 0
    output = json.loads((folder / "flow" / ".promptflow" / "chat.output.json").read_text())
    assert output["turn"] == 1
    detail = json.loads((folder / "flow" / ".promptflow" / "chat.detail.json").read_text())
    assert detail["flow_runs"][0]["inputs"]["chat_history"][0]["inputs"] == {"question": "hi"}


def test_other_inputs_hold_for_every_turn_and_a_history_is_what_it_begins_with(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {"inputs": {"question": "old"}, "outputs": {"answer": "reply"}}
    write_files(folder, {"in.json": json.dumps({"tone": "warm", "question": "no", "chat_history": [before]})})
    _, written, _ = chat(folder, "hi", capsys, monkeypatch, "--inputs", "in.json")
    assert "Bot: warm hi [{'question': 'old', 'answer': 'reply'}]\n" in written


def test_a_script_ends_with_the_turn_that_fails(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, written, session = chat(folder, "boom\nhi\n", capsys, monkeypatch)
    assert (code, written) == (1, "User: ")
    assert [problem.code for problem in session.problems] == ["E601"]


def test_a_person_goes_on_after_a_turn_that_fails(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, written, session = chat(folder, "boom\nhi\n", capsys, monkeypatch, is_terminal=True)
    assert written == "User: User: Bot: dry hi []\nUser: Terminate the chat.\n"
    assert (code, [problem.code for problem in session.problems]) == (1, ["E601"])


def test_an_interrupt_ends_the_chat_also_during_a_turn(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, written, _ = chat(folder, "stop\nhi\n", capsys, monkeypatch)
    assert (code, written) == (0, "User: Terminate the chat.\n")


def test_images_go_in_as_json_and_come_out_as_files(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = '["what?", {"data:image/png;path": "red.png"}]\nplain\n'
    _, written, _ = chat(folder, lines, capsys, monkeypatch, kind="list")
    first, second = written.splitlines()[:2]
    assert first == "User: Bot: dry ['what?', Image(2732f12a)] []"
    assert second.startswith("User: Bot: dry ['plain'] [{'question': ['what?', Image(2732f12a)], ")


def test_an_answer_that_is_an_image_is_a_file_and_stays_an_image_in_the_history(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, written, _ = chat(folder, "draw\nnext\n", capsys, monkeypatch)
    first, second = written.splitlines()[:2]
    beginning = f"User: Bot: {{'data:image/png;path': '{folder}/flow/.promptflow/output/"
    assert first.startswith(beginning)
    assert second == "User: Bot: dry next [{'question': 'draw', 'answer': Image(2732f12a), 'turn': 0}]"


def test_a_message_that_does_not_fit_is_a_turn_that_fails(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, written, session = chat(folder, "hi\n7\n", capsys, monkeypatch, kind="int", is_terminal=True)
    assert written == "User: User: Bot: dry 7 []\nUser: Terminate the chat.\n"
    assert (code, [problem.code for problem in session.problems]) == (3, ["T201"])


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (("--node", "talk"), 2, "C507"),
        (("--ui",), 2, "C507"),
        (("--inputs", "chat_history=no"), 3, "T201"),
    ],
)
def test_what_cannot_be_chatted_with_is_said_before_the_first_turn(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    code: int,
    problem: str,
) -> None:
    given, written, session = chat(folder, "hi\n", capsys, monkeypatch, *words)
    assert (given, written, [item.code for item in session.problems]) == (code, "", [problem])


def test_a_missing_input_is_said_before_the_first_turn(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(folder, {"flow/flow.dag.yaml": FLOW.replace("TYPE", "string").replace(", default: dry", "")})
    code, written, session = chat(folder, "hi\n", capsys, monkeypatch)
    assert (code, written, [item.code for item in session.problems]) == (3, "", ["T202"])


def test_the_page_of_pf_is_a_chat_in_the_terminal(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, written, _ = chat(folder, "hi\n", capsys, monkeypatch, "--multi-modal", "--skip-open-browser")
    assert (code, written) == (0, "User: Bot: dry hi []\nUser: Terminate the chat.\n")


LLM = """\
inputs:
  question: {type: string, is_chat_input: true}
  chat_history: {type: list, default: []}
outputs:
  answer: {type: string, reference: "${talk.output}", is_chat_output: true}
nodes:
- name: talk
  type: llm
  source: {type: code, path: talk.jinja2}
  connection: openai
  api: chat
  inputs: {model: m, question: "${inputs.question}", chat_history: "${inputs.chat_history}"}
"""
TEMPLATE = """\
{% for turn in chat_history %}
user:
{{turn.inputs.question}}
assistant:
{{turn.outputs.answer}}
{% endfor %}
user:
{{question}}
"""


def test_a_models_answer_streams_and_a_service_that_fails_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(folder, {"flow/flow.dag.yaml": LLM, "flow/talk.jinja2": TEMPLATE})
    replies: list[Any] = [answer("one two"), answer("three"), error(401)]
    with ModelServer(replies) as server:
        code, written, session = chat(
            folder, "a\nb\nc\n", capsys, monkeypatch, OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url
        )
    assert written == "User: Bot: one two\nUser: Bot: three\nUser: "
    assert (code, [problem.code for problem in session.problems]) == (4, ["P701"])
    assert [request.body["stream"] for request in server.requests] == [True, True, True]
    assert [message["content"] for message in server.requests[1].body["messages"]] == ["a", "one two", "b"]
