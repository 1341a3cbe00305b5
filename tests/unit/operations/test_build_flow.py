"""A flow packed for a container: what is in the folder, and that its start command serves it."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import chdir
from pathlib import Path

import pytest
from tests.support.tool_nodes import serving_names

from headrace.config import load_settings
from headrace.errors import HeadraceError
from headrace.formats.connection_file import load_connection
from headrace.formats.flow_file import load_flow
from headrace.operations.build_flow import BuiltFlow, build_flow
from headrace.operations.workspace import open_workspace

ROOT = Path(__file__).parents[3]
FILES = {
    "shared/words.py": "def shout(text):\n    return text.upper()\n",
    "flow/flow.dag.yaml": """\
additional_includes: [../shared/words.py]
environment_variables: {PLACE: "${store.url}"}
environment: {python_requirements_txt: needed.txt, setup_sh: setup.sh}
inputs: {q: {type: string}}
outputs: {o: {type: string, reference: "${say.output}"}}
nodes:
- {name: say, use_variants: true}
- {name: ask, type: llm, source: {type: code, path: ask.jinja2}, connection: my model, api: chat, inputs: {deployment_name: d, q: "${inputs.q}"}, activate: {when: "${inputs.q}", is: never}}
node_variants:
  say:
    default_variant_id: loud
    variants:
      loud: {node: {type: python, source: {type: code, path: loud.py}, inputs: {text: "${inputs.q}", store: store}}}
      soft: {node: {type: prompt, source: {type: code, path: soft.jinja2}, inputs: {q: "${inputs.q}"}}}
""",
    "flow/loud.py": """\
import os
from promptflow.connections import CustomConnection
from promptflow.core import tool
from words import shout

@tool
def loud(text: str, store: CustomConnection) -> str:
    return shout(text) + store.secrets["token"] + os.environ["PLACE"]
""",
    "flow/soft.jinja2": "{{q}}...",
    "flow/ask.jinja2": "user:\n{{q}}",
    "flow/needed.txt": "requests\n",
    "flow/setup.sh": "true\n",
    "flow/.env": "SECRET=1\n",
    "flow/inner/local.env": "SECRET=2\n",
    ".headrace/connections/store.yaml": "type: custom\nconfigs: {url: here}\nsecrets: {token: t0}\n",
    ".headrace/connections/my model.yaml": "type: azure_open_ai\napi_base: https://a.example\napi_key: k\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    write(tmp_path, FILES)
    with chdir(tmp_path), serving_names(tmp_path):
        yield tmp_path


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def build(folder: Path, source: str = "flow", output: str = "out", **options: object) -> BuiltFlow:
    with open_workspace(load_settings({"HOME": str(folder / "home")}), folder) as workspace:
        return build_flow(workspace, Path(source), Path(output), **options)  # type: ignore[arg-type]


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_folder_holds_the_flow_its_connections_and_what_serves_it(folder: Path) -> None:
    built = build(folder)
    assert names(folder / "out") == {
        "Dockerfile", "README.md", "settings.json", "start.sh", "connections/store.yaml", "connections/my model.yaml",
        "flow/flow.dag.yaml", "flow/.promptflow/flow.tools.json", "flow/loud.py", "flow/words.py", "flow/soft.jinja2",
        "flow/ask.jinja2", "flow/needed.txt", "flow/setup.sh",
    }  # fmt: skip
    assert built.left_out == (".env", "inner/local.env")
    assert built.settings == ("STORE_TOKEN", "MY_MODEL_API_KEY")
    settings = json.loads((folder / "out/settings.json").read_text())
    assert settings == {"STORE_TOKEN": "", "MY_MODEL_API_KEY": ""}
    store = load_connection(folder / "out/connections/store.yaml")
    assert (store.configs, store.secrets["token"].variable) == ({"url": "here"}, "STORE_TOKEN")
    tools = json.loads((folder / "out/flow/.promptflow/flow.tools.json").read_text())
    assert set(tools["code"]) == {"loud.py", "ask.jinja2"}
    assert "t0" not in "".join(
        path.read_text() for path in (folder / "out").rglob("*") if path.is_file() and path.suffix != ".pyc"
    )


def test_the_image_is_made_as_the_flow_asks(folder: Path) -> None:
    build(folder)
    docker = (folder / "out/Dockerfile").read_text()
    for line in ("COPY ./flow/needed.txt", "RUN sh ./flow/setup.sh", 'CMD ["sh", "./start.sh"]', "USER app"):
        assert line in docker
    assert "headrace[serve]==" in docker
    edited = FILES["flow/flow.dag.yaml"].replace("setup_sh: setup.sh", "image: 'base:1', conda_file: env.yml")
    write(folder, {"flow/flow.dag.yaml": edited})
    (folder / ".headrace/connections/my model.yaml").write_text(
        "type: azure_open_ai\napi_base: https://a.example\n"
    )
    build(folder)
    docker = (folder / "out/Dockerfile").read_text()
    assert "FROM base:1\n" in docker
    assert "headrace[serve,azure]==" in docker
    assert "conda_file of the flow is not read" in docker


def test_variants_and_includes_are_settled(folder: Path) -> None:
    build(folder)
    flow = load_flow(folder / "out/flow")
    assert (flow.additional_includes, flow.node_variants) == ((), {})
    assert [node.source.path for node in flow.nodes] == ["loud.py", "ask.jinja2"]
    build(folder, variant="${say.soft}")
    assert load_flow(folder / "out/flow").nodes[0].source.path == "soft.jinja2"
    assert (folder / "out/connections/store.yaml").exists()  # a variable of the flow names it


def test_only_the_flow(folder: Path) -> None:
    build(folder, is_flow_only=True)
    assert "flow.dag.yaml" in names(folder / "out")
    assert "Dockerfile" not in names(folder / "out")


def test_a_flow_without_variants_is_copied_as_it_is(folder: Path) -> None:
    text = "# a comment\nnodes:\n- {name: a, type: prompt, source: {type: code, path: soft.jinja2}}\n"
    write(folder, {"flow/flow.dag.yaml": text})
    build(folder)
    assert (folder / "out/flow/flow.dag.yaml").read_text() == text
    assert json.loads((folder / "out/settings.json").read_text()) == {}


def test_a_prompty_is_packed_as_well(folder: Path) -> None:
    prompty = "---\nmodel:\n  configuration: {type: openai, model: m}\n  parameters: {max_tokens: 1}\n---\nuser:\nhi\n"
    write(folder, {"single/a.prompty": prompty})
    build(folder, "single")
    assert names(folder / "out/flow") == {"a.prompty"}


@pytest.mark.parametrize(
    ("change", "options", "code"),
    [
        ({"out/mine.txt": ""}, {}, "S806"),
        ({"out": ""}, {}, "S806"),
        ({"flow/loud.py": "x ="}, {}, "T206"),
        ({".headrace/connections/store.yaml": "type: nothing\n"}, {}, "C502"),
        ({}, {"variant": "${say.no}"}, "V301"),
        ({}, {"variant": "say"}, "V302"),
    ],
)
def test_what_cannot_be_packed_leaves_nothing_behind(
    folder: Path, change: Mapping[str, str], options: Mapping[str, str], code: str
) -> None:
    write(folder, change)
    with pytest.raises(HeadraceError) as caught:
        build(folder, **options)
    assert caught.value.problems[0].code == code
    assert not (folder / "out" / "flow").exists()


def test_a_secret_that_is_not_set_here_is_no_obstacle(folder: Path) -> None:
    write(
        folder, {".headrace/connections/store.yaml": "type: custom\nsecrets: {token: '${env:NOWHERE_SET}'}\n"}
    )
    assert "STORE_TOKEN" in build(folder).settings


def test_the_start_command_serves_the_flow_with_its_connections(folder: Path) -> None:
    build(folder)
    program = folder / "bin" / "headrace"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m headrace "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    environment = {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "HOME": str(folder / "home"),
        "HOST": "127.0.0.1",
        "PORT": "0",
        "STORE_TOKEN": "-given-",
    }
    running = subprocess.Popen(
        ["sh", "out/start.sh"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert running.stdout is not None
        said = list(iter(running.stdout.readline, "Ctrl-C stops the server.\n"))
        assert said, running.communicate(timeout=30)[1]
        request = urllib.request.Request(said[0].split()[-1], b'{"q": "hi"}')
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert json.load(answer) == {"o": "HI-given-here"}
    finally:
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=30)
    assert (running.returncode, err.strip()) == (0, "Stopped.")
