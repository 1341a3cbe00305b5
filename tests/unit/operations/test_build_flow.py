"""A flow packed for a container: what is in the folder, and that its start command serves it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import chdir
from importlib.metadata import distribution
from pathlib import Path

import pytest
from tests.support.tool_nodes import serving_names

from headrace.config import load_settings
from headrace.errors import HeadraceError
from headrace.formats.connection_file import load_connection
from headrace.formats.flow_file import load_flow
from headrace.operations.build_flow import FLOW_ONLY, FORMATS, BuildRequest, BuiltFlow, build_flow
from headrace.operations.keep_version import keep_flow_version
from headrace.operations.read_version import flow_digest, read_snapshot
from headrace.operations.serving_wheel import WHEEL
from headrace.operations.versions import move_tag
from headrace.operations.workspace import open_workspace

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
        return build_flow(workspace, BuildRequest(source=Path(source), output=Path(output), **options))  # type: ignore[arg-type]


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_folder_holds_the_flow_its_connections_and_what_serves_it(folder: Path) -> None:
    built = build(folder)
    assert names(folder / "out") == {
        "Dockerfile", ".dockerignore", "README.md", "settings.json", "start.sh", "app.py", "requirements.txt",
        "constraints.txt", "headrace-version.json", "sbom.cdx.json", WHEEL,
        "connections/store.yaml", "connections/my model.yaml",
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
    assert not [name for name, data in contents(folder / "out").items() if b"t0" in data and name != WHEEL]


def test_the_image_is_made_as_the_flow_asks(folder: Path) -> None:
    build(folder)
    docker = (folder / "out/Dockerfile").read_text()
    for line in ('RUN sh "./flow/setup.sh"', 'CMD ["sh", "./start.sh"]', "USER 10001:10001"):
        assert line in docker
    assert (folder / "out/requirements.txt").read_text() == f"./{WHEEL}\nrequests\n"
    assert "azure-identity" not in (folder / "out/constraints.txt").read_text()
    edited = FILES["flow/flow.dag.yaml"].replace("setup_sh: setup.sh", "image: 'base:1', conda_file: env.yml")
    write(folder, {"flow/flow.dag.yaml": edited})
    (folder / ".headrace/connections/my model.yaml").write_text(
        "type: azure_open_ai\napi_base: https://a.example\n"
    )
    build(folder)
    docker = (folder / "out/Dockerfile").read_text()
    assert "ARG BASE=base:1\n" in docker
    assert "azure-identity==" in (folder / "out/constraints.txt").read_text()
    assert "conda_file of the flow is not read" in docker


def test_the_dockerfile_is_one_that_builds_a_safe_image(folder: Path) -> None:
    build(folder)
    out = folder / "out"
    text = (out / "Dockerfile").read_text()
    joined = re.sub(r" *\\\n *", " ", text)
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    words = [line.partition(" ")[0] for line in lines]
    assert set(words) <= {
        "ARG",
        "FROM",
        "WORKDIR",
        "COPY",
        "RUN",
        "LABEL",
        "ENV",
        "USER",
        "EXPOSE",
        "HEALTHCHECK",
        "CMD",
    }
    assert words[:2] == ["ARG", "FROM"]
    assert words.count("FROM") == 2
    last = lines[len(words) - 1 - words[::-1].index("FROM") :]
    assert last.index("USER 10001:10001") > max(
        i for i, line in enumerate(last) if line.startswith(("RUN", "COPY"))
    )
    assert "EXPOSE 8080" in last
    allowed = [line[1:] for line in (out / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for line in lines:
        if line.startswith("COPY") and "--from" not in line:
            sources = line.split()[1:-1]
            assert all(source == "." or (source in allowed and (out / source).exists()) for source in sources)
    assert {path.name for path in out.iterdir()} - {
        *allowed,
        "Dockerfile",
        ".dockerignore",
        "README.md",
        "settings.json",
    } == set()
    assert not re.search(r"TOKEN|API_KEY", text)
    for start in ("HEALTHCHECK", "CMD"):
        command = next(line for line in last if line.startswith(start)).partition("CMD ")[2]
        assert all(isinstance(word, str) for word in json.loads(command))
    labels = next(line for line in last if line.startswith("LABEL"))
    assert re.search(r'org\.opencontainers\.image\.version="flow@[0-9a-f]{12}"', labels)


def test_variants_and_includes_are_settled(folder: Path) -> None:
    build(folder)
    flow = load_flow(folder / "out/flow")
    assert (flow.additional_includes, flow.node_variants) == ((), {})
    assert [node.source.path for node in flow.nodes] == ["loud.py", "ask.jinja2"]
    build(folder, variant="${say.soft}")
    assert load_flow(folder / "out/flow").nodes[0].source.path == "soft.jinja2"
    assert (folder / "out/connections/store.yaml").exists()  # a variable of the flow names it


def test_only_the_flow(folder: Path) -> None:
    build(folder, kind=FLOW_ONLY)
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


@pytest.mark.parametrize("kind", FORMATS)
def test_code_outside_the_folder_of_the_flow_is_refused_where_the_flow_file_says_so(
    folder: Path, kind: str
) -> None:
    """As under prompt flow, which copies the code without the flow file and then misses it."""
    files = {
        "flex/flow.flex.yaml": "entry: mod:run\ncode: ../lib\n",
        "lib/mod.py": "def run(q: str): return q\n",
    }
    write(folder, files)
    with pytest.raises(HeadraceError) as caught:
        build(folder, "flex", kind=kind)
    (problem,) = caught.value.problems
    assert (problem.code, str(problem.span)) == ("F001", "flex/flow.flex.yaml:2:7")
    assert "lies outside the folder of the flow" in problem.what
    assert not (folder / "out").exists()


def test_a_secret_that_is_not_set_here_is_no_obstacle(folder: Path) -> None:
    write(
        folder, {".headrace/connections/store.yaml": "type: custom\nsecrets: {token: '${env:NOWHERE_SET}'}\n"}
    )
    assert "STORE_TOKEN" in build(folder).settings


def test_a_version_is_packed_as_it_was_evaluated(folder: Path) -> None:
    settings = load_settings({"HOME": str(folder / "home")})
    with open_workspace(settings, folder) as workspace:
        flow = load_flow(folder / "flow")
        version = keep_flow_version(workspace, flow, read_snapshot(flow))
        move_tag(workspace, version.name, "prod")
    build(folder, output="before")
    write(folder, {"flow/soft.jinja2": "something else"})
    built = build(folder, "flow@prod")
    assert (folder / "out/flow/soft.jinja2").read_text() == "{{q}}..."
    assert built.version == f"flow@{version.digest[:12]}"
    identity = json.loads((folder / "out/headrace-version.json").read_text())
    assert (identity["digest"], identity["variants"]) == (version.digest, {"say": "loud"})
    assert identity["digest"] != identity["packed_digest"] == flow_digest(load_flow(folder / "out/flow"))
    assert build(folder, "flow@1", "again").files == built.files
    assert contents(folder / "again") == contents(folder / "out")
    assert build(folder, output="now").version != built.version


def test_the_same_version_is_the_same_bytes_and_times(folder: Path) -> None:
    for kind in FORMATS:
        first, second = Path(f"{kind}1"), Path(f"{kind}2")
        build(folder, output=str(first), kind=kind)
        os.utime("flow/loud.py", (1, 1))
        build(folder, output=str(second), kind=kind)
        assert contents(first) == contents(second)
        assert {path.stat().st_mtime for path in [*first.rglob("*"), *second.rglob("*")]} == {315532800}


def test_a_dry_run_lists_and_writes_nothing(folder: Path) -> None:
    planned = build(folder, is_dry=True)
    assert not (folder / "out").exists()
    built = build(folder)
    assert planned == built
    assert set(built.files) == names(folder / "out")
    assert all((folder / "out" / path).stat().st_size == size for path, size in built.files.items())


def test_no_secret_gets_into_any_form(folder: Path) -> None:
    canary = "c4n4ry-0123456789"
    write(
        folder,
        {
            ".headrace/connections/store.yaml": f"type: custom\nconfigs: {{url: '${{env:PLACE_URL}}', password: {canary}}}\n"
            f"secrets: {{token: {canary}}}\n",
            "flow/settings.json": json.dumps({"api_key": canary}),
            "flow/needed.txt": f"--extra-index-url https://me:{canary}@index.example/simple\nrequests\n",
            "flow/loud.py": FILES["flow/loud.py"] + f'api_key = "{canary}"\n',
            "flow/deploy.pem": canary,
            "flow/data/test.jsonl": canary,
            "flow/grade/flow.dag.yaml": f"# {canary}\n",
            "flow/.amlignore": "data/\ngrade/\nloud.py\n",
        },
    )
    settings = load_settings({"HOME": str(folder / "home"), "PLACE_URL": canary, "STORE_TOKEN": canary})
    for kind in FORMATS:
        with open_workspace(settings, folder) as workspace:
            built = build_flow(workspace, BuildRequest(source=Path("flow"), output=Path(kind), kind=kind))
        assert all(canary.encode() not in data for data in contents(folder / kind).values())
        assert built.settings == ("STORE_TOKEN", "PLACE_URL", "STORE_PASSWORD", "MY_MODEL_API_KEY")
        assert built.left_out == (".env", "deploy.pem", "inner/local.env")
        assert built.emptied == ("loud.py", "needed.txt", "settings.json")
        assert built.ignored == ("data", "grade")  # loud.py is needed
        assert built.unnamed == ()


def test_everything_else_is_packed_as_by_prompt_flow_and_what_nothing_names_is_said(folder: Path) -> None:
    write(folder, {"flow/data/test.jsonl": "{}", "flow/grade/flow.dag.yaml": "nodes: []\n"})
    built = build(folder)
    assert built.unnamed == ("data", "grade")
    assert {"flow/data/test.jsonl", "flow/grade/flow.dag.yaml"} <= set(built.files)


def test_what_lies_beside_an_earlier_build_stays(folder: Path) -> None:
    build(folder)
    write(folder, {"out/mine.txt": "", "out/flow/strange.txt": ""})
    build(folder, kind="zip")
    assert names(folder / "out") == {"headrace-flow-flow.zip", "headrace-version.json", "mine.txt"}


def test_requirements_that_headrace_replaces_are_left_out_and_the_rest_is_pinned(folder: Path) -> None:
    write(
        folder,
        {
            "flow/needed.txt": "-r more.txt\nPromptFlow[azure]>=1.0  # stock\npromptflow-tools\nnot-there-at-all>=1\n",
            "flow/more.txt": "# comment\nPyYAML\n",
        },
    )
    built = build(folder)
    assert built.replaced == ("PromptFlow[azure]>=1.0  # stock", "promptflow-tools")
    assert built.unpinned == ("not-there-at-all",)
    lines = (folder / "out/requirements.txt").read_text().splitlines()
    assert lines[:3] == [f"./{WHEEL}", "PyYAML", "not-there-at-all>=1"]
    pins = (folder / "out/constraints.txt").read_text().splitlines()
    assert f"pyyaml=={distribution('pyyaml').version}" in pins
    assert not [line for line in pins if line.startswith(("promptflow", "headrace", "not-there"))]
    bill = json.loads((folder / "out/sbom.cdx.json").read_text())
    licences = {item["name"]: item.get("licenses") for item in bill["components"]}
    assert [name for name, found in licences.items() if not found] == ["not-there-at-all"]
    assert licences["starlette"] == [{"expression": "BSD-3-Clause"}]  # by the newer field
    assert licences["pyyaml"] == [{"license": {"name": "MIT"}}]  # by the older one
    assert licences["jinja2"] == [{"license": {"name": "BSD License"}}]  # by its classifiers
    assert {item["name"] for item in bill["components"]} >= {
        "headrace",
        "pyyaml",
        "starlette",
        "not-there-at-all",
    }


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder by path, those of archives in it among them: nothing in them is compressed."""
    return {name: (folder / name).read_bytes() for name in names(folder)}
