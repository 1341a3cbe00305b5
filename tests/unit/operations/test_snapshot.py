from __future__ import annotations

from pathlib import Path

from headrace.formats.flow_file import load_flow
from headrace.operations.snapshot import copy_flow

FILES = {
    "flow.dag.yaml": "nodes: []\r\n",
    ".gitignore": "secret.txt\n",
    ".amlignore": "*.tmp\nscratch/\n",
    ".promptflow/flow.tools.json": "{}",
    "secret.txt": "",
    "sub/.hidden": "",
    # none of these is copied
    "draft.tmp": "",
    "sub/draft.tmp": "",
    "scratch/notes.txt": "",
    ".git/config": "",
    ".runs/a": "",
    ".headrace/headrace.sqlite": "",
    "sub/__pycache__/a.pyc": "",
    "env/pyvenv.cfg": "",
}


def test_a_copy_holds_what_prompt_flow_copies(tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / "flow" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "flow" / name).write_bytes(text.encode())
    (tmp_path / "flow" / "link").symlink_to(tmp_path / "flow" / "sub")
    copy_flow(load_flow(tmp_path / "flow"), tmp_path / "copy")
    copied = {
        file.relative_to(tmp_path / "copy").as_posix(): file.read_bytes().decode()
        for file in (tmp_path / "copy").rglob("*")
        if file.is_file()
    }
    assert copied == dict(list(FILES.items())[:6])
