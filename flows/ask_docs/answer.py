"""Takes a model's text apart: the answer, and the sections that it cites."""

import re

from promptflow.core import tool

CITATION = re.compile(r"\s*\[(docs/[^\[\]\s#]+\.md#[^\[\]\s,;]+)\]")


@tool
def split_answer(text: str) -> dict:
    """Returns `text` without its citations, and the cited section ids in order of first mention."""
    citations = list(dict.fromkeys(CITATION.findall(text)))
    return {"text": CITATION.sub("", text).strip(), "citations": citations}
