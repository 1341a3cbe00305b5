"""Zip archives and wheels that are the same bytes whenever and wherever they are made of the same files."""

from __future__ import annotations

import io
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256

_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest that an archive can say."""

_FILE_MODE, _PROGRAM_MODE = 0o100644, 0o100755


def zip_bytes(files: Mapping[str, bytes]) -> bytes:
    """An archive of files, in order of path; those that begin with ``#!`` may be run.

    Nothing is compressed: packed bytes differ between versions of the compressor.

    Args:
        files: Path, parts separated by ``/``, to content.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path, _TIME)
            entry.create_system = 3  # the modes below are those of Unix
            entry.external_attr = (_PROGRAM_MODE if files[path].startswith(b"#!") else _FILE_MODE) << 16
            archive.writestr(entry, files[path])
    return stream.getvalue()


def wheel_name(distribution: str, version: str) -> str:
    """File name of a wheel of plain Python."""
    return f"{_escaped(distribution)}-{version}-py3-none-any.whl"


def wheel_bytes(
    distribution: str, version: str, files: Mapping[str, bytes], metadata: Mapping[str, object]
) -> bytes:
    """A wheel of plain Python.

    Args:
        distribution: Name to install it by.
        version: Its version.
        files: What to install: path from the folder of packages to content.
        metadata: Further fields; a list is a field that is there several times.
    """
    folder = f"{_escaped(distribution)}-{version}.dist-info"
    head = {"Metadata-Version": "2.1", "Name": distribution, "Version": version, **metadata}
    lines = [
        f"{name}: {text}"
        for name, value in head.items()
        for text in (value if isinstance(value, list) else [value])
    ]
    own = {
        f"{folder}/METADATA": "\n".join(lines).encode() + b"\n",
        f"{folder}/WHEEL": b"Wheel-Version: 1.0\nGenerator: headrace\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    content = {**files, **own}
    record = [f"{path},sha256={_digest(content[path])},{len(content[path])}" for path in sorted(content)]
    content[f"{folder}/RECORD"] = "\n".join([*record, f"{folder}/RECORD,,"]).encode() + b"\n"
    return zip_bytes(content)


def _escaped(distribution: str) -> str:
    return distribution.replace("-", "_")


def _digest(data: bytes) -> str:
    return urlsafe_b64encode(sha256(data).digest()).rstrip(b"=").decode()
