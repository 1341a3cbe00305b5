"""Answers questions from a glossary, in so many words at most."""

from dataclasses import dataclass
from pathlib import Path

from promptflow.core import Prompty

FOLDER = Path(__file__).parent


@dataclass
class Answer:
    """What the flow gives."""

    answer: str
    words: int


class Assistant:
    """Made once for a run, with what `init` says, and called for every line."""

    def __init__(self, most_words: int = 30):
        self.most_words = int(most_words)
        self.ask = Prompty.load(source=FOLDER / "ask.prompty")

    def __call__(self, question: str) -> Answer:
        """The answer of the model, cut where it is too long."""
        words = self.ask(question=question).split()[: self.most_words]
        return Answer(answer=" ".join(words), words=len(words))

    def __aggregate__(self, lines: list) -> dict:
        """The metrics of a run."""
        return {"mean_words": sum(line["words"] for line in lines) / len(lines)} if lines else {}
