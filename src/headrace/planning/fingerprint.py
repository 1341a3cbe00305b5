"""What the result of a node depends on, as one digest over named parts. Pure: tools say what they are made of.

Two calls with equal fingerprints do the same work, so that the result of one can stand for that of the other.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from hashlib import sha256
from string import digits
from typing import Any

from headrace.domain.cache import Changed, Fingerprint, nothing_changed

FORMAT = 1
"""Raised whenever the same call would give another result: parsing of chats, requests, escaping, or what is hashed."""

CODE = "code"
INPUTS = "inputs"
MODEL = "model"
CONNECTION = "connection"
ENVIRONMENT = "environment"
REPEAT = "repeat"
ENGINE = "engine"
PARTS = (CODE, INPUTS, MODEL, CONNECTION, ENVIRONMENT, REPEAT, ENGINE)
"""Names of the parts, in the order in which people are told about them."""

_SHORT = 12
_SECRET_WORDS = (
    "key",
    "keys",
    "token",
    "secret",
    "secrets",
    "password",
    "passwords",
    "credential",
    "credentials",
)

_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), check_circular=False).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a tool is made of, apart from its arguments.

    Attributes:
        code: Digest of each file and template, version of each package, by name.
        model: What decides about the request besides arguments: which API, defaults.
        model_arguments: Arguments that are parameters of the request.
        left_out: Arguments that decide nothing: names of connections, because ``connections`` tells more.
        given: What the tool was made with besides; counts as inputs.
        connections: Type and plain fields of every connection that the tool was given.
        variables: Environment variables that its code asks for; ``None`` for a tool that reads none.
        temperature: Name and default of the argument that makes answers repeatable where it is zero.
        is_steady: The same arguments give the same result; counts where there is no ``temperature``.
        changed: Tells which parts of the code are not any more what they were; files that others may write.
    """

    code: Mapping[str, str]
    model: Mapping[str, Any] = field(default_factory=dict)
    model_arguments: frozenset[str] = frozenset()
    left_out: frozenset[str] = frozenset()
    given: Mapping[str, Any] = field(default_factory=dict)
    connections: tuple[Any, ...] = ()
    variables: tuple[str, ...] | None = None
    temperature: tuple[str, Any] | None = None
    is_steady: bool = True
    changed: Changed = nothing_changed


class Fingerprinter:
    """Makes the fingerprints of one node's calls; what all of them share is worked out once.

    Args:
        identity: What the node's tool is made of.
        declared: Environment variables that the flow or the run sets.
        environment: The whole environment, the declared ones included.
        repeat: Which repetition of an arm this is.
        setting: What else of the node decides about its result: how its inputs are read and written.

    Attributes:
        changed: That of the identity.

    Raises:
        NoFormError: What the tool was made with cannot be told.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        declared: Collection[str] = (),
        environment: Mapping[str, str] | None = None,
        repeat: int = 0,
        setting: Mapping[str, Any] | None = None,
    ) -> None:
        self.changed = identity.changed
        self._identity = identity
        self._repeat = str(repeat)
        self._setting = plain_form([dict(setting or {}), dict(identity.given)])
        texts = {CODE: _encode(sorted(identity.code.items())), ENGINE: str(FORMAT)}
        if identity.connections:
            texts[CONNECTION] = _encode(plain_form(list(identity.connections)))
        if identity.variables is not None:
            names = _open_names({*declared, *identity.variables})
            texts[ENVIRONMENT] = _encode([[name, (environment or {}).get(name)] for name in names])
        self._parts = {name: _short(text) for name, text in texts.items()}
        self._begun = sha256("\n".join(f"{name} {text}" for name, text in texts.items()).encode())
        self._model = plain_form(identity.model) if identity.model or identity.model_arguments else None

    def fingerprint(self, arguments: Mapping[str, Any]) -> Fingerprint:
        """The fingerprint of a call.

        Args:
            arguments: Already in the form of :func:`plain_form`.
        """
        identity = self._identity
        inputs, asked = {}, {}
        for name in sorted(arguments):
            if name in identity.model_arguments:
                asked[name] = arguments[name]
            elif name not in identity.left_out:
                inputs[name] = arguments[name]
        text = _encode([self._setting, inputs])
        parts = {**self._parts, INPUTS: _short(text)}
        total = self._begun.copy()
        total.update(text.encode())
        if self._model is not None:
            text = _encode([self._model, asked])
            parts[MODEL] = _short(text)
            total.update(text.encode())
        if not self._is_repeatable(arguments):
            parts[REPEAT] = self._repeat
            total.update(f"repeat {self._repeat}".encode())
        return Fingerprint(key=total.hexdigest(), parts=parts)

    def _is_repeatable(self, arguments: Mapping[str, Any]) -> bool:
        if self._identity.temperature is None:
            return self._identity.is_steady
        name, default = self._identity.temperature
        value = arguments.get(name)
        try:
            return float(default if value in (None, "") else value) == 0
        except (TypeError, ValueError):
            return False


class NoFormError(TypeError):
    """A value has no form that says all about it."""


def plain_form(value: Any) -> Any:
    """A value as data that JSON can hold, different for different values: tuples are no lists, 1 is no "1".

    Objects that say themselves what they are, by a method ``fingerprint_form``, stand as what that returns.

    Raises:
        NoFormError: Something inside is neither plain data nor such an object.
    """
    kind = type(value)
    if kind is str or kind is int or kind is float or kind is bool or value is None:
        return value
    if kind is list:
        return [plain_form(item) for item in value]
    if kind is dict:
        if all(type(key) is str and key for key in value):
            return {key: plain_form(item) for key, item in value.items()}
        return {"": "mapping", "items": [[plain_form(key), plain_form(item)] for key, item in value.items()]}
    if kind is tuple:
        return {"": "tuple", "items": [plain_form(item) for item in value]}
    return {"": f"{kind.__module__}.{kind.__qualname__}", "form": plain_form(_form_of(value))}


def _form_of(value: Any) -> Any:
    kind = type(value)
    form = getattr(kind, "fingerprint_form", None)
    if form is not None:
        return form(value)
    if dataclasses.is_dataclass(kind):
        return [getattr(value, item.name) for item in dataclasses.fields(kind)]
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, date):
        return value.isoformat()
    raise NoFormError(kind.__name__)


def changed_parts(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the parts that differ between two fingerprints."""
    names = [*PARTS, *sorted({*before, *after}.difference(PARTS))]
    return tuple(name for name in names if before.get(name) != after.get(name))


def _open_names(names: Collection[str]) -> list[str]:
    """Variables that are no keys by their names: a new key gives no new result, and keys are in no digest.

    Words decide by their ends, so that ``OPENAI_APIKEY_2`` is a key and ``MAX_TOKENS`` and ``KEYWORDS`` are none.
    """
    return sorted(
        name
        for name in names
        if not any(word.rstrip(digits).endswith(_SECRET_WORDS) for word in name.lower().split("_"))
    )


def text_digest(text: str) -> str:
    """Digest of a text as a part of code: 16 hexadecimal digits."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _short(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:_SHORT]
