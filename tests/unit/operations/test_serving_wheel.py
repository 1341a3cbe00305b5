"""What an image holds and does not hold, and that its start command serves from files that nobody can change."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support.ports import held_port

import headrace
from headrace.config import load_settings
from headrace.operations import serving_wheel as wheels
from headrace.operations.build_flow import BuildRequest, build_flow
from headrace.operations.serving_wheel import START, WHEEL, serving_files, serving_modules, serving_wheel
from headrace.operations.workspace import open_workspace

SOURCE = Path(headrace.__file__).parent
FLOW = {
    "flow/flow.dag.yaml": """\
inputs: {q: {type: string}}
outputs: {o: {type: string, reference: "${say.output}"}}
nodes:
- {name: say, type: python, source: {type: code, path: say.py}, inputs: {text: "${inputs.q}", store: store}}
""",
    "flow/say.py": """\
from promptflow.connections import CustomConnection
from promptflow.core import Prompty, tool

@tool
def say(text: str, store: CustomConnection) -> str:
    return text.upper() + store.secrets["token"] + store.configs["url"]
""",
    ".headrace/connections/store.yaml": "type: custom\nconfigs: {url: '${env:PLACE}'}\nsecrets: {token: t0}\n",
}

KEY = "0123456789abcdef0123456789abcdef0123456789abcdef"
ENDED = (0, -signal.SIGTERM)
"""How servers end: in order, and perhaps then by the signal that asked for it."""


def test_an_image_holds_no_statistics_no_reports_no_command_line_and_no_management() -> None:
    files = serving_files()
    assert not [path for path in files if path.startswith(("evaluation/", "cli/"))]
    strange = re.compile(
        r"(^|[/_])(comparison|compare|gate|race|judge|label|verdict|report|board|plan|track|build|starters|certify)([_./]|$)"
    )
    named = [path for path in files if strange.search(path)]
    definitions = {"domain/comparison.py", "domain/gate.py", "domain/label.py", "domain/race.py"}
    assert set(named) <= {*definitions, "planning/plan.py", "planning/__init__.py"}, named
    text = "".join((SOURCE / path).read_text(encoding="utf-8") for path in files)
    assert not re.search(r"azure\.mgmt|azure\.ai\.ml|import (click|rich)\b|from (click|rich)\b", text)


def test_what_serving_reaches_is_all_there() -> None:
    modules = serving_modules(SOURCE)
    assert {
        START,
        "headrace.serving.app",
        "headrace.providers.openai_wire",
        "headrace.sdk.prompty",
    } <= modules.keys()
    assert {"py.typed", "compat/child_path/promptflow/__init__.py", "store/queries.sql"} <= set(
        serving_files()
    )
    for name, path in modules.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "headrace":
                inner = {f"{node.module}.{item.name}" for item in node.names}
                lost = {item for item in inner if is_module(item)} - modules.keys()
                assert node.module in modules, f"{name} imports {node.module}"
                assert not lost, f"{name} imports {lost}"


def is_module(name: str) -> bool:
    path = SOURCE.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


def test_a_module_that_needs_what_is_left_out_is_left_out_itself(tmp_path: Path) -> None:
    root = tmp_path / "headrace"
    write(
        root,
        {
            "__init__.py": "",
            "evaluation/__init__.py": "",
            "serving/__init__.py": "from headrace import good\nBY_NAME = ('headrace.late:run', 'headrace.near:run')\n",
            "good.py": "from headrace.other import (\n    thing,\n)\n",
            "other/__init__.py": "",
            "other/thing.py": "",
            "near.py": "import headrace.far\n",
            "far.py": "from headrace.evaluation import x\n",
            "late.py": "",
            "alone.py": "",
        },
    )
    assert [*serving_modules(root)] == [
        "headrace", "headrace.good", "headrace.late", "headrace.other", "headrace.other.thing", "headrace.serving",
    ]  # fmt: skip


def test_the_wheel_asks_for_the_packages_of_serving_and_its_extras() -> None:
    names = requirements(serving_wheel(()))
    assert names == {
        "httptools",
        "jinja2",
        "openai",
        "opentelemetry-sdk",
        "python-dotenv",
        "pyyaml",
        "starlette",
        "uvicorn",
        "uvloop",
    }
    assert requirements(serving_wheel(("azure",))) - names == {"azure-identity", "azure-keyvault-secrets"}


def requirements(data: bytes) -> set[str]:
    lines = re.findall(rb"^Requires-Dist: ([A-Za-z0-9-]+)", data, re.MULTILINE)
    return {line.decode() for line in lines}


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, FLOW)
    return tmp_path


def build(folder: Path, kind: str) -> Path:
    settings = load_settings({"HOME": str(folder / "home")})
    with chdir(folder), open_workspace(settings, folder) as workspace:
        build_flow(workspace, BuildRequest(source=Path("flow"), output=Path("out"), kind=kind))
    return folder / "out"


def installed(folder: Path, *archives: Path) -> Path:
    """Where the wheels are installed: all that a process with it finds of headrace."""
    target = folder / "site"
    for archive in archives:
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(target)
    return target


@pytest.fixture
def port() -> Iterator[int]:
    with held_port() as number:
        yield number


@contextmanager
def serving(command: list[str], site: Path, variables: Mapping[str, str], port: int) -> Iterator[str]:
    """A server that runs as an image would run it; gives the base URL."""
    programs = site.parent / "bin"
    programs.mkdir()
    (programs / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (programs / "python").chmod(0o755)
    environment = {
        "PATH": f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "PYTHONPATH": str(site),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(site.parent / "home"),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        **variables,
    }
    running = subprocess.Popen(command, env=environment, cwd="/", stderr=subprocess.PIPE, text=True)
    base = f"http://127.0.0.1:{port}"
    try:
        ends_at = time.monotonic() + 60
        while running.poll() is None and time.monotonic() < ends_at:
            time.sleep(0.05)
            with suppress(OSError), urllib.request.urlopen(f"{base}/healthz", timeout=5):
                break
        assert running.poll() is None, running.communicate(timeout=30)[1]
        yield base
    finally:
        running.send_signal(signal.SIGTERM)
        _, err = running.communicate(timeout=30)
    assert err == ""
    assert running.returncode in ENDED


def score(base: str, key: str = "") -> tuple[Any, str]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(f"{base}/score", b'{"q": "hi"}', headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer), answer.headers["x-headrace-flow-version"]


def start_command(out: Path) -> list[str]:
    """What the Dockerfile starts."""
    line = (out / "Dockerfile").read_text().splitlines()[-1]
    command: list[str] = json.loads(line.removeprefix("CMD "))
    return command


def test_the_image_serves_from_a_file_system_that_is_read_only(folder: Path, port: int) -> None:
    out = build(folder, "docker")
    site = installed(folder, out / WHEEL)
    (folder / "mnt").mkdir()
    (folder / "mnt/store-token").write_text("-mounted-\n")
    (folder / "mnt/headrace-serve-key").write_text(f"{KEY}\n")
    inner = " ".join(["cd", str(out), "&&", "exec", *start_command(out)])
    command = ["sh", "-c", inner]
    if can_mount():
        mounted = f"mount --bind {folder} {folder} && mount -o remount,ro,bind {folder} && ! touch {out}/x 2>/dev/null"
        command = ["unshare", "--mount", "sh", "-c", f"{mounted} && {inner}"]
    version = json.loads((out / "headrace-version.json").read_text())["version"]
    variables = {
        "PLACE": "here",
        "HOST": "0.0.0.0",
        "HEADRACE_SECRETS": str(folder / "mnt"),
        "FLOW_PATH": str(out / "flow"),
    }
    with serving(command, site, variables, port) as base:
        assert score(base, KEY) == ({"o": "HI-mounted-here"}, version)
        with pytest.raises(urllib.error.HTTPError) as caught:
            score(base)
        caught.value.close()
        assert caught.value.code == 401
        with urllib.request.urlopen(f"{base}/readyz", timeout=30) as answer:
            assert answer.status == 200
    assert not [*out.rglob("__pycache__")]


def can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0


def test_an_archive_serves_with_uvicorn_alone(folder: Path, port: int) -> None:
    out = build(folder, "zip")
    with zipfile.ZipFile(out / "headrace-flow-flow.zip") as archive:
        archive.extractall(folder / "app")
    site = installed(folder, folder / "app" / WHEEL)
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "--app-dir",
        str(folder / "app"),
        "--factory",
        "app:create_app",
    ]
    options = ["--port", str(port), "--log-level", "warning"]
    variables = {"PLACE": "there", "STORE_TOKEN": "-given-"}
    with serving([*command, *options], site, variables, port) as base:
        assert score(base)[0] == {"o": "HI-given-there"}


def test_a_wheel_serves_with_uvicorn_alone(folder: Path, port: int) -> None:
    out = build(folder, "wheel")
    site = installed(folder, out / WHEEL, *out.glob("headrace_flow_flow-*.whl"))
    command = [sys.executable, "-m", "uvicorn", "--factory", "headrace_flow_flow:create_app"]
    options = ["--port", str(port), "--log-level", "warning"]
    variables = {"PLACE": "there", "STORE_TOKEN": "-given-"}
    with serving([*command, *options], site, variables, port) as base:
        assert score(base)[0] == {"o": "HI-given-there"}
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{base}/nothing", timeout=30)
        caught.value.close()


def test_a_wheel_of_headrace_that_is_not_installed_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_there(_: object) -> tuple[str, ...]:
        raise wheels.PackageNotFoundError

    monkeypatch.setattr(wheels, "own_requirements", not_there)
    with pytest.raises(wheels.UsageError) as caught:
        serving_wheel(())
    assert caught.value.problems[0].code == "C505"
