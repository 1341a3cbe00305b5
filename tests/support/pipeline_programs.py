"""Programs that pipelines call and that cannot exist here: ``az``, ``azd``, ``gh``, and pip, make and CI where they would take long.

Each takes the arguments that its documentation has, and no other, and notes them in ``calls.jsonl`` of the folder
``PIPELINE_PROGRAMS``. ``gh`` also keeps comments and issues there. :func:`install` puts them on a ``PATH``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

FOLDER = "PIPELINE_PROGRAMS"
BOT = "github-actions[bot]"


def install(folder: Path) -> tuple[Path, dict[str, str]]:
    """Write the programs, and ``headrace`` as it is tested here.

    Returns:
        The folder for ``PATH``, and the variables that they need.
    """
    programs = folder / "bin"
    programs.mkdir(parents=True)
    python = shlex.quote(sys.executable)
    lines = {name: f'{python} -I {shlex.quote(__file__)} {name} "$@"' for name in PROGRAMS}
    lines["headrace"] = f'{python} -m headrace "$@"'
    for name, line in lines.items():
        (programs / name).write_text(f"#!/bin/sh\nexec {line}\n", encoding="utf-8")
        (programs / name).chmod(0o755)
    return programs, {FOLDER: str(folder), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def calls(folder: Path, name: str) -> list[list[str]]:
    """The arguments of every call of a program."""
    file = folder / "calls.jsonl"
    noted = (
        [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    )
    return [words for program, *words in noted if program == name]


def kept(folder: Path, kind: str) -> list[dict[str, Any]]:
    """What ``gh`` keeps: ``comments`` or ``issues``, oldest first."""
    file = folder / f"{kind}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else []


def _keep(kind: str, items: list[dict[str, Any]]) -> None:
    (_folder() / f"{kind}.json").write_text(json.dumps(items), encoding="utf-8")


def _folder() -> Path:
    return Path(os.environ[FOLDER])


def _az(words: Sequence[str]) -> int:
    """Documented: az bicep lint --file FILE; az bicep build --file FILE [--stdout]."""
    parser = argparse.ArgumentParser("az", allow_abbrev=False)
    bicep = parser.add_subparsers(required=True).add_parser("bicep").add_subparsers(required=True)
    for name in ("lint", "build"):
        verb = bicep.add_parser(name, allow_abbrev=False)
        verb.add_argument("--file", "-f", type=Path, required=True)
        if name == "build":
            verb.add_argument("--stdout", action="store_true")
    given = parser.parse_args(words)
    text = given.file.read_text(encoding="utf-8")
    print("{}" if "build" in words else "", end="")
    return 1 if "syntax error" in text else 0


def _azd(words: Sequence[str]) -> int:
    """Documented: azd auth login, and azd provision, with flags for a pipeline."""
    parser = argparse.ArgumentParser("azd", allow_abbrev=False)
    verbs = parser.add_subparsers(required=True)
    login = verbs.add_parser("auth").add_subparsers(required=True).add_parser("login", allow_abbrev=False)
    login.add_argument("--client-id", required=True)
    login.add_argument("--tenant-id", required=True)
    login.add_argument(
        "--federated-credential-provider", choices=("github", "azure-pipelines", "oidc"), required=True
    )
    provision = verbs.add_parser("provision", allow_abbrev=False)
    provision.add_argument("--preview", action="store_true")
    provision.add_argument("--no-prompt", action="store_true", required=True)
    given = parser.parse_args(words)
    if "provision" in words:
        for name in ("AZURE_ENV_NAME", "AZURE_LOCATION", "AZURE_SUBSCRIPTION_ID", "POSTGRES_PASSWORD"):
            if not os.environ.get(name):
                print(f"azd would ask for {name}")
                return 1
        print("Create : Resource group : rg-preview" if given.preview else "SUCCESS: provisioned")
    return 0


def _gh(words: Sequence[str]) -> int:
    return {"api": _gh_api, "issue": _gh_issue}[words[0]](words[1:])


def _gh_api(words: Sequence[str]) -> int:
    """Documented: gh api ENDPOINT [--method M] [--field KEY=@FILE] [--jq EXPRESSION] [--paginate] [--silent]."""
    parser = argparse.ArgumentParser("gh api", allow_abbrev=False)
    parser.add_argument("endpoint")
    parser.add_argument("--method", default="GET", choices=("GET", "POST", "PATCH"))
    parser.add_argument("--field", default="")
    parser.add_argument("--jq", default="")
    parser.add_argument("--paginate", action="store_true")
    parser.add_argument("--silent", action="store_true")
    given = parser.parse_args(words)
    place = re.fullmatch(r"repos/[\w.-]+/[\w.-]+/issues/(?:comments/(\d+)|(\d+)/comments)", given.endpoint)
    if place is None or not os.environ.get("GH_TOKEN"):
        return 1
    comments = kept(_folder(), "comments")
    if given.method == "GET":
        mark = json.loads(re.search(r'startswith\(("(?:[^"\\]|\\.)*")\)', given.jq)[1])  # type: ignore[index]
        print(
            "".join(
                f"{item['id']}\n" for item in comments if item["by"] == BOT and item["body"].startswith(mark)
            ),
            end="",
        )
        return 0
    key, _, file = given.field.partition("=@")
    body = {key: Path(file).read_text(encoding="utf-8")}["body"]
    if given.method == "POST":
        comments.append({"id": len(comments) + 1, "by": BOT, "number": int(place[2]), "body": body})
    else:
        next(item for item in comments if item["id"] == int(place[1]))["body"] = body
    _keep("comments", comments)
    return 0


def _gh_issue(words: Sequence[str]) -> int:
    """Documented: gh issue list --state --search --json --jq; gh issue create --title --body; gh issue comment N --body."""
    parser = argparse.ArgumentParser("gh issue", allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True)
    listing = verbs.add_parser("list", allow_abbrev=False)
    for name in ("--state", "--search", "--json", "--jq"):
        listing.add_argument(name, required=True)
    create = verbs.add_parser("create", allow_abbrev=False)
    create.add_argument("--title", required=True)
    create.add_argument("--body", required=True)
    comment = verbs.add_parser("comment", allow_abbrev=False)
    comment.add_argument("number", type=int)
    comment.add_argument("--body", required=True)
    given = parser.parse_args(words)
    issues = kept(_folder(), "issues")
    if given.verb == "list":
        print(issues[0]["number"] if issues else "")
    elif given.verb == "create":
        _keep("issues", [*issues, {"number": 7, "said": [given.title, given.body]}])
    else:
        next(item for item in issues if item["number"] == given.number)["said"].append(given.body)
        _keep("issues", issues)
    return 0


def _python(words: Sequence[str]) -> int:
    """Documented: python -m pip install; what is named has to be there."""
    parser = argparse.ArgumentParser("python -m pip install", allow_abbrev=False)
    parser.add_argument("--quiet", action="store_true")
    parser.add_argument("--disable-pip-version-check", action="store_true")
    parser.add_argument("--requirement", "-r", type=Path)
    parser.add_argument("--constraint", "-c", type=Path)
    parser.add_argument("projects", nargs="*")
    if list(words[:3]) != ["-m", "pip", "install"]:
        return 2
    given = parser.parse_args(words[3:])
    folders = [Path(text.partition("[")[0]) / "pyproject.toml" for text in given.projects]
    missing = [
        str(path) for path in (given.requirement, given.constraint, *folders) if path and not path.is_file()
    ]
    print("".join(f"there is no {path}\n" for path in missing), end="")
    return 1 if missing else 0


def _make(words: Sequence[str]) -> int:
    """The target is there, and what it needs can be made: what make would do, without doing it."""
    return subprocess.run(
        ("/usr/bin/make", "--dry-run", *words), check=False, stdout=subprocess.DEVNULL
    ).returncode


PROGRAMS: dict[str, Callable[[Sequence[str]], int]] = {
    "az": _az,
    "azd": _azd,
    "gh": _gh,
    "make": _make,
    "python": _python,
}


def main(name: str, *words: str) -> int:
    """Note a call, and answer it."""
    with (_folder() / "calls.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps([name, *words]) + "\n")
    return PROGRAMS[name](words)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
