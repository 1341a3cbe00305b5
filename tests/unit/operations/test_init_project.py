from __future__ import annotations

from pathlib import Path

import pytest

from headrace.errors import StateError, UsageError
from headrace.operations import init_project as projects
from headrace.operations.init_project import TEMPLATE, init_project, render_project


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "template"
    files = {
        "README.md": b"# my_project\n\nflows/my_flow answers as my-flow of my-project.\n",
        "gitignore": b".headrace/\n",
        "flows/my_flow/gitignore": b"",
        "flows/my_flow/my_flow.txt": "Größe\r\n".encode(),
        "flows/my_flow/picture.png": b"\x89PNG my_flow \xff",
        "flows/my_flow/__pycache__/tool.pyc": b"",
        ".github/workflows/deploy.yml": b"name: my_project\n",
        "infra/main.bicep": b"",
        "azure.yaml": b"name: my-project\n",
    }
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    monkeypatch.setattr(projects, "TEMPLATE", folder)
    return folder


@pytest.mark.usefixtures("template")
def test_both_names_are_replaced_in_paths_and_texts_and_nothing_else() -> None:
    assert render_project("shop", "help_desk") == {
        "README.md": b"# shop\n\nflows/help_desk answers as help-desk of shop.\n",
        ".gitignore": b".headrace/\n",
        "flows/help_desk/.gitignore": b"",
        "flows/help_desk/help_desk.txt": "Größe\r\n".encode(),
        "flows/help_desk/picture.png": b"\x89PNG my_flow \xff",
        ".github/workflows/deploy.yml": b"name: shop\n",
        "infra/main.bicep": b"",
        "azure.yaml": b"name: shop\n",
    }


@pytest.mark.usefixtures("template")
def test_a_name_that_holds_the_other_word_stays_as_it_was_given() -> None:
    files = render_project("my_flow_shop", "my_project_flow")
    assert files["README.md"].splitlines()[0] == b"# my_flow_shop"
    assert "flows/my_project_flow/my_project_flow.txt" in files


@pytest.mark.usefixtures("template")
def test_parts_can_be_left_out() -> None:
    paths = render_project("shop", without=("infra", "workflows"))
    assert not [path for path in paths if path.startswith((".github", "infra", "azure"))]
    assert "flows/my_flow/my_flow.txt" in paths


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("Support Desk", ": support-desk"),
        ("ab", "a letter first."),
        ("9lives", "a letter first."),
        ("a__b", "a letter first."),
        ("shop-", ": shop"),
        ("a/../b", ": a-b"),
        ("größe", ": grosse"),
        ("", "a letter first."),
    ],
)
def test_a_name_that_azure_or_a_path_cannot_hold_is_refused_with_one_that_they_can(
    name: str, fix: str
) -> None:
    for project, flow in ((name, "fine"), ("fine", name)):
        with pytest.raises(UsageError, match="C507") as caught:
            render_project(project, flow)
        assert (caught.value.problems[0].fix or "").endswith(fix)


@pytest.mark.usefixtures("template")
def test_a_flow_leaves_room_for_the_name_of_its_endpoint_for_trials() -> None:
    longest, of_flow = "p" * 32, "f" * 24
    assert render_project(longest, of_flow)
    for project, flow, fix in ((f"{longest}p", of_flow, longest), (longest, f"{of_flow}f", of_flow)):
        with pytest.raises(UsageError, match="C507") as caught:
            render_project(project, flow)
        assert (caught.value.problems[0].fix or "").endswith(f": {fix}")


@pytest.mark.usefixtures("template")
def test_a_file_in_the_way_stops_before_anything_is_written(tmp_path: Path) -> None:
    target = tmp_path / "new"
    target.mkdir()
    (target / "README.md").write_text("mine")
    with pytest.raises(UsageError, match="S806"):
        init_project(target, "shop")
    assert [path.name for path in target.iterdir()] == ["README.md"]
    assert (target / "README.md").read_text() == "mine"
    init_project(target, "shop", is_replacing=True)
    assert (target / "README.md").read_bytes().startswith(b"# shop\n")
    assert (target / "flows/my_flow/picture.png").read_bytes() == b"\x89PNG my_flow \xff"


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="S808"):
        init_project(tmp_path / "file" / "project", "shop")


@pytest.mark.parametrize("is_replacing", [False, True])
def test_nothing_is_written_where_something_else_is_in_the_way(tmp_path: Path, is_replacing: bool) -> None:
    (tmp_path / "flows").write_text("mine")
    (tmp_path / "README.md").mkdir()
    (tmp_path / "infra").symlink_to(tmp_path / "gone")
    with pytest.raises(StateError) as caught:
        init_project(tmp_path, "shop", is_replacing=is_replacing)
    assert sorted(problem.what for problem in caught.value.problems) == [
        f"{tmp_path}/README.md is in the way: it is a folder.",
        f"{tmp_path}/flows is in the way: it is no folder.",
        f"{tmp_path}/infra is in the way: it is no folder.",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "flows", "infra"]


def test_no_word_of_the_template_is_left() -> None:
    assert TEMPLATE.is_dir()
    for path, data in render_project("shop", "desk").items():
        assert b"my_project" not in data, path
        assert b"my_flow" not in data, path
        assert not {"my_project", "my_flow"} & set(Path(path).parts)
