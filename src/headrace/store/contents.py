"""Long texts of lines and kept results, apart from their rows: images and documents stand in inputs and outputs alike.

In the JSON of the row a mark with the digest stands for such a text. Whatever begins like a mark is kept apart as well,
so that a mark is never mistaken for a text, nor a text for a mark.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from headrace.store.records import Row, decode_json, encode_json

LONG_TEXT = 128 * 1024
"""From how many characters on a text is long: where writing one file costs as much as four copies in rows."""

_COLUMNS = ("inputs", "outputs", "nodes")
_MARK = "\0sha256:"


def set_aside(row: dict[str, Any]) -> dict[str, bytes]:
    """Put marks in place of the long texts of a line's row, and return the texts as UTF-8 by their digests."""
    contents: dict[str, bytes] = {}
    # No text is longer than the JSON that it stands in: nearly all lines are done here.
    if any(len(row[column]) >= LONG_TEXT for column in _COLUMNS):
        marked = {column: encode_json(_marked(decode_json(row[column]), contents)) for column in _COLUMNS}
        if contents:
            row.update(marked)
    row["has_contents"] = int(bool(contents))
    return contents


def set_aside_output(row: dict[str, Any]) -> dict[str, bytes]:
    """Like :func:`set_aside` for the row of a kept result: the long texts of its output, images among them."""
    contents: dict[str, bytes] = {}
    if len(row["output"]) >= LONG_TEXT:
        marked = json.dumps(_marked(decode_json(row["output"]), contents), separators=(",", ":"))
        row["output"] = marked if contents else row["output"]
    row["content_bytes"] = sum(map(len, contents.values()))
    return contents


def whole_output(row: Row, read: Callable[[str], bytes]) -> str:
    """The output of a kept result as it was, its long texts put back."""
    if not row["content_bytes"]:
        return str(row["output"])
    return json.dumps(put_back(read)(row["output"]), separators=(",", ":"))


def _marked(value: Any, contents: dict[str, bytes]) -> Any:
    if isinstance(value, str):
        if len(value) < LONG_TEXT and not value.startswith(_MARK):
            return value
        data = value.encode("utf-8", "surrogatepass")
        digest = sha256(data).hexdigest()
        contents[digest] = data
        return _MARK + digest
    if isinstance(value, dict):
        return {key: _marked(item, contents) for key, item in value.items()}
    if isinstance(value, list):
        return [_marked(item, contents) for item in value]
    return value


def put_back(read: Callable[[str], bytes]) -> Callable[[str], Any]:
    """A decoder of the JSON of one line that puts its long texts back, reading each once by its digest."""
    texts: dict[str, str] = {}

    def whole(value: Any) -> Any:
        if isinstance(value, str):
            if not value.startswith(_MARK):
                return value
            digest = value.removeprefix(_MARK)
            if digest not in texts:
                texts[digest] = read(digest).decode("utf-8", "surrogatepass")
            return texts[digest]
        if isinstance(value, dict):
            return {key: whole(item) for key, item in value.items()}
        if isinstance(value, list):
            return [whole(item) for item in value]
        return value

    return lambda text: whole(decode_json(text))
