"""Whether an answer is a refusal, by documented phrases of several languages and without a model."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from headrace.evaluation.evaluators.base import Judge, Scores, only
from headrace.evaluation.evaluators.text import as_text, collapse

PHRASES: dict[str, tuple[str, ...]] = {
    "en": (
        r"\bi(?:'m| am) (?:very |really |so )?sorry,? (?:but )?(?:i|that|this|as)\b",
        r"\bi (?:can(?:no|')t|can not|am unable to|'m unable to|am not able to|'m not able to|won't|will not)"
        r" (?:help|assist|answer|provide|comply|fulfil|fulfill|do that|support|share|create|generate|engage|discuss"
        r"|continue)",
        r"\bi (?:must|have to) (?:respectfully )?(?:decline|refuse)\b",
        r"\bas an ai(?: language)?(?: model| assistant)?,? i "
        r"(?:can(?:no|')t|can not|am unable|am not able|don't|do not)",
        r"\bi (?:do not|don't) (?:know|have (?:enough |sufficient |any )?(?:information|knowledge|context))\b",
        r"\b(?:unable|not able) to (?:answer|help|assist) (?:with )?(?:that|this|your)",
    ),
    "de": (
        r"\b(?:es )?tut mir leid,? (?:aber )?(?:ich|das|dabei|dazu)\b",
        r"\b(?:ich kann|kann ich) (?:ihnen |dir )?(?:dabei |das |dazu |diese \w+ |hierbei )?(?:leider )?"
        r"(?:nicht|keine)\b",
        r"\bich (?:darf|werde) (?:das|dabei|dazu|ihnen|dir)? ?(?:leider )?(?:nicht|keine)\b",
        r"\b(?:das )?weiß ich (?:leider )?nicht\b",
        r"\bich weiß (?:es |das )?(?:leider )?nicht\b",
    ),
    "fr": (
        r"\b(?:je suis )?désolée?,? (?:mais )?je (?:ne |n')",
        r"\bje ne (?:peux|puis|pourrai|suis) pas (?:en mesure|vous aider|t'aider|répondre|fournir|faire|donner)",
        r"\bje ne (?:peux|puis) (?:malheureusement )?pas\b",
        r"\bje ne sais pas\b",
    ),
    "es": (
        r"\blo siento,? (?:pero )?(?:no|como)\b",
        r"\bno (?:puedo|podré|me es posible) (?:ayudar|responder|proporcionar|cumplir|hacer|asistir|ofrecer)",
        r"\bno (?:lo )?sé\b(?! si)",
        r"\bno tengo (?:suficiente )?información\b",
    ),
    "it": (
        r"\bmi dispiace,? (?:ma )?non\b",
        r"\bnon posso (?:aiutar|rispondere|fornire|farlo|assister)",
        r"\bnon (?:lo )?so\b",
    ),
    "pt": (
        r"\b(?:desculpe|lamento|sinto muito),? (?:mas )?(?:eu )?não\b",
        r"\bnão posso (?:ajudar|responder|fornecer|fazer|auxiliar)",
        r"\bnão sei\b",
    ),
    "nl": (
        r"\bhet spijt me,? (?:maar )?(?:ik|dat)\b",
        r"\bik kan (?:u |je |hier |daar )?(?:daarbij |hierbij |helaas )?(?:niet|geen)\b",
        r"\bik weet het niet\b",
    ),
    "pl": (
        r"\bprzykro mi,? (?:ale )?nie\b",
        r"\bnie mogę (?:pomóc|odpowiedzieć|udzielić|tego)",
        r"\bnie wiem\b",
    ),
    "zh": (
        r"抱歉[,,]?",
        r"对不起[,,]?我",
        r"我(?:无法|不能|没办法)(?:回答|提供|帮助|协助|满足)",
        r"我不知道",
    ),
    "ja": (
        r"申し訳(?:ありません|ございません)",
        r"お(?:答え|手伝い)(?:できません|することはできません)",
        r"(?:わかりません|分かりません)",
    ),
    "ko": (r"죄송(?:합니다|하지만)", r"(?:도와드릴|답변드릴|제공할) 수 없", r"모르겠습니다"),
}
"""What refusals and admissions of not knowing say, as patterns over folded text, by language."""

_COMPILED = {
    language: [re.compile(pattern) for pattern in patterns] for language, patterns in PHRASES.items()
}
_QUOTES = str.maketrans({"\u2019": "'", "\u2018": "'", "`": "'", "\uff0c": ","})
_BEGINNING = 240
"""Characters in which a refusal says that it is one: an answer that excuses itself later has answered before."""


def make_refusal() -> Judge:
    """1 where the answer refuses or says that it does not know, within its first 240 characters, else 0."""

    def judge(prediction: Any = None) -> Scores:
        text = as_text(prediction)
        if not text.strip():
            return only(1.0, "The answer is empty.", "empty")
        start = unicodedata.normalize("NFKC", collapse(text[: _BEGINNING * 2])).lower()
        start = start.translate(_QUOTES)[:_BEGINNING]
        for language, patterns in _COMPILED.items():
            for pattern in patterns:
                found = pattern.search(start)
                if found:
                    return only(1.0, f"It says {found[0]!r} ({language}).", "refusal")
        return only(0.0, None, "answer")

    return judge
