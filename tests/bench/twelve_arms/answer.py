"""Answers a question rightly, in part or not at all, by a digest of the question and of who is asked."""

from hashlib import sha256

from promptflow.core import tool

WORDS = [
    "river",
    "wheel",
    "water",
    "gate",
    "stone",
    "mill",
    "channel",
    "stream",
    "bank",
    "weir",
    "sluice",
    "race",
]


@tool
def answer(question: str, reference: str, skill: float) -> str:
    ease = int(sha256(question.encode()).hexdigest()[:8], 16) / 16**8
    luck = int(sha256(f"{question} {skill}".encode()).hexdigest()[:8], 16) / 16**8
    chance = 0.7 * ease + 0.3 * luck + 0.2 * skill
    if chance > 0.7:
        return reference
    kept = reference.split()[: round(12 * chance)]
    return " ".join(
        [*kept, *(WORDS[int(luck * 997 * place) % 12] for place in range(12 - len(kept) + int(8 * luck)))]
    )
