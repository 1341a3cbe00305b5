"""Archives and wheels: the same bytes for the same files, readable by those who install them."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

from headrace.formats.archives import wheel_bytes, wheel_name, zip_bytes

FILES = {"b/start.sh": b"#!/bin/sh\n", "a.txt": "é".encode()}


def test_an_archive_does_not_depend_on_the_order_or_the_time() -> None:
    data = zip_bytes(FILES)
    assert data == zip_bytes(dict(reversed(FILES.items())))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["a.txt", "b/start.sh"]
        assert {item.date_time for item in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert [item.external_attr >> 16 & 0o777 for item in archive.infolist()] == [0o644, 0o755]
        assert archive.read("a.txt") == "é".encode()


def test_pip_installs_a_wheel(tmp_path: Path) -> None:
    data = wheel_bytes(
        "my-flow", "0+abc", {"my_flow/__init__.py": b"x = 1\n"}, {"Requires-Dist": ["one", "two>=2"]}
    )
    path = tmp_path / wheel_name("my-flow", "0+abc")
    path.write_bytes(data)
    assert path.name == "my_flow-0+abc-py3-none-any.whl"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    subprocess.run([*command, str(tmp_path / "site"), str(path)], check=True, capture_output=True)
    assert (tmp_path / "site/my_flow/__init__.py").read_bytes() == b"x = 1\n"
    metadata = (tmp_path / "site/my_flow-0+abc.dist-info/METADATA").read_text()
    assert metadata.splitlines()[1:] == [
        "Name: my-flow", "Version: 0+abc", "Requires-Dist: one", "Requires-Dist: two>=2",
    ]  # fmt: skip
