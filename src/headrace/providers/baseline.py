"""The `baseline` model: what a plain lexical reader scores on the same prompt, with no language model at all.

It is deterministic and non-neural. It was not trained, it does not generate, reason, translate or follow
arbitrary instructions. It reads a chat prompt by conventions that prompts in plain text share, and does
three things with it:

* **Answers a question** by copying the best-matching sentence of the context that the prompt holds
  (IDF-weighted word overlap in the manner of BM25), or the short span inside it where the examples answer
  in a few words. It cites the passage's id where the prompt asks for citations or its examples show them.
  Without context it repeats the answer of an example that asks nearly the same.
* **Labels a text** where the prompt lists labels: the label of the nearest few-shot example, or the label
  whose own name and description overlap most. Where nothing overlaps, it guesses: the label that means
  "other", else the commonest in the examples, else the first listed.
* **Says that it does not know** otherwise, in the words that the prompt prescribes, else "I don't know."

Few-shot examples and retrieved passages therefore change its answers as their content does. What it scores
is a floor to compare models with, and never evidence about what a model would say. Anything that looks like
an example, a passage or a list of labels is read as one, wherever it stands in the prompt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from headrace.providers.reader.answer import answer_question
from headrace.providers.reader.conventions import DONT_KNOW, json_key, not_knowing
from headrace.providers.reader.labels import choose_label, find_labelling, guess_label
from headrace.providers.reader.prompt import Prompt, read_prompt
from headrace.providers.reader.sections import message_text
from headrace.providers.reader.vectors import embed
from headrace.providers.reader.words import count_tokens, cut_tokens

__all__ = ["Reading", "count_tokens", "embed", "read_chat"]

# What the chat format adds to each message, by the same fixed rule on every prompt.
_TOKENS_PER_MESSAGE = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """The reader's answer to one chat prompt, with the tokens that it counts for prompt and answer."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: Literal["stop", "length"] = "stop"


def read_chat(
    messages: Sequence[Mapping[str, object]],
    *,
    json_object: bool = False,
    max_tokens: int | None = None,
) -> Reading:
    """Reads one chat prompt and answers it.

    Args:
        messages: chat messages with `role` (system, developer, user, assistant, tool) and `content`, a text
            or a list of parts of which the text parts are read.
        json_object: answer with a JSON object (`response_format: json_object`): one key, the first of
            `answer`, `label`, `category` and the like that the prompt puts in quotes, else `answer`.
        max_tokens: the longest answer, by `count_tokens`; a longer one is cut.

    Returns:
        The answer. The same messages always give the same answer.
    """
    prompt = read_prompt(messages)
    text = _answer(prompt)
    if json_object:
        text = json.dumps({json_key(prompt.instructions): text}, ensure_ascii=False)
    cut = text if max_tokens is None else cut_tokens(text, max_tokens)
    return Reading(
        text=cut,
        prompt_tokens=sum(_TOKENS_PER_MESSAGE + count_tokens(message_text(one)) for one in messages),
        completion_tokens=count_tokens(cut),
        finish_reason="stop" if cut == text else "length",
    )


def _answer(prompt: Prompt) -> str:
    unknown = not_knowing(prompt.instructions, prompt.examples)
    labelling = find_labelling(prompt)
    if labelling:
        return choose_label(labelling) or unknown or guess_label(labelling)
    return answer_question(prompt) or unknown or DONT_KNOW
