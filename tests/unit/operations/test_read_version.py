"""The id of a flow's version: the same wherever nothing changes an answer, another one wherever something does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.domain.flow import Flow
from headrace.domain.version import CODE, DATA, GRAPH, PROMPT, REQUIREMENTS
from headrace.errors import DefinitionError
from headrace.formats.flow_file import load_flow
from headrace.operations.read_version import MOST_BYTES, flow_digest, read_snapshot

FLOW: Mapping[str, Any] = {
    "inputs": {"question": {"type": "string", "default": "why"}, "n": {"type": "int", "default": 3}},
    "outputs": {"answer": {"type": "string", "reference": "${ask.output}"}},
    "environment": {"python_requirements_txt": "requirements.txt"},
    "environment_variables": {"REGION": "north"},
    "additional_includes": ["../shared/lib", "../shared/words.txt"],
    "nodes": [
        {
            "name": "find",
            "type": "python",
            "source": {"type": "code", "path": "find.py"},
            "inputs": {"question": "${inputs.question}", "most": 5, "exact": True, "index": "kb/index.json"},
        },
        {"name": "ask", "use_variants": True},
    ],
    "node_variants": {
        "ask": {
            "default_variant_id": "short",
            "variants": {
                "short": {
                    "node": {
                        "type": "llm",
                        "source": {"type": "code", "path": "short.jinja2"},
                        "connection": "open_ai",
                        "api": "chat",
                        "inputs": {"model": "gpt-4o", "temperature": 0.0, "text": "${find.output}"},
                    }
                },
                "long": {
                    "node": {
                        "type": "llm",
                        "source": {"type": "code", "path": "long.jinja2"},
                        "connection": "open_ai",
                        "api": "chat",
                        "inputs": {"model": "gpt-4o", "temperature": 0.5, "text": "${find.output}"},
                    }
                },
            },
        }
    },
}
FILES: Mapping[str, str] = {
    "flow/find.py": "from steps.rank import rank\n\n\ndef find(question):\n    return rank(open('notes.md').read())\n",
    "flow/steps/rank.py": "import deep\n\n\ndef rank(text):\n    return text\n",
    "flow/short.jinja2": "system:\nBe short.\nuser:\n{{text}}\n",
    "flow/long.jinja2": "system:\nBe long.\nuser:\n{{text}}\n",
    "flow/notes.md": "one\ntwo\n",
    "flow/kb/index.json": '{"a": 1}\n',
    "flow/requirements.txt": "rapidfuzz==3.9\n",
    "flow/deep.py": "DEEP = 1\n",
    "shared/lib/part.py": "PART = 1\n",
    "shared/words.txt": "word\n",
}


def lay_out(root: Path, flow: Mapping[str, Any] = FLOW, **more: str) -> Path:
    for name, text in {**FILES, **more}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8", newline="")
    (root / "flow" / "flow.dag.yaml").write_text(
        yaml.safe_dump(flow, sort_keys=False), encoding="utf-8", newline=""
    )
    return root / "flow"


def digest(folder: Path) -> str:
    return flow_digest(load_flow(folder))


def shuffled(value: Any, draw: Callable[[st.SearchStrategy[Any]], Any]) -> Any:
    if isinstance(value, dict):
        keys = draw(st.permutations(list(value)))
        return {key: shuffled(value[key], draw) for key in keys}
    return [shuffled(item, draw) for item in value] if isinstance(value, list) else value


def scalars(value: Any, pointer: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [place for key, item in value.items() for place in scalars(item, (*pointer, key))]
    if isinstance(value, list):
        return [place for key, item in enumerate(value) for place in scalars(item, (*pointer, key))]
    return [pointer]


def changed(value: Any, pointer: tuple[Any, ...], new: Any) -> Any:
    if not pointer:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[pointer[0]] = changed(value[pointer[0]], pointer[1:], new)
    return copy


quickly = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@quickly
@given(data=st.data())
def test_the_id_stays_where_nothing_can_change_an_answer(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.mktemp("base")
    before = digest(lay_out(base))
    root = tmp_path_factory.mktemp("other") / data.draw(st.sampled_from(["a", "deep/er/place", "mit Ümlaut"]))
    folder = lay_out(root, shuffled(FLOW, data.draw))
    line_end = data.draw(st.sampled_from(["\n", "\r\n"]))
    for file in sorted(root.rglob("*.*")):
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            if file.name == "flow.dag.yaml":
                text = text.replace("\n", "  # a comment\n", 1) + "\n# and another\n\n"
            file.write_text(text, encoding="utf-8", newline=line_end)
    for name in data.draw(
        st.lists(st.sampled_from(["data/x.jsonl", "README.txt", ".git/x.py", "other/flow.dag.yaml"]))
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("new", encoding="utf-8")
    assert digest(folder) == before


@quickly
@given(data=st.data())
def test_another_value_in_the_flow_file_makes_another_id(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = lay_out(tmp_path_factory.mktemp("flow"))
    flow = load_flow(folder)
    before = flow_digest(flow)
    pointer = data.draw(st.sampled_from(scalars(FLOW)))
    old = FLOW
    for key in pointer:
        old = old[key]
    new = data.draw(
        st.one_of(
            st.text("abc xyz", min_size=1), st.integers(), st.booleans(), st.floats(allow_nan=False)
        ).filter(lambda value: (type(value), value) != (type(old), old))
    )
    text = yaml.safe_dump(changed(FLOW, pointer, new), sort_keys=False)
    (folder / "flow.dag.yaml").write_text(text, encoding="utf-8")
    assert flow_digest(flow) != before


@quickly
@given(data=st.data())
def test_another_text_in_any_file_makes_another_id(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("flow")
    flow = load_flow(lay_out(root))
    before = flow_digest(flow)
    name = data.draw(st.sampled_from(sorted(FILES)))
    text = FILES[name]
    place = data.draw(st.integers(0, len(text)))
    added = data.draw(st.text(st.characters(codec="utf-8", exclude_characters="\r\0\ufeff"), min_size=1))
    (root / name).write_text(text[:place] + added + text[place:], encoding="utf-8", newline="")
    assert flow_digest(flow) != before


PROMPTY: Mapping[str, Any] = {
    "name": "ask",
    "model": {
        "api": "chat",
        "configuration": {"type": "openai", "connection": "open_ai", "model": "gpt-4o"},
        "parameters": {"temperature": 0.5, "max_tokens": 9, "stop": ["one", "two"]},
        "response": "first",
    },
    "inputs": {"question": {"type": "string", "default": "why"}, "more": {"type": "string", "default": "x"}},
    "outputs": {"answer": {"type": "string"}},
    "sample": {"question": "why"},
}
BODY = "system:\nBe short.\nuser:\n{{question}} {{more}}\n"
FLEX: Mapping[str, Any] = {
    "entry": "code:Answer",
    "init": {"depth": {"type": "int", "default": 3}, "tone": {"type": "string", "default": "kind"}},
    "inputs": {"question": {"type": "string"}},
    "outputs": {"answer": {"type": "string"}},
    "environment_variables": {"REGION": "north"},
}
FLEX_CODE = {
    "code.py": "import deep.part\n\n\nclass Answer:\n    def __call__(self, question: str) -> dict:\n        return {}\n",
    "deep/part.py": "PART = 1\n",
    "requirements.txt": "rapidfuzz==3.9\n",
}


def write_prompty(
    root: Path, front: Mapping[str, Any] = PROMPTY, body: str = BODY, line_end: str = "\n"
) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    text = f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n{body}"
    (root / "ask.prompty").write_text(text, encoding="utf-8", newline=line_end)
    return root / "ask.prompty"


def write_flex(
    root: Path, flow: Mapping[str, Any] = FLEX, code: Mapping[str, str] = FLEX_CODE, line_end: str = "\n"
) -> Path:
    for name, text in {**code, "flow.flex.yaml": yaml.safe_dump(flow, sort_keys=False)}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8", newline=line_end)
    return root


@quickly
@given(data=st.data())
def test_the_ids_of_prompties_and_flex_flows_stay_likewise(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.mktemp("base")
    before = [digest(write_prompty(base / "p")), digest(write_flex(base / "f"))]
    root = tmp_path_factory.mktemp("other") / data.draw(st.sampled_from(["a", "deep/er/place", "mit Ümlaut"]))
    line_end = data.draw(st.sampled_from(["\n", "\r\n"]))
    prompty_file = write_prompty(root / "p", shuffled(PROMPTY, data.draw), line_end=line_end)
    flex = write_flex(root / "f", shuffled(FLEX, data.draw), line_end=line_end)
    assert [digest(prompty_file), digest(flex)] == before


@quickly
@given(data=st.data())
def test_another_value_or_text_in_a_prompty_or_a_flex_flow_makes_another_id(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("flow")
    is_prompty = data.draw(st.booleans())
    old: Any = PROMPTY if is_prompty else FLEX
    flow = load_flow(write_prompty(root) if is_prompty else write_flex(root))
    before = flow_digest(flow)
    if data.draw(st.booleans()):
        whole, pointer = old, data.draw(st.sampled_from(scalars(old)))
        for key in pointer:
            old = old[key]
        values = st.one_of(st.text("abc xyz", min_size=1), st.integers(), st.booleans())
        new = data.draw(values.filter(lambda value: (type(value), value) != (type(old), old)))
        other = changed(whole, pointer, new)
        if is_prompty:
            write_prompty(root, other)
        else:
            write_flex(root, other)
    else:
        added = data.draw(st.text(st.characters(codec="utf-8", exclude_characters="\r\0\ufeff"), min_size=1))
        if is_prompty:
            place = data.draw(st.integers(0, len(BODY)))
            write_prompty(root, body=BODY[:place] + added + BODY[place:])
        else:
            name = data.draw(st.sampled_from(sorted(FLEX_CODE)))
            place = data.draw(st.integers(0, len(FLEX_CODE[name])))
            text = FLEX_CODE[name][:place] + added + FLEX_CODE[name][place:]
            write_flex(root, code={**FLEX_CODE, name: text})
    assert flow_digest(flow) != before


def test_the_id_is_the_same_in_another_process_for_another_person(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "one")
    write_prompty(tmp_path / "one" / "p")
    write_flex(tmp_path / "one" / "f")
    flows = ("flow", "p/ask.prompty", "f")
    before = [digest(tmp_path / "one" / name) for name in flows]
    code = (
        "import sys; from pathlib import Path; from headrace.formats.flow_file import load_flow; "
        "from headrace.operations.read_version import flow_digest; "
        "print(*(flow_digest(load_flow(Path(name))) for name in sys.argv[1:]))"
    )
    other = shutil.copytree(folder.parent, tmp_path / "two" / "elsewhere")
    for file in other.rglob("*"):
        file.chmod(0o700)
        os.utime(file, (1, 1))
    for number, variables in enumerate(
        (
            {"PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "Asia/Tokyo", "USER": "somebody"},
            {"PYTHONHASHSEED": "2", "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1", "USER": "else"},
        )
    ):
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / f"home{number}"), **variables}
        environment["PYTHONPATH"] = os.pathsep.join(sys.path)
        asked = (sys.executable, "-c", code, *flows)
        done = subprocess.run(asked, cwd=other, env=environment, stdout=subprocess.PIPE, check=True)
        assert done.stdout.decode().split() == before


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_that_is_gone_makes_another_id(name: str, tmp_path: Path) -> None:
    flow = load_flow(lay_out(tmp_path))
    before = flow_digest(flow)
    (tmp_path / name).unlink()
    assert flow_digest(flow) != before


def test_a_new_module_or_template_makes_another_id(tmp_path: Path) -> None:
    folder = lay_out(tmp_path)
    seen = {digest(folder)}
    for name in ("new.py", "new.jinja2", "../shared/lib/new.txt", "requirements-more.txt"):
        (folder / name).write_text("x = 1\n", encoding="utf-8")
        seen.add(digest(folder))
    assert len(seen) == 5


def test_a_folder_that_an_input_or_a_default_names_with_one_word_counts_whole(tmp_path: Path) -> None:
    given_to_a_node = changed(FLOW, ("nodes", 0, "inputs", "index"), "kb")
    given_by_default = changed(FLOW, ("inputs", "question", "default"), "pages")
    for flow, name in ((given_to_a_node, "kb/more.md"), (given_by_default, "pages/one.md")):
        folder = lay_out(tmp_path / name, flow, **{f"flow/{name}": "one\n"})
        before = read_snapshot(load_flow(folder))
        (folder / name).write_text("two\n", encoding="utf-8")
        assert name in {file.path for file in before.manifest.files}
        assert digest(folder) != before.digest


def test_a_manifest_says_what_each_file_is_and_where_the_flow_lay(tmp_path: Path) -> None:
    snapshot = read_snapshot(load_flow(lay_out(tmp_path)))
    kinds = {file.path: file.kind for file in snapshot.manifest.files}
    assert kinds == {
        "../shared/lib/part.py": CODE,
        "../shared/words.txt": DATA,
        "deep.py": CODE,
        "find.py": CODE,
        "flow.dag.yaml": GRAPH,
        "kb/index.json": DATA,
        "long.jinja2": PROMPT,
        "notes.md": DATA,
        "requirements.txt": REQUIREMENTS,
        "short.jinja2": PROMPT,
        "steps/rank.py": CODE,
    }
    assert (snapshot.manifest.place, snapshot.manifest.file) == ("flow", "flow.dag.yaml")
    assert {file.content for file in snapshot.manifest.files} == set(snapshot.contents)


def test_places_of_files_from_further_up_are_kept(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "a" / "b", {**FLOW, "additional_includes": ["../../far.py"]})
    (tmp_path / "a" / "far.py").write_text("FAR = 1\n", encoding="utf-8")
    manifest = read_snapshot(load_flow(folder)).manifest
    assert manifest.place == "b/flow"
    assert manifest.find("../../far.py") is not None


def test_a_chosen_arm_counts_for_nothing(tmp_path: Path) -> None:
    flow = load_flow(lay_out(tmp_path))
    chosen = Flow(
        **{**{name: getattr(flow, name) for name in flow.__slots__}, "node_variants": {}, "nodes": ()}
    )
    assert flow_digest(chosen) == flow_digest(flow)


SECRET = "a8f5f167f44f4964e6c998dee827110c"


def prompty(folder: Path, key: str) -> Path:
    folder.mkdir(exist_ok=True)
    text = (
        "---\nname: ask\nmodel:\n  api: chat\n  configuration:\n    type: openai\n"
        f"    model: gpt-4o\n    api_key: {key}\n  parameters: {{}}\ninputs:\n  q: {{type: string, default: x}}\n---\nuser:\n{{{{q}}}}\n"
    )
    (folder / "ask.prompty").write_text(text, encoding="utf-8")
    return folder / "ask.prompty"


def test_keys_are_in_no_snapshot_and_change_no_id(tmp_path: Path) -> None:
    file = prompty(tmp_path / "f", SECRET)
    (tmp_path / "f" / "more.py").write_text(
        f'API_KEY = "{SECRET}"\nTOKEN = "sk-{"x" * 24}"\npassword = "hunter2-hunter2"\n', encoding="utf-8"
    )
    for name in (".env", "local.env", "server.pem", "id_rsa", "credentials.json"):
        (tmp_path / "f" / name).write_text(SECRET, encoding="utf-8")
    first = read_snapshot(load_flow(file))
    kept = b"\n".join(first.contents.values())
    for secret in (SECRET, "x" * 24, "hunter2"):
        assert secret.encode() not in kept
    assert {item.path: item.reason for item in first.manifest.skipped} == {
        ".env": "its name says that it holds keys",
        "local.env": "its name says that it holds keys",
        "server.pem": "its name says that it holds keys",
        "id_rsa": "its name says that it holds keys",
        "credentials.json": "its name says that it holds keys",
        "ask.prompty": "the keys in it were left out",
        "more.py": "the keys in it were left out",
    }
    prompty(tmp_path / "f", SECRET[::-1])
    assert read_snapshot(load_flow(file)).digest == first.digest


def test_the_prompt_and_the_front_matter_of_a_prompty_count_and_its_comments_do_not(tmp_path: Path) -> None:
    file = prompty(tmp_path, "${env:KEY}")
    before, text = digest(file), file.read_text(encoding="utf-8")
    file.write_text(text.replace("name: ask", "# note\nname: ask"), encoding="utf-8")
    assert digest(file) == before
    for old, new in (("{{q}}", "{{q}}!"), ("gpt-4o", "gpt-4"), ("${env:KEY}", "${env:OTHER}")):
        file.write_text(text.replace(old, new), encoding="utf-8")
        assert digest(file) != before, old


def test_a_flow_that_is_only_an_entry_has_an_id(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("import n\n\n\ndef f(): ...\ndef g(): ...\n", encoding="utf-8")
    (tmp_path / "n.py").write_text("N = 1\n", encoding="utf-8")
    first, other = read_snapshot(load_flow(tmp_path / "m:f")), read_snapshot(load_flow(tmp_path / "m:g"))
    assert (first.manifest.entry, first.manifest.file) == ("m:f", "")
    assert [file.path for file in first.manifest.files] == ["m.py", "n.py"]
    assert first.digest != other.digest


def test_a_large_file_counts_and_is_not_kept(tmp_path: Path) -> None:
    folder = lay_out(tmp_path)
    large = folder / "kb" / "index.json"
    for end in (b"\r\n", b"\n"):
        large.write_bytes((b"x" * 1023 + end) * (MOST_BYTES // 1024 + 1))
        snapshot = read_snapshot(load_flow(folder))
        file = snapshot.manifest.find("kb/index.json")
        assert file is not None
        assert file.content is None
        assert "too many" in snapshot.manifest.skipped[0].reason
        shutil.copy(large, tmp_path / "copy")
        digests = {snapshot.digest, digest(folder)}
        assert len(digests) == 1
    with large.open("ab") as stream:
        stream.write(b"y")
    assert digest(folder) not in digests


def test_line_ends_of_a_large_file_do_not_count(tmp_path: Path) -> None:
    folder = lay_out(tmp_path)
    found = set()
    for end in (b"\r\n", b"\n"):
        (folder / "kb" / "index.json").write_bytes((b"x" * 1023 + end) * (MOST_BYTES // 1024 + 1))
        found.add(digest(folder))
    assert len(found) == 1


def test_a_flow_whose_file_is_gone_has_none(tmp_path: Path) -> None:
    flow = load_flow(lay_out(tmp_path))
    (tmp_path / "flow" / "flow.dag.yaml").unlink()
    with pytest.raises(DefinitionError) as caught:
        flow_digest(flow)
    assert [problem.code for problem in caught.value.problems] == ["F001"]
