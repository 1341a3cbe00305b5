"""What is installed is what was tested: constraints cover every dependency, by name and version alone."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

from headrace.operations.init_flow import STARTERS
from headrace.operations.serving_wheel import serving_files

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NOT_CONSTRAINED = {
    "promptflow",
    "ray",
    "mlflow",
    "wandb",
}  # stock brings pins of its own; the others are too heavy to be among what tests need


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [re.fullmatch(r"([A-Za-z0-9._-]+)==([0-9][A-Za-z0-9.]*)", line) for line in lines]
    assert all(pairs), "a line that is not name==version"
    return {canonical(pair[1]): pair[2] for pair in pairs if pair}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_dependency_is_constrained() -> None:
    wanted = list(PROJECT["dependencies"])
    for extra, requirements in PROJECT["optional-dependencies"].items():
        if extra not in NOT_CONSTRAINED:
            wanted += requirements
    names = {canonical(re.match(r"[A-Za-z0-9._-]+", text)[0]) for text in wanted}  # type: ignore[index]
    assert names - {"headrace"} <= pinned().keys()


def test_the_core_stays_light() -> None:
    names = {canonical(re.match(r"[A-Za-z0-9._-]+", text)[0]) for text in PROJECT["dependencies"]}  # type: ignore[index]
    assert names == {"click", "jinja2", "openai", "opentelemetry-sdk", "python-dotenv", "pyyaml", "rich"}
    assert {"azure", "postgres", "serve", "promptflow", "dev"} <= PROJECT["optional-dependencies"].keys()


def test_the_wheel_holds_every_starter_and_the_one_of_images_none() -> None:
    """Also what begins with a dot, such as the workflows of a project; and nothing that a test has left there."""
    starters = {path for path in STARTERS.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    packed = {Path(file.path) for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert len(starters) > 40
    assert {path for path in packed if STARTERS in path.parents} == starters
    assert not [path for path in serving_files() if "starters" in path]
