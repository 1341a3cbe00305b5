"""What is deployed, packed in the forms that targets ask for."""

from collections.abc import Callable, Iterator
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.tool_nodes import serving_names

from headrace.config import load_settings
from headrace.deploy.base import Package, PackageForm
from headrace.domain.deployment import Deployment, FlowChoice, Setting
from headrace.errors import UsageError
from headrace.formats.flow_file import load_flow
from headrace.formats.flow_identity import IDENTITY, served_identity
from headrace.operations.pack_deployment import packing
from headrace.operations.read_version import flow_digest
from headrace.operations.workspace import open_workspace

FILES = {
    "flow/flow.dag.yaml": """\
environment: {python_requirements_txt: needed.txt, setup_sh: setup.sh}
inputs: {q: {type: string}}
outputs: {o: {type: string, reference: "${ask.output}"}}
nodes:
- {name: ask, use_variants: true}
node_variants:
  ask:
    default_variant_id: loud
    variants:
      loud: {node: {type: llm, source: {type: code, path: loud.jinja2}, connection: mine, provider: OpenAI, api: chat, inputs: {model: m, temperature: 0, q: "${inputs.q}"}}}
      soft: {node: {type: llm, source: {type: code, path: soft.jinja2}, connection: mine, api: chat, inputs: {model: m, q: "${inputs.q}"}}}
""",
    "flow/loud.jinja2": "user:\n{{q}}!",
    "flow/soft.jinja2": "user:\n{{q}}",
    "flow/needed.txt": "requests\n",
    "flow/setup.sh": "true\n",
    ".headrace/connections/mine.yaml": "type: open_ai\napi_key: k\n",
    ".headrace/connections/theirs.yaml": "type: azure_open_ai\napi_base: https://a.example\napi_key: k\n",
    "chat.prompty": "---\nname: chat\nmodel: {api: chat, configuration: {type: openai, model: m}, parameters: {temperature: 0}}\n---\nuser:\nhello",
}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    with chdir(tmp_path), serving_names(tmp_path):
        yield tmp_path


Packing = Callable[..., tuple[Package, dict[str, str]]]


@pytest.fixture
def pack(folder: Path) -> Iterator[Packing]:
    with open_workspace(load_settings({"HOME": str(folder / "home")}), folder) as workspace:

        def once(form: PackageForm, source: str = "flow", **choice: str) -> tuple[Package, dict[str, str]]:
            with packing(workspace) as packed:
                deployment = Deployment(name="blue", arm="blue", flow=FlowChoice(source=source, **choice))
                package = packed(deployment, form)
                assert packed(deployment, form) is package
                files = {
                    path.relative_to(package.folder).as_posix(): path.read_text(
                        encoding="utf-8", errors="replace"
                    )
                    for path in sorted(package.folder.rglob("*"))
                    if path.is_file()
                }
            return package, files

        yield once


@pytest.mark.parametrize("form", ["flow", "runtime", "image"])
def test_the_same_is_the_same_bytes(pack: Packing, form: PackageForm) -> None:
    first, second = pack(form), pack(form)

    assert first[0].digest == second[0].digest
    assert first[1] == second[1]


def test_a_runtime_is_the_same_for_another_prompt_and_holds_no_flow(pack: Packing, folder: Path) -> None:
    package, files = pack("runtime")
    flow, _ = pack("flow")
    (folder / "flow/loud.jinja2").write_text("user:\n{{q}}?", encoding="utf-8")

    assert package.settings == ("MINE_API_KEY",)
    assert sorted(name for name in files if not name.endswith(".whl")) == [
        ".dockerignore",
        "Dockerfile",
        "app.py",
        "connections/mine.yaml",
        "constraints.txt",
        "requirements.txt",
        "settings.json",
        "setup.sh",
        "start.sh",
    ]
    assert 'RUN sh "./setup.sh"' in files["Dockerfile"]
    assert "!setup.sh" in files[".dockerignore"]
    assert "headrace.flow" not in files["Dockerfile"]
    assert pack("runtime")[0].digest == package.digest
    assert pack("flow")[0].digest != flow.digest


def test_a_flow_that_is_served_from_elsewhere_says_which_version_it_is(
    pack, folder: Path, tmp_path: Path
) -> None:
    _, files = pack("flow", variant="${ask.soft}")
    served = tmp_path / "mounted" / "elsewhere"
    for name, text in files.items():
        (served / name).parent.mkdir(parents=True, exist_ok=True)
        (served / name).write_text(text, encoding="utf-8")

    assert IDENTITY in files
    digest = flow_digest(load_flow(folder / "flow"))
    packed = flow_digest(load_flow(served))
    assert packed != digest
    assert served_identity(served, "flow", packed).version == f"flow@{digest[:12]}"
    (served / "soft.jinja2").write_text("user:\nother", encoding="utf-8")
    assert served_identity(served, "flow", flow_digest(load_flow(served))).digest != digest


def test_another_model_is_written_into_the_packed_flow_and_brings_its_connection(pack: Packing) -> None:
    _, files = pack("image", model="theirs/gpt-4o")

    assert "deployment_name: gpt-4o" in files["flow/flow.dag.yaml"]
    assert "connection: theirs" in files["flow/flow.dag.yaml"]
    assert "model: m" not in files["flow/flow.dag.yaml"]
    assert "provider" not in files["flow/flow.dag.yaml"]
    assert "temperature: 0" in files["flow/flow.dag.yaml"]
    assert [name for name in files if name.startswith("connections/")] == ["connections/theirs.yaml"]


def test_another_model_cannot_be_packed_into_a_prompty(pack: Packing) -> None:
    with pytest.raises(UsageError) as caught:
        pack("flow", source="chat.prompty", model="theirs/gpt-4o")

    assert caught.value.problems[0].code == "V304"


def test_an_image_whose_server_checks_tokens_has_what_that_needs(folder: Path) -> None:
    with (
        open_workspace(load_settings({"HOME": str(folder / "home")}), folder) as workspace,
        packing(workspace) as pack,
    ):
        issuer = Setting(name="HEADRACE_SERVE_ISSUER", value="https://login.example")
        plain = Deployment(name="blue", arm="blue", flow=FlowChoice(source="flow"))
        texts = [
            (pack(item, "image").folder / "constraints.txt").read_text(encoding="utf-8").lower()
            for item in (plain, replace(plain, settings=(issuer,)))
        ]
    assert ["pyjwt" in text for text in texts] == [False, True]


def test_an_image_whose_server_sends_what_it_measures_has_what_that_needs(folder: Path) -> None:
    secret = Setting(
        name="APPLICATIONINSIGHTS_CONNECTION_STRING", vault_url="https://v.vault.azure.net/secrets/s"
    )
    collector = Setting(name="OTEL_EXPORTER_OTLP_ENDPOINT", value="http://collector:4317")
    protocol = Setting(name="OTEL_EXPORTER_OTLP_PROTOCOL", value="grpc")
    off = Setting(name="OTEL_SDK_DISABLED", value="true")
    with (
        open_workspace(load_settings({"HOME": str(folder / "home")}), folder) as workspace,
        packing(workspace) as pack,
    ):
        plain = Deployment(name="blue", arm="blue", flow=FlowChoice(source="flow"))
        texts = [
            (pack(replace(plain, settings=settings), "image").folder / "constraints.txt").read_text(
                encoding="utf-8"
            )
            for settings in ((), (secret,), (secret, off), (collector,), (collector, protocol))
        ]
    packages = (
        "azure-monitor-opentelemetry-exporter",
        "opentelemetry-exporter-otlp-proto-http",
        "opentelemetry-exporter-otlp-proto-grpc",
    )
    found = [{name for name in packages if f"{name}==" in text} for text in texts]
    assert found == [set(), {packages[0]}, set(), {packages[1]}, {packages[2]}]
