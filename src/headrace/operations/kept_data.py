"""The files of data as the store keeps them: small ones as they are, large ones and folders in pieces; and back."""

from __future__ import annotations

import glob
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

from headrace.domain.dataset import Dataset
from headrace.domain.version import KeptPieces
from headrace.errors import DefinitionError
from headrace.formats.data_choice import chosen_digest, split_choice
from headrace.formats.lines import dataset_files, read_dataset
from headrace.operations.new_files import cannot_write
from headrace.operations.versions import VERSIONS_FOLDER
from headrace.operations.workspace import Workspace
from headrace.store.base import RunStore

MOST_DATA_BYTES = 1024 * 1024 * 1024
"""The largest data that is kept with its version, all files together."""

SMALL_BYTES = 1024 * 1024
"""The largest file that is kept as one value."""

_PIECE_BYTES = 4 * 1024 * 1024
_SINGLE = "data"


def keep_files(store: RunStore, path: Path, dataset: Dataset) -> bytes | KeptPieces | None:
    """What the store keeps of data: the bytes of a small file; pieces, which are kept by then; or nothing.

    Nothing is kept of more than :data:`MOST_DATA_BYTES`, of what can be read once only, and of what is not any more
    what was read.

    Args:
        store: Where pieces go.
        path: Of the data, with the choice of lines, which does not matter: files are kept whole.
        dataset: What was read there.

    Raises:
        StateError: The store failed.
    """
    whole, choice = split_choice(path)
    try:
        files = dataset_files(whole)
        size = sum(file.stat().st_size for _, file in files)
        if not files or size > MOST_DATA_BYTES:
            return None
        if not files[0][0] and size <= SMALL_BYTES:
            small = whole.read_bytes()
            digest = sha256(small).hexdigest()
            return small if chosen_digest(digest, choice) == dataset.digest else None
        content, digest = _digests(files)
        if chosen_digest(digest, choice) != dataset.digest:
            return None
        return store.keep_pieces(content, _pieces(files))
    except (DefinitionError, OSError):  # gone or changed since it was read, of which the run will speak
        return None


def write_kept(store: RunStore, content: str, target: Path) -> bool:
    """Write what the store keeps of data: a file, or the folder of a folder or a pattern.

    Args:
        store: Where it is kept.
        content: As a version of data has it.
        target: The file or the folder; what is there is replaced.

    Returns:
        Whether it is whole; otherwise nothing is written.

    Raises:
        StateError: S808 when it cannot be written; the store failed.
    """
    unfinished = target.with_name(f".{target.name}.{token_hex(4)}")
    try:
        unfinished.mkdir(parents=True)
        names = _write_files(unfinished, _kept_pieces(store, content))
        written = [(name, unfinished / (name or _SINGLE)) for name in names]
        if not written or _digests(written)[0] != content:
            return False
        _replace(unfinished if names[0] else written[0][1], target)
    except OSError as error:
        raise cannot_write(target, error) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return True


def place_data(
    workspace: Workspace, content: str, path: Path, digest: str, shown: str | None = None
) -> Dataset | None:
    """Kept data, read from below ``.headrace/versions``, where it is written unless it is there already.

    Args:
        workspace: For its store and its folder.
        content: As a version of data has it.
        path: Where the data was, with the choice of lines.
        digest: Of the chosen lines.
        shown: What the data is called in the places of its lines; default: the path that it is read from.

    Returns:
        The lines of the same choice; ``None`` where the data is gone from the store, or damaged there.

    Raises:
        StateError: S808 when it cannot be written; the store failed.
    """
    whole, _ = split_choice(path)
    name = "data" if glob.has_magic(whole.name) else whole.name
    folder = (workspace.state_folder / VERSIONS_FOLDER / f"data-{content[:16]}").resolve()
    placed = folder / (name + path.name.removeprefix(whole.name))
    found = read_unchanged(placed, digest, shown)
    if found is None and write_kept(workspace.store, content, folder / name):
        found = read_unchanged(placed, digest, shown)
    return found


def read_unchanged(path: Path, digest: str | None, shown: str | None = None) -> Dataset | None:
    """Data that has a digest; ``None`` where it is gone, or holds something else by now.

    Args:
        path: Where it is, with the choice of lines.
        digest: Of the chosen lines.
        shown: What it is called in the places of its lines.
    """
    try:
        dataset = read_dataset(path, shown)
    except DefinitionError:  # gone, or changed into something that cannot be read
        return None
    return dataset if dataset.digest == digest else None


def first_bytes(store: RunStore, content: str) -> bytes | None:
    """The beginning of the first file, at least :data:`SMALL_BYTES` of a larger one; ``None`` where it is lost."""
    return next((data for _, data in _kept_pieces(store, content)), None)


def _kept_pieces(store: RunStore, content: str) -> Iterator[tuple[str, bytes | None]]:
    small = store.read_file(content)
    if small is not None:
        yield "", small if sha256(small).hexdigest() == content else None
    else:
        yield from store.read_pieces(content)


def _digests(files: Sequence[tuple[str, Path]]) -> tuple[str, str]:
    """What the files are known by, and SHA-256 over all of them one after the other."""
    whole, each = sha256(), []
    for name, file in files:
        own = sha256()
        for piece in _file_pieces(file):
            own.update(piece)
            whole.update(piece)
        each.append((name, own.hexdigest()))
    return _content_id(each), whole.hexdigest()


def _content_id(files: Sequence[tuple[str, str]]) -> str:
    """SHA-256 of a file by itself; of those of a folder that of their names and SHA-256."""
    if not files[0][0]:
        return files[0][1]
    return sha256(json.dumps(files).encode()).hexdigest()


def _pieces(files: Iterable[tuple[str, Path]]) -> Iterator[tuple[str, bytes]]:
    for name, file in files:
        for piece in _file_pieces(file):
            yield name, piece


def _file_pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        yield stream.read(_PIECE_BYTES)
        while piece := stream.read(_PIECE_BYTES):
            yield piece


def _write_files(folder: Path, pieces: Iterable[tuple[str, bytes | None]]) -> list[str]:
    """Write each file into a folder, out of which no name leads; their names, none where a piece is lost."""
    names: dict[str, None] = {}
    for name, data in pieces:
        file = folder / (name or _SINGLE)
        if data is None or not file.resolve().is_relative_to(folder.resolve()):
            return []
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab" if name in names else "wb") as stream:
            stream.write(data)
        names[name] = None
    return list(names)


def _replace(made: Path, target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    made.replace(target)
