"""Words that an answer shares with the right one: token F1, BLEU, chrF and ROUGE."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from headrace.evaluation.evaluators.base import Judge, Scores, only, score, unscorable
from headrace.evaluation.evaluators.packages import load_evaluator_package
from headrace.evaluation.evaluators.text import as_text, multilingual_tokens, references_of, squad_tokens

_TOKENS = {"squad": squad_tokens, "multilingual": multilingual_tokens}
_MAX_CHARACTERS = 200_000
"""Longest text that the metrics of n-grams are counted over: ROUGE-L takes time by the product of both lengths."""

_MAX_ROUGE_CELLS = 25_000_000


def make_f1(*, tokens: str) -> Judge:
    """Harmonic mean of the shares of common tokens in the answer and in the right one; the best right answer counts.

    Source: the evaluation script of SQuAD 2.0 (Rajpurkar et al. 2018), ``compute_f1``: where one of both has no
    tokens, the score is 1 when the other has none either, else 0.
    """
    split = _TOKENS[tokens]

    def judge(prediction: Any = None, reference: Any = None) -> Scores:
        wanted = references_of(reference, "f1")
        given = split(as_text(prediction))
        return only(max(_token_f1(given, split(item)) for item in wanted))

    return judge


def _token_f1(given: Sequence[str], wanted: Sequence[str]) -> float:
    if not given or not wanted:
        return float(list(given) == list(wanted))
    common = (Counter(given) & Counter(wanted)).total()
    return 2 * common / (len(given) + len(wanted))


def make_bleu(*, tokenize: str, lowercase: bool) -> Judge:
    """BLEU of one sentence between 0 and 1, with effective order and exponential smoothing (Post 2018, sacrebleu)."""
    metric = load_evaluator_package("sacrebleu.metrics:BLEU", "bleu")(
        tokenize=tokenize, lowercase=lowercase, effective_order=True
    )
    return _sentence_judge("bleu", metric)


def make_chrf(*, word_order: int, lowercase: bool) -> Judge:
    """ChrF (Popovic 2015) between 0 and 1; with ``word_order`` 2 it is chrF++."""
    metric = load_evaluator_package("sacrebleu.metrics:CHRF", "chrf")(
        word_order=word_order, lowercase=lowercase
    )
    return _sentence_judge("chrf", metric)


def _sentence_judge(name: str, metric: Any) -> Judge:
    def judge(prediction: Any = None, reference: Any = None) -> Scores:
        given, wanted = as_text(prediction), references_of(reference, name)
        _check_length(name, given, wanted)
        if not given.strip() or not any(item.strip() for item in wanted):
            is_right = not given.strip() and any(not item.strip() for item in wanted)
            return only(float(is_right), "The answer or the right answer is empty.")
        value = metric.sentence_score(given, wanted).score / 100
        return only(min(max(value, 0.0), 1.0))

    return judge


def make_rouge(*, stemmer: bool, tokens: str) -> Judge:
    """F-measures of ROUGE-1, ROUGE-2 and ROUGE-L (Lin 2004) by rouge-score; the best right answer counts for each."""
    names = ("rouge1", "rouge2", "rougeL")
    load = load_evaluator_package("rouge_score.rouge_scorer:RougeScorer", "rouge")
    tokenizer = _Tokenizer() if tokens == "multilingual" else None
    scorer = load(list(names), use_stemmer=stemmer, tokenizer=tokenizer)

    def judge(prediction: Any = None, reference: Any = None) -> Scores:
        given, wanted = as_text(prediction), references_of(reference, "rouge")
        _check_length("rouge", given, wanted)
        if any(len(given) * len(item) > _MAX_ROUGE_CELLS * 25 for item in wanted):
            msg = "rouge cannot score the line: the texts are too long."
            raise unscorable(msg, "Shorten the answers.")
        if not given.strip():
            value = float(any(not item.strip() for item in wanted))
            return {name: score(value, "The answer is empty.") for name in names}
        found = [scorer.score(item, given) for item in wanted]
        return {name: score(max(item[name].fmeasure for item in found)) for name in names}

    return judge


class _Tokenizer:
    """Tokens of any language, as rouge-score asks for them; its own knows Latin letters and digits only."""

    def tokenize(self, text: str) -> list[str]:
        return multilingual_tokens(text)


def _check_length(name: str, given: str, wanted: Sequence[str]) -> None:
    longest = max(len(given), *(len(item) for item in wanted))
    if longest > _MAX_CHARACTERS:
        what = f"{name} cannot score the line: a text has {longest:,} characters."
        raise unscorable(what, f"Shorten texts to {_MAX_CHARACTERS:,} characters, or use f1.")
