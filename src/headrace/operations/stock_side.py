"""The other side of a parity certificate: runs one flow's lines through an installed ``promptflow``.

Executed as a script by the interpreter that has promptflow, so it imports the standard library and promptflow only,
and promptflow by name. The job comes as JSON on standard input, because it holds secrets; results are appended to a
file, one JSON object per line and repeat, as soon as they are there::

    {"flow": "path", "lines": [{...}], "repeats": 3, "connections": [{"class": ..., ...}], "results": "path"}
    {"line": 0, "repeat": 0, "outputs": {...}}            or  {"line": 0, "repeat": 0, "error": "ValueError: ..."}
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import sys
from importlib import import_module
from typing import Any


def main() -> None:
    """Read the job, run it, leave the results."""
    job = json.load(sys.stdin)
    _keep_secrets_in_memory()
    client = import_module("promptflow.client").PFClient()
    for fields in job["connections"]:
        client.connections.create_or_update(_connection(fields))
    with open(job["results"], "a", encoding="utf-8") as results:  # noqa: PTH123 - one file, kept open
        for number, line in enumerate(job["lines"]):
            for repeat in range(job["repeats"]):
                outcome = {"line": number, "repeat": repeat, **_run(client, job["flow"], line)}
                results.write(json.dumps(outcome, default=str) + "\n")
                results.flush()


def _keep_secrets_in_memory() -> None:
    """A keyring that forgets: machines without a desktop have none, and nothing of this is to be kept."""
    backend = import_module("keyring.backend").KeyringBackend
    kept: dict[tuple[str, str], str] = {}
    methods = {
        "priority": 10,
        "get_password": lambda _, service, user: kept.get((service, user)),
        "set_password": lambda _, service, user, password: kept.update({(service, user): password}),
        "delete_password": lambda _, service, user: kept.pop((service, user), None),
    }
    import_module("keyring").set_keyring(type("MemoryKeyring", (backend,), methods)())


def _connection(fields: dict[str, Any]) -> Any:
    classes = import_module("promptflow.connections")
    values = {key: value for key, value in fields.items() if key != "class"}
    return getattr(classes, fields["class"])(**values)


def _run(client: Any, flow: str, line: dict[str, Any]) -> dict[str, Any]:
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return {"outputs": _plain(client.test(flow=flow, inputs=line))}
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it raises is the result
        return {"error": f"{type(error).__name__}: {error}"}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if inspect.isasyncgen(value):
        return asyncio.run(_joined(value))
    if inspect.isgenerator(value) or type(value).__name__.startswith("Traced"):
        return "".join(str(item) for item in value)
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, bytes):
        return str(value)
    return value


async def _joined(items: Any) -> str:
    return "".join([str(item) async for item in items])


if __name__ == "__main__":
    main()
