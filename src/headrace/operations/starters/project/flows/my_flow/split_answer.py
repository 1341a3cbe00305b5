"""Takes the text of a model apart: the answer, and the sections that it cites."""

import re

from promptflow.core import tool

CITATION = re.compile(r"\s*\[([\w-]+#[\w-]+)\]")


@tool
def split_answer(text: str) -> dict:
    """`answer` without the citations, and `citations` in the order of their first mention."""
    return {
        "answer": CITATION.sub("", text).strip(),
        "citations": list(dict.fromkeys(CITATION.findall(text))),
    }
