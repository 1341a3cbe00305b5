"""What is installed is what was tested: constraints cover every dependency, by name and version alone."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

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
