"""Container images without containers: a context is "built" into a folder, and "run" as a process on loopback.

Of a Dockerfile count ``ARG``, ``FROM``, ``ENV``, ``WORKDIR``, ``COPY``, ``USER`` and ``CMD``; ``RUN pip install`` looks whether what
is asked for is installed here. Paths of the image become paths of the folder; the part of headrace that the context
brings is put before the one that is installed here, so that what runs is what would be in the image.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.support.ports import HeldPort

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")
_LOOK_TIMEOUT_S = 10.0


class BuildFailedError(Exception):
    """An image cannot be built; the text is the last line of the log."""


@dataclass(kw_only=True)
class Image:
    """What was built.

    Attributes:
        digest: ``sha256:…``.
        folder: Holds the files of the image's working directory.
        workdir: As the Dockerfile says, ``/app``.
        environment: Of the Dockerfile, with paths of the folder.
        command: Likewise.
        user: By whom it runs in a container.
        log: What the build wrote.
    """

    digest: str
    folder: Path
    workdir: str = "/"
    environment: dict[str, str] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)
    user: str = ""
    log: list[str] = field(default_factory=list)


def build_image(data: bytes, folder: Path, dockerfile: str, log: list[str]) -> Image:
    """Build a context.

    Args:
        data: ``tar.gz`` of the context.
        folder: That images lie in.
        dockerfile: Path in the context.
        log: Takes what is written meanwhile.

    Raises:
        BuildFailedError: It does not work.
    """
    digest = hashlib.sha256(data).hexdigest()
    context = folder / digest[:16]
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            archive.extractall(context, filter="data")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise BuildFailedError(f"unpigz: abort: {error}") from error
    path = context / dockerfile
    if not path.is_file():
        raise BuildFailedError(
            f"unable to prepare context: unable to evaluate symlinks in Dockerfile path: {dockerfile}"
        )
    image = Image(digest=f"sha256:{digest}", folder=context, log=log)
    lines = [*_instructions(path.read_text(encoding="utf-8"))]
    for number, (word, rest) in enumerate(lines, 1):
        log.append(f"Step {number}/{len(lines)} : {word} {rest}"[:200])
        _follow(image, word, rest)
    if not image.command:
        raise BuildFailedError("No CMD: the stand-in cannot run it")
    _unpack_wheels(context)
    log.append(f"Successfully built {digest[:12]}")
    return image


def _instructions(text: str) -> list[tuple[str, str]]:
    joined = re.sub(r"\\\n\s*", " ", text)
    found = []
    for line in joined.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word and not word.startswith("#"):
            found.append((word.upper(), rest.strip()))
    return found


def _follow(image: Image, word: str, rest: str) -> None:
    if word == "FROM":
        image.environment, image.command, image.workdir = {}, [], "/"
    elif word == "ENV":
        for item in shlex.split(rest):
            name, _, value = item.partition("=")
            image.environment[name] = _local(image, value)
    elif word == "WORKDIR":
        image.workdir = rest
    elif word == "COPY":
        _check_copy(image, rest)
    elif word == "RUN" and "--requirement" in rest:
        _check_requirements(image)
    elif word == "USER":
        image.user = rest
    elif word == "CMD":
        image.command = json.loads(rest)


def _check_copy(image: Image, rest: str) -> None:
    if rest.startswith("--from"):
        return
    for source in rest.split()[:-1]:
        if not (image.folder / source).exists():
            raise BuildFailedError(
                f"COPY failed: file not found in build context: stat {source}: file does not exist"
            )


def _check_requirements(image: Image) -> None:
    for line in (image.folder / "requirements.txt").read_text(encoding="utf-8").splitlines():
        name = _NAME.match(line.strip())
        if not name:
            continue  # the wheel beside it, or a remark
        try:
            version(name[0])
        except PackageNotFoundError:
            image.log.append(f"ERROR: Could not find a version that satisfies the requirement {name[0]}")
            raise BuildFailedError(f"ERROR: No matching distribution found for {name[0]}") from None


def _local(image: Image, value: str) -> str:
    """A path of the image on this machine."""
    value = value.replace("/opt/venv/bin", str(Path(sys.executable).parent)).replace(
        "$PATH", os.environ.get("PATH", "")
    )
    return re.sub(r"^/app(?=/|$)", str(image.folder), value)


def _unpack_wheels(context: Path) -> None:
    for wheel in sorted(context.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(context / ".site")  # noqa: S202 -- our own wheel


class Container:
    """A process of an image; starts at once, and writes its log into a file.

    Args:
        image: What runs.
        environment: Of the container, beside that of the image.
        log: File.
    """

    def __init__(self, image: Image, environment: Mapping[str, str], log: Path) -> None:
        self._lock = threading.Lock()
        self._held = HeldPort()
        self.port = self._held.number
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        base = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
        path = f"{Path(sys.executable).parent}{os.pathsep}/usr/bin{os.pathsep}/bin"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                image.command,
                cwd=image.folder,
                env={
                    **base,
                    "PATH": path,
                    **image.environment,
                    **environment,
                    "PORT": str(self.port),
                    "PYTHONPATH": str(image.folder / ".site"),
                },
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def exit_code(self) -> int | None:
        """``None`` while it runs."""
        return self._process.poll()

    def answers(self, path: str) -> bool:
        """Whether a probe is content."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=_LOOK_TIMEOUT_S)
        try:
            connection.request("GET", path)
            return 200 <= connection.getresponse().status < 400
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def lines(self, n_lines: int) -> list[str]:
        """The last lines of its log."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return text.splitlines()[-n_lines:]

    def stop(self) -> None:
        """End it: asked first, made to after some seconds."""
        with self._lock:
            self._held.close()
            if self._process.poll() is not None:
                return
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
