"""What a folder is checked out at, as git leaves it in its files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from headrace.formats.git_checkout import Checkout, read_checkout

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def a_repository(folder: Path, head: str) -> Path:
    git = folder / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text(f"{head}\n", encoding="utf-8")
    (folder / "flows" / "echo").mkdir(parents=True)
    return git


def test_the_branch_and_its_commit_are_found_from_any_folder_below(tmp_path: Path) -> None:
    git = a_repository(tmp_path, "ref: refs/heads/feature/few")
    assert read_checkout(tmp_path / "flows" / "echo") == Checkout(branch="feature/few", commit=None)
    (git / "packed-refs").write_text(f"# pack-refs\n{COMMIT} refs/heads/feature/few\n", encoding="utf-8")
    assert read_checkout(tmp_path / "flows" / "echo") == Checkout(branch="feature/few", commit=COMMIT)
    (git / "refs" / "heads" / "feature").mkdir()
    (git / "refs" / "heads" / "feature" / "few").write_text("f" * 40 + "\n", encoding="utf-8")
    assert read_checkout(tmp_path) == Checkout(branch="feature/few", commit="f" * 40)


def test_a_commit_that_is_checked_out_has_no_branch(tmp_path: Path) -> None:
    a_repository(tmp_path, COMMIT)
    assert read_checkout(tmp_path) == Checkout(branch=None, commit=COMMIT)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"gitdir: nowhere"])
def test_what_cannot_be_read_is_no_checkout(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".git").write_bytes(content)
    assert read_checkout(tmp_path) is None


def test_outside_of_a_repository_nothing_is_said(tmp_path: Path) -> None:
    assert read_checkout(tmp_path) is None


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_further_worktree_says_what_git_says(tmp_path: Path) -> None:
    def git(folder: Path, *words: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
        command = ["git", *who, "-C", str(folder), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    main, other = tmp_path / "main", tmp_path / "other"
    main.mkdir()
    git(main, "init", "--initial-branch", "main")
    git(main, "commit", "--allow-empty", "--message", "first")
    git(main, "worktree", "add", str(other), "-b", "topic")
    commit = git(main, "rev-parse", "HEAD")
    assert read_checkout(main) == Checkout(branch="main", commit=commit)
    assert read_checkout(other) == Checkout(branch="topic", commit=commit)
    git(main, "pack-refs", "--all")
    assert read_checkout(other) == Checkout(branch="topic", commit=commit)
