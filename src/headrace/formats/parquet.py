"""Parquet files ⇄ rows. Needs the extra ``parquet``, which brings pyarrow; reached by name only.

Numbers, texts, booleans, lists, structs and nulls keep their types. What JSON has no form for (dates, times, decimals)
becomes its text, bytes become text as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from headrace.errors import DefinitionError, Problem, UsageError
from headrace.source import Span, file_span

_BATCH_ROWS = 1024
_SCALARS = (str, int, float, bool, type(None))


def read_parquet(stream: BinaryIO, file: str) -> Iterator[tuple[dict[str, Any], Span] | Problem]:
    """The rows of a Parquet file; they have the place of the file, because there are no lines in it.

    Args:
        stream: The file, at its beginning.
        file: How the user named it.

    Raises:
        DefinitionError: C505 when pyarrow is not installed.
    """
    span = file_span(file)
    try:
        parquet = import_module("pyarrow.parquet")
        errors = import_module("pyarrow").ArrowException
    except ImportError as error:
        raise DefinitionError(
            Problem(
                code="C505",
                what="Parquet files are read with pyarrow, which is not installed.",
                span=span,
                fix="Install it with: pip install 'headrace[parquet]'. Or save the data as .jsonl.",
            )
        ) from error
    try:
        for batch in parquet.ParquetFile(stream).iter_batches(_BATCH_ROWS):
            for row in batch.to_pylist():
                yield {name: _plain(value) for name, value in row.items()}, span
    except (errors, OSError, ValueError) as error:
        what = f"This is not a Parquet file that pyarrow can read: {type(error).__name__}."
        yield Problem(code="D401", what=what, span=span, fix="Write the file again.")


def find_writer() -> tuple[Any, Any]:
    """The modules that write Parquet.

    Raises:
        UsageError: C505 when pyarrow is not installed.
    """
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise UsageError(
            Problem(
                code="C505",
                what="Parquet files are written with pyarrow, which is not installed.",
                fix="Install it with: pip install 'headrace[parquet]'. Or name a .csv file.",
            )
        ) from error


def write_parquet(path: Path, columns: Mapping[str, Sequence[Any]], types: Mapping[str, str]) -> None:
    """Write columns of equal length as a Parquet file, over one that is there.

    Args:
        path: The file.
        columns: Name to values; ``None`` is a null.
        types: Names of pyarrow's types by column; text where nothing is said.

    Raises:
        UsageError: C505 when pyarrow is not installed.
        OSError: The file cannot be written.
    """
    arrow, parquet = find_writer()
    schema = arrow.schema([(name, arrow.type_for_alias(types.get(name, "string"))) for name in columns])
    whole = {
        name: values if name in types else [_whole(value) for value in values]
        for name, values in columns.items()
    }
    parquet.write_table(arrow.table(whole, schema=schema), path)


def _whole(value: Any) -> Any:
    """A text as a file can hold it: half of an emoji becomes its escape."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _plain(value: Any) -> Any:
    if isinstance(value, _SCALARS):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
