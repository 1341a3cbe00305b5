"""A chat in the terminal, with prompt flow's words (promptflow-format: 9.5)."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import click

from headrace.cli.session import Session
from headrace.errors import ExitCode, HeadraceError, failure_exit_code
from headrace.operations.chat_flow import Chat, open_chat
from headrace.operations.test_flow import TestRequest, TestResult
from headrace.operations.test_records import print_images, write_test_records
from headrace.operations.workspace import Workspace

_RECORDS = "chat"


def run_chat(session: Session, workspace: Workspace, request: TestRequest, detail: Path | None) -> int:
    """Talk until standard input ends, or Ctrl-C.

    A turn that fails is shown. A person at a terminal goes on after it; anything else on standard input is a script,
    and ends with it.

    Args:
        session: Where to write.
        workspace: Connections and settings.
        request: The flow, and the inputs of every turn.
        detail: Folder for the records of the last turn, instead of the flow's own.

    Returns:
        The exit code: 0, or that of the last turn that failed.

    Raises:
        HeadraceError: There is nothing to talk with.
    """
    is_terminal = sys.stdin.isatty()
    if is_terminal:
        _edit_lines()
    code = int(ExitCode.OK)
    with open_chat(workspace, request) as chat:
        if chat.warnings and not session.is_quiet:
            session.show_problems(*chat.warnings)
        _welcome(session, chat)
        try:
            while True:
                message = input("User: ")
                if not message.strip():
                    continue
                failed = _take_turn(session, workspace, chat, request, message, detail)
                code = failed or code
                if failed and not is_terminal:
                    return failed
        except (EOFError, KeyboardInterrupt):
            session.write("Terminate the chat.")
    return code


def _edit_lines() -> None:
    """Arrow keys and the lines before, where Python knows how."""
    try:
        import_module("readline")
    except ImportError:
        return


def _welcome(session: Session, chat: Chat) -> None:
    welcome = f"Welcome to chat flow, {chat.flow.title}."
    border = "=" * len(welcome)
    lines = (border, welcome, "Press Enter to send your message.", "You can quit with ctrl+C.", border)
    session.write("\n".join(lines))


def _take_turn(
    session: Session,
    workspace: Workspace,
    chat: Chat,
    request: TestRequest,
    message: str,
    detail: Path | None,
) -> int:
    """One message and its answer; the exit code of a failure."""
    answer = _Answer()
    try:
        result = chat.say(message, answer.hear)
    except HeadraceError as error:
        session.show_failure(*error.problems)
        return int(error.exit_code)
    workspace.warn(write_test_records(request, result, detail, stem=_RECORDS))
    if result.line.problem is not None:
        answer.break_off()
        session.show_failure(result.line.problem)
        return int(failure_exit_code(result.line.problem))
    shown, problems = print_images(result, detail)
    workspace.warn(problems)
    answer.finish(replace(result, outputs=shown))
    return int(ExitCode.OK)


class _Answer:
    """What the flow says, as it is written where it streams."""

    def __init__(self) -> None:
        self._has_begun = False

    def hear(self, piece: str) -> None:
        """Write a piece."""
        click.echo(piece if self._has_begun else f"Bot: {piece}", nl=False)
        self._has_begun = True

    def finish(self, result: TestResult) -> None:
        """Write what is not written yet."""
        click.echo("" if self._has_begun else f"Bot: {result.outputs}")

    def break_off(self) -> None:
        """End the line of an answer that stopped in the middle."""
        if self._has_begun:
            click.echo()
