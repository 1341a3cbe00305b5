"""Reading and writing small files, under the names of ``promptflow._utils``."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import IO, Any

from headrace.compat.exceptions import UserErrorException
from headrace.formats.lines import read_dataset
from headrace.formats.positions import dump_yaml as write_yaml
from headrace.formats.positions import load_yaml as parse_yaml


class AttrDict(dict[str, Any]):
    """A mapping whose items are attributes as well."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            message = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(message) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value


def load_yaml(source: str | os.PathLike[str] | IO[str] | None) -> Any:
    """The data of a YAML file, given by its path or open; an empty mapping for ``None`` and for an empty file.

    Raises:
        UserErrorException: There is no such file.
        DefinitionError: F002 or F003 when it is no YAML.
    """
    if source is None:
        return {}
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if not path.is_file():
            message = f"No such file or directory: {path}"
            raise UserErrorException(message)
        return load_yaml_string(path.read_text(encoding="utf-8"), str(path))
    return load_yaml_string(source.read(), getattr(source, "name", "<text>"))


def load_yaml_string(yaml_string: str, name: str = "<text>") -> Any:
    """The data of a YAML text, by the rules of YAML 1.2."""
    data, _ = parse_yaml(yaml_string, name)
    return {} if data is None else data


def dump_yaml(data: Any, stream: IO[str] | None = None, **_: Any) -> str | None:
    """Write data as YAML: to the stream, or as the text that is returned."""
    text = write_yaml(data)
    if stream is None:
        return text
    stream.write(text)
    return None


def load_json(file_path: str | os.PathLike[str]) -> Any:
    """The data of a JSON file."""
    return json.loads(Path(file_path).read_text(encoding="utf-8"))


def load_list_from_jsonl(file: str | os.PathLike[str]) -> list[Any]:
    """One value for each line of a JSON lines file."""
    return [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines() if line.strip()]


def dump_list_to_jsonl(file_path: str | os.PathLike[str], list_data: Iterable[Mapping[str, Any]]) -> None:
    """Write one line for each mapping."""
    text = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in list_data)
    Path(file_path).write_text(text, encoding="utf-8")


def camel_to_snake(text: str) -> str:
    """``FooBar`` to ``foo_bar``."""
    parted = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", text)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", parted).lower()


def snake_to_camel(name: str) -> str:
    """``foo_bar`` to ``FooBar``."""
    return re.sub(r"(?:^|_)([a-z])", lambda found: found[1].upper(), name)


@contextmanager
def inject_sys_path(path: str | os.PathLike[str]) -> Iterator[None]:
    """Import from this folder first, during the block."""
    before = list(sys.path)
    sys.path.insert(0, str(path))
    try:
        yield
    finally:
        sys.path[:] = before


@contextmanager
def change_working_dir(path: str | os.PathLike[str], mkdir: bool = True) -> Iterator[None]:  # noqa: FBT001, FBT002
    """Work in this folder during the block; it is made where it does not exist."""
    if mkdir:
        Path(path).mkdir(parents=True, exist_ok=True)
    with chdir(path):
        yield


def load_data(local_path: str | os.PathLike[str], **_: Any) -> list[dict[str, Any]]:
    """The lines of a data file or folder, each a mapping of its columns.

    Raises:
        DefinitionError: D401, D402 or D405 for data that cannot be read.
    """
    return [dict(line.columns) for line in read_dataset(Path(local_path)).lines]
