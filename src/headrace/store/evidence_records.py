"""Evidence and revisions as rows and back. A journal keeps the same texts as the table of a store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from datetime import datetime
from hashlib import sha256
from json.encoder import encode_basestring as _quoted
from typing import Any, Final

from headrace.domain.evidence import Arrival, Completion, Evidence, Exposure, Feedback
from headrace.domain.traffic import Revision
from headrace.store.records import Row, decode_json, encode_json, encode_time

_KINDS: Final[Mapping[str, type[Evidence]]] = {
    "exposure": Exposure,
    "completion": Completion,
    "feedback": Feedback,
}
_WORDS: Final = {kind: word for word, kind in _KINDS.items()}
_LONGEST_KEY = 200


_NAMES: Final = {word: frozenset(field.name for field in fields(kind)) for word, kind in _KINDS.items()}
_NEEDED: Final = {
    word: frozenset(
        field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING
    )
    for word, kind in _KINDS.items()
}


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """A record that is a row already, because a journal holds the same text.

    Attributes:
        columns: As :func:`evidence_row` gives them.
    """

    columns: Mapping[str, Any]


def kind_of(record: Evidence) -> str:
    """What a record is, in one word: ``exposure``, ``completion`` or ``feedback``."""
    return _WORDS[type(record)]


def record_text(record: Evidence) -> str:
    """A record as compact JSON text without line breaks; values that are the usual ones are left out.

    Raises:
        TypeError: Attributes, inputs or outputs are not plain data.
    """
    if isinstance(record, Exposure):
        return _exposure_text(record)
    if isinstance(record, Completion):
        return _completion_text(record)
    named = ((field.name, field.default, getattr(record, field.name)) for field in fields(record))
    return encode_json({name: value for name, usual, value in named if value != usual})


# Written one by one, since requests wait for it: a third of the time that JSON of a dict takes.


def _exposure_text(record: Exposure) -> str:
    text = (
        f'{{"id":{_quoted(record.id)},"test":{_quoted(record.test)},"revision":{record.revision:d},'
        f'"at_ns":{record.at_ns:d},"unit":{_quoted(record.unit)},"arm":{_quoted(record.arm)},'
        f'"propensity":{_number(record.propensity)}'
    )
    if record.role != "assigned":
        text += f',"role":{_quoted(record.role)}'
    if record.version:
        text += f',"version":{_quoted(record.version)}'
    if record.request_id:
        text += f',"request_id":{_quoted(record.request_id)}'
    if record.trace_id:
        text += f',"trace_id":{_quoted(record.trace_id)}'
    if record.attributes:
        text += f',"attributes":{encode_json(record.attributes)}'
    return text + "}"


def _completion_text(record: Completion) -> str:
    text = (
        f'{{"exposure":{_quoted(record.exposure)},"test":{_quoted(record.test)},"at_ns":{record.at_ns:d},'
        f'"answered_by":{_quoted(record.answered_by)}'
    )
    if record.problem:
        text += f',"problem":{_quoted(record.problem)}'
    if record.is_gone:
        text += ',"is_gone":true'
    if record.latency_ms:
        text += f',"latency_ms":{_number(record.latency_ms)}'
    for name, value in (
        ("first_token_ms", record.first_token_ms),
        ("prompt_tokens", record.prompt_tokens),
        ("completion_tokens", record.completion_tokens),
        ("cost_usd", record.cost_usd),
    ):
        if value is not None:
            text += f',"{name}":{_number(value)}'
    if record.inputs is not None:
        text += f',"inputs":{encode_json(record.inputs)}'
    if record.outputs is not None:
        text += f',"outputs":{encode_json(record.outputs)}'
    if record.has_consent:
        text += ',"has_consent":true'
    return text + "}"


def _number(value: float) -> str:
    is_plain = type(value) in (int, float) and value - value == 0  # not infinite, and a number
    return repr(value) if is_plain else encode_json(value)


def evidence_from_text(kind: str, text: str) -> Evidence:
    """A record from :func:`record_text`; tuples come back as lists.

    Raises:
        ValueError, KeyError, TypeError: The text is something else.
    """
    return _KINDS[kind](**decode_json(text))


def journal_line(record: Evidence) -> bytes:
    """A record as one line of a journal: a JSON list of what it is and what it says.

    Raises:
        TypeError: Attributes, inputs or outputs are not plain data.
    """
    # A lone surrogate, as in half of an emoji, is not UTF-8; escaped as JSON would it reads back unchanged.
    return f'["{kind_of(record)}",{record_text(record)}]\n'.encode("utf-8", "backslashreplace")


def row_from_line(line: bytes) -> EvidenceRow:
    """The row of a record from :func:`journal_line`, which holds the text of the record as the table does.

    Raises:
        ValueError, KeyError, TypeError: The line is something else.
    """
    text = line.decode("utf-8")
    kind, values = json.loads(text)
    record = text[len(kind) + 4 : -2]
    is_whole = isinstance(values, dict) and _NEEDED[kind] <= values.keys() <= _NAMES[kind]
    if not is_whole or record[:1] + record[-1:] != "{}":
        what = "the line is no record"
        raise ValueError(what)
    identity, test = values["exposure" if kind == "completion" else "id"], values.get("test", "")
    exposure = values.get("exposure", "") if kind == "feedback" else ""
    request = values.get("request_id", "") if values.get("role") != "shadow" else ""
    columns = {
        "kind": kind,
        "id": _key(identity),
        "test": _plain_text(test),
        "request_id": _key(request) if request else None,
        "exposure": _key(exposure) if exposure else None,
        "record": record,
    }
    return EvidenceRow(columns)


def evidence_keys(record: Evidence) -> dict[str, Any]:
    """Columns by which a record is found."""
    exposure = record.exposure if isinstance(record, Feedback) and record.exposure else None
    # A mirror has the request in common with the exposure that was answered, which is the one that is asked for.
    request = record.request_id if isinstance(record, Exposure) and record.role != "shadow" else None
    return {
        "kind": kind_of(record),
        "id": _key(record.exposure if isinstance(record, Completion) else record.id),
        "test": record.test,
        "request_id": _key(request) if request else None,
        "exposure": _key(exposure) if exposure else None,
    }


def evidence_row(record: Evidence | EvidenceRow) -> Mapping[str, Any]:
    """Columns of a record, without its place."""
    if isinstance(record, EvidenceRow):
        return record.columns
    return {**evidence_keys(record), "record": record_text(record)}


def evidence_from_row(row: Row) -> Evidence:
    """A record from its columns; feedback that found its test later has it."""
    record = evidence_from_text(row["kind"], row["record"])
    return record if record.test else replace(record, test=row["test"])


def arrival_from_row(row: Row) -> Arrival:
    """A record with its place from its columns."""
    return Arrival(place=row["place"], evidence=evidence_from_row(row))


def request_key(request_id: str) -> str:
    """What a request is found by."""
    return _key(request_id)


def _key(text: str) -> str:
    # Indexes take some 2,700 bytes at most, and what callers name their feedback by may be longer.
    return (
        _plain_text(text)
        if len(text) <= _LONGEST_KEY
        else sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    )


def _plain_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    what = f"a {type(value).__name__} is no text"
    raise TypeError(what)


def revision_row(revision: Revision) -> dict[str, Any]:
    """Columns of a revision."""
    return {
        "test": revision.test,
        "number": revision.number,
        "record": encode_json(
            {
                "at": encode_time(revision.at),
                "reason": revision.reason,
                "ranges": revision.ranges,
                "answering": revision.answering,
                "digest": revision.digest,
                "is_over": revision.is_over,
                "by": revision.by,
                "evidence": revision.evidence,
                "definition": revision.definition,
            }
        ),
    }


def revision_from_row(row: Row) -> Revision:
    """A revision from its columns."""
    data = decode_json(row["record"])
    ranges = {arm: tuple((start, end) for start, end in found) for arm, found in data["ranges"].items()}
    at = datetime.fromisoformat(data["at"])
    return Revision(**{**data, "test": row["test"], "number": row["number"], "at": at, "ranges": ranges})
