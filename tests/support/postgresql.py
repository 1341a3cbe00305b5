"""A PostgreSQL server for tests: made in a folder of its own, reached by a socket in it, gone with the tests.

The binaries are Debian's package ``postgresql``. PostgreSQL refuses to run as root, so a test process of root starts it
as the user that the package makes. ``setpriv`` lets the kernel stop it when the process that started it dies.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

USER = "postgres"
PASSWORD = "se/cr:et@ü?&"
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "40",
    "log_min_messages": "fatal",
}
_LOGINS = "local all team scram-sha-256\nlocal all all trust\nhost all all 127.0.0.1/32 trust\n"
_START_S = 60.0


def binaries() -> Path | None:
    """The folder of the newest PostgreSQL on this machine."""
    named = shutil.which("initdb")
    folders = [Path(named).resolve().parent] if named else []
    folders += sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name), reverse=True
    )
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


def need_postgresql() -> Path:
    """The folder of the binaries; without them the test is skipped, in CI it fails."""
    found = binaries() if shutil.which("setpriv") else None
    if found is None:
        reason = "PostgreSQL is not installed here; on Debian: apt-get install postgresql"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


class Server:
    """A server in ``folder``."""

    def __init__(self, binaries: Path, folder: Path, **settings: str) -> None:
        self._binaries = binaries
        self._folder = folder
        self._settings = {**_SETTINGS, "unix_socket_directories": str(folder), **settings}
        self._process: subprocess.Popen[bytes] | None = None
        self._n_schemas = 0

    def make(self) -> None:
        """Make its files, start it and add the user of the tests that need a password."""
        if os.geteuid() == 0:
            shutil.chown(self._folder, USER, USER)
        data = self._folder / "data"
        self._call("initdb", "--pgdata", str(data), "--username", USER, "--auth", "trust", "--no-sync",
                   "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-instructions")  # fmt: skip
        (data / "pg_hba.conf").write_text(_LOGINS)
        self.start()
        self.sql(f"CREATE ROLE team LOGIN PASSWORD '{PASSWORD}'", f"GRANT CREATE ON DATABASE {USER} TO team")

    def start(self) -> None:
        """Start it and wait until it answers."""
        words = ["-D", str(self._folder / "data")]
        for name, value in self._settings.items():
            words += ["-c", f"{name}={value}"]
        self._process = subprocess.Popen(
            self._command("postgres", *words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, cwd=self._folder,
        )  # fmt: skip
        end = time.monotonic() + _START_S
        while subprocess.run(
            [self._binaries / "pg_isready", "-q", "-h", self._folder], check=False
        ).returncode:
            assert self._process.poll() is None, "the server did not start"
            assert time.monotonic() < end, "the server does not answer"
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it and its sessions at once, as if the machine were switched off."""
        if self._process is not None:
            self._process.send_signal(3)  # SIGQUIT, "immediate shutdown"
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Stop and start it."""
        self.stop()
        self.start()

    def sql(self, *statements: str) -> str:
        """What statements print, executed one by one by the owner of the server."""
        words = [word for statement in statements for word in ("-c", statement)]
        return self._call(
            "psql", "-h", str(self._folder), "-U", USER, "-Atq", "-v", "ON_ERROR_STOP=1", *words
        )

    def new_location(self) -> str:
        """The location of a store in a schema that is not there yet."""
        self._n_schemas += 1
        return self.location(f"runs {self._n_schemas}")

    def location(self, schema: str, *, user: str = USER, database: str = USER) -> str:
        """The location of the store in ``schema``."""
        login = f"{user}:{quote(PASSWORD, safe='')}" if user == "team" else user
        return f"postgresql://{login}@/{database}?host={quote(str(self._folder), safe='')}&schema={quote(schema)}"

    def _command(self, program: str, *words: str) -> list[str]:
        rights = ["--reuid", USER, "--regid", USER, "--clear-groups"] if os.geteuid() == 0 else []
        return ["setpriv", *rights, "--pdeathsig", "QUIT", str(self._binaries / program), *words]

    def _call(self, program: str, *words: str) -> str:
        done = subprocess.run(
            self._command(program, *words), capture_output=True, text=True, cwd=self._folder, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@contextmanager
def running_server(**settings: str) -> Iterator[Server]:
    """A server that runs as long as the block, skipping the test where PostgreSQL is not installed."""
    found = need_postgresql()
    # Not below pytest's folder: the user that runs the server could not enter it.
    with tempfile.TemporaryDirectory(prefix="headrace-postgresql-") as folder:
        Path(folder).chmod(0o755)
        server = Server(found, Path(folder), **settings)
        try:
            server.make()
            yield server
        finally:
            server.stop()
