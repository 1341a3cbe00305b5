"""Files of the keys that a served flow knows its callers by.

::

    keys:
    - name: shop
      hash: sha256:<salt>:<digest>      # hexadecimal; the key itself is shown once, when it is made
      created: '2026-11-29T11:30:00+00:00'
      expires: '2027-02-27T11:30:00+00:00'
      requests_per_minute: 600          # in place of the server's own limits
      concurrent: 8
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from headrace.domain.access import RateLimit, ServeKey, is_key_name
from headrace.errors import raise_if_errors
from headrace.formats.positions import dump_yaml, read_text, read_yaml
from headrace.formats.shape import Block, Findings, root_block

_HASH = re.compile(r"sha256:((?:[0-9a-f]{2}){8,64}):([0-9a-f]{64})")
_KEYS = ("name", "hash", "created", "expires", "requests_per_minute", "concurrent")
_OWNER = "The key"


def read_key_file(path: Path) -> tuple[ServeKey, ...]:
    """The keys of a file, in its order.

    Raises:
        DefinitionError: F001 for a file that is not there, F002 to F012 for everything that is wrong in it.
    """
    data, source_map, problems = read_yaml(read_text(path), str(path))
    findings = Findings(source_map, list(problems))
    root = root_block(data, findings)
    root.check_keys(("keys",), "A file of keys", severity="error")
    keys: dict[str, ServeKey] = {}
    for pointer, item in root.items("keys"):
        key = _read_key(Block(item, pointer, findings))
        if key is None:
            continue
        if key.name in keys:
            what = f"There are two keys with the name {key.name!r}."
            findings.add("F003", (*pointer, "name"), what, "Name each after who has it.")
        keys[key.name] = key
    raise_if_errors(findings.problems)
    return tuple(keys.values())


def write_key_file(path: Path, keys: Sequence[ServeKey]) -> None:
    """Write the keys in place of what the file held, whole or not at all, for its owner to read.

    Raises:
        OSError: The folder cannot be written.
    """
    text = "# Keys of a served flow, written by: headrace serve-key\n" + dump_yaml(
        {"keys": [_key_data(key) for key in keys]}
    )
    # Through a link to the file that it leads to, as files are mounted.
    target = path.resolve()
    with NamedTemporaryFile(
        "w", encoding="utf-8", dir=target.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(target)
        except OSError:
            Path(file.name).unlink(missing_ok=True)
            raise


def _read_key(block: Block) -> ServeKey | None:
    block.check_keys(_KEYS, _OWNER, severity="error")
    name, text = block.required_text("name", _OWNER), block.required_text("hash", _OWNER)
    if name is not None and not is_key_name(name):
        what = f"The name {name!r} of a key is none."
        block.findings.add("F005", block.at("name"), what, "Use lower case letters, digits, dots and dashes.")
        name = None
    found = _HASH.fullmatch(text) if text is not None else None
    if text is not None and found is None:
        what = "The hash of a key is not of the form sha256:<salt>:<digest>."
        block.findings.add("F005", block.at("hash"), what, "Make the key anew: headrace serve-key create.")
    created, expires = _moment(block, "created"), _moment(block, "expires")
    rate = RateLimit(
        requests_per_minute=_count(block, "requests_per_minute"), concurrent=_count(block, "concurrent")
    )
    if name is None or found is None:
        return None
    return ServeKey(
        name=name,
        salt=bytes.fromhex(found[1]),
        digest=bytes.fromhex(found[2]),
        created=created,
        expires=expires,
        rate=rate,
    )


def _moment(block: Block, key: str) -> datetime | None:
    """A time with its zone; one without counts as UTC."""
    text = block.text(key)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        what = f"{key} of a key is no time."
        block.findings.add("F005", block.at(key), what, "Write a time such as 2027-01-31T00:00:00Z.")
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _count(block: Block, key: str) -> int | None:
    number = block.number(key)
    if number is None:
        return None
    if number < 1 or number != int(number):
        what = f"{key} of a key is {number:g}."
        block.findings.add("F005", block.at(key), what, "Write a whole number of at least 1.")
        return None
    return int(number)


def _key_data(key: ServeKey) -> dict[str, Any]:
    data: dict[str, Any] = {"name": key.name, "hash": f"sha256:{key.salt.hex()}:{key.digest.hex()}"}
    for name, moment in (("created", key.created), ("expires", key.expires)):
        if moment is not None:
            data[name] = moment.isoformat()
    limits = {"requests_per_minute": key.rate.requests_per_minute, "concurrent": key.rate.concurrent}
    return data | {name: number for name, number in limits.items() if number is not None}
