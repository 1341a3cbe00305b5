"""What this repository uses of the template of a project. ``python -m tests.support.own_project`` writes it anew."""

from __future__ import annotations

from pathlib import Path

from headrace.operations.init_project import render_project

ROOT = Path(__file__).resolve().parents[2]
NAME, FLOW = "headrace", "triage"
USED = (
    "azure.yaml",
    "infra/",
    ".github/actions/gate/",
    ".github/workflows/comment.yml",
    ".github/workflows/deploy.yml",
    ".github/workflows/evaluate.yml",
    ".github/workflows/infra.yml",
)
"""Beginnings of paths; everything else here is this repository's alone."""


def rendered() -> dict[str, bytes]:
    """Paths below the root to what should stand there."""
    return {path: data for path, data in render_project(NAME, FLOW).items() if path.startswith(USED)}


def differences(root: Path = ROOT) -> list[str]:
    """What is missing, is not as the template says, or is left over from it, one sentence each."""
    wanted = rendered()
    found = {
        path.relative_to(root).as_posix()
        for used in USED
        for path in ((root / used).rglob("*") if used.endswith("/") else (root / used,))
        if path.is_file()
    }
    return [
        *(f"{path} is missing." for path in sorted(wanted.keys() - found)),
        *(f"{path} is left over: the template does not have it." for path in sorted(found - wanted.keys())),
        *(
            f"{path} is not what the template says."
            for path in sorted(found & wanted.keys())
            if (root / path).read_bytes() != wanted[path]
        ),
    ]


def write(root: Path = ROOT) -> None:
    """Write every file that the template has. What is left over stays, and is told."""
    for path, data in rendered().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)


if __name__ == "__main__":
    write()
    print("\n".join(differences()) or "as the template says")  # noqa: T201 - a program
