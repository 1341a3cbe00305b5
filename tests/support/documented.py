"""The code blocks of the pages, and what the pages say of each in comments that readers do not see.

A block of a language that can be run or read is walked, or stands below ``<!-- not run: REASON -->``. A block of YAML or
JSON, and a file of Python, says what it is in the line above it::

    <!-- experiment: flows/triage/page.yaml -->              the whole file, written there
    <!-- part of experiment: flows/triage/experiment.yaml --> laid over the file of that name
    <!-- part of flow: my_flow/flow.dag.yaml, nodes -->       a list, put at the end of the list ``nodes``

JSON without such a line is what the command before it has printed; ``…`` in it stands for anything.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PAGES = tuple(
    sorted(
        path
        for pattern in ("*.md", "docs/**/*.md", "flows/**/*.md", "infra/*.md")
        for path in ROOT.glob(pattern)
        if ".headrace" not in path.parts
    )
)
"""Every page whose blocks count."""

OUTPUT = "text"
SHELL, PYTHON = "sh", "python"
DATA = ("yaml", "json")
TEMPLATES = ("jinja", "prompty")
LANGUAGES = (SHELL, PYTHON, *DATA, *TEMPLATES, OUTPUT)

_FENCE = re.compile(r"^( *)(`{3,}|~{3,})\s*(\S*)\s*$")
_COMMENT = re.compile(r"^\s*<!-- (.*?):(.*?)-->\s*$")
_NOT_RUN = "not run"
_PART = "part of "

REASONS = {
    "needs a package index": r"(python3? -m venv |(\S*/)?pip install |\. \S+/activate$|(\S*/)?pytest$|make (demo|test)$)",
    "needs docker": r"docker ",
    "needs azd": r"(azd|az|\. \.azure/\S+$)",
    "needs a network": r"curl .*https://",
    "needs GitHub": r"(gh|git push) ?",
    "needs a person who types": r"headrace (flow test .*--interactive|label take )",
    "needs stock prompt flow": r"(pf |headrace certify |export PYTHON_KEYRING_BACKEND=|.*stock)",
    "takes minutes": r"make (?!demo|test)",
    "is what runs this": r"(\S*/)?pytest$",
    "needs MLflow": r"headrace .*--to mlflow$",
    "needs wandb": r"WANDB_MODE=offline headrace .*--to wandb$",
    "needs Ray": r"headrace .*--on ray",
}
"""How a reason for not running shell commands begins, and what each of the commands is then."""

_COMMAND = re.compile(
    r"^\s*(\$ )?(headrace|pf|pip|python3?|curl|make|docker|export|az|azd|git|gh|uvicorn|npm) "
)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block of a page.

    Attributes:
        page: Path of the page from the root.
        line: Of the opening fence, from 1.
        heading: The heading that it stands below.
        kind: What its comment says that it is; empty where there is none.
        path: The file that the comment names.
        key: The list of that file that it belongs to.
        is_part: Whether it is laid over the file.
        reason: Why it is not run; ``None`` where it is.
    """

    page: str
    line: int
    heading: str
    language: str
    text: str
    kind: str = ""
    path: str = ""
    key: str = ""
    is_part: bool = False
    reason: str | None = None

    @property
    def place(self) -> str:
        """Page and line."""
        return f"{self.page}:{self.line}"

    @property
    def is_walked(self) -> bool:
        """Whether it is run or read."""
        return self.reason is None and self.language != OUTPUT

    def lines(self) -> Iterator[str]:
        """Its commands, continued lines joined, without comments that have a line of their own."""
        for line in self.text.replace("\\\n", " ").splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                yield re.sub(r"\s+#\s.*$", "", line).strip()


def read_blocks(page: str, text: str) -> Iterator[Block]:
    """The blocks of a page in their order.

    Args:
        page: Its path from the root.
        text: Markdown.
    """
    lines = text.splitlines()
    heading, fence, begin = "", "", 0
    for number, line in enumerate(lines):
        found = _FENCE.match(line)
        if fence:
            if found and found[2].startswith(fence) and not found[3]:
                yield _block(page, lines, begin, number, heading)
                fence = ""
        elif found:
            fence, begin = found[2], number
        elif line.startswith("#"):
            heading = line.lstrip("#").strip()


def _block(page: str, lines: list[str], begin: int, end: int, heading: str) -> Block:
    found = _FENCE.match(lines[begin])
    text = textwrap.dedent("\n".join(lines[begin + 1 : end])) + "\n"
    language = found[3] if found else ""
    said: dict[str, object] = {}
    above = begin - 1
    while above >= 0 and (comment := _COMMENT.match(lines[above])):
        word, value = comment[1].strip(), comment[2].strip()
        if word == _NOT_RUN:
            said["reason"] = value
        else:
            if language == OUTPUT:
                break
            path, _, key = value.partition(",")
            said |= {"kind": word.removeprefix(_PART), "is_part": word.startswith(_PART)}
            said |= {"path": path.strip(), "key": key.strip()}
        above -= 1
    return Block(page, begin + 1, heading, language, text, **said)  # type: ignore[arg-type]  # as read above


def page_blocks(page: Path) -> tuple[Block, ...]:
    """The blocks of a page of the project."""
    return tuple(read_blocks(page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8")))


def find_faults(block: Block, kinds: frozenset[str]) -> Iterator[str]:
    """What keeps a block from being walked or left out.

    Args:
        block: Any block.
        kinds: What data can be.
    """
    if block.language not in LANGUAGES:
        yield f"the language {block.language!r} is none of {', '.join(LANGUAGES)}"
    elif block.language == OUTPUT:
        if _COMMAND.match(block.text):
            yield "text that begins with a command is `sh`"
        if block.reason is not None:
            yield "output needs no reason"
    elif block.reason is not None:
        yield from _find_wrong_reason(block)
    elif block.language in (*DATA, *TEMPLATES) and not block.kind and block.language != "json":
        yield "data says above it what it is, as in <!-- experiment: PATH -->, or why it is not read"
    if block.kind and block.kind not in kinds:
        yield f"{block.kind!r} is none of {', '.join(sorted(kinds))}"


def _find_wrong_reason(block: Block) -> Iterator[str]:
    if block.kind:
        yield "a block that says what it is is read"
    if not block.reason:
        yield "a reason is missing"
    elif block.language == SHELL:
        yield from _find_commands_that_run(block, block.reason)


def _find_commands_that_run(block: Block, reason: str) -> Iterator[str]:
    pattern = next((rest for begin, rest in REASONS.items() if reason.startswith(begin)), None)
    if pattern is None:
        yield f"the reason {reason!r} begins like none of: {', '.join(REASONS)}"
        return
    for command in (part for line in block.lines() for part in line.split(" && ")):
        if not re.match(pattern, command):
            yield f"{command!r} can be run: {reason!r} does not hold for it"
    for named in re.findall(r"`make ([\w-]+)`", reason):
        if f"\n{named}:" not in (ROOT / "Makefile").read_text(encoding="utf-8"):
            yield f"there is no target {named}"
    for named in re.findall(r"tests/[\w/]+\.py", reason):
        if not (ROOT / named).is_file():
            yield f"there is no {named}"
