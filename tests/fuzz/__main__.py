"""``python -m tests.fuzz [words for schemathesis]``: what the OpenAPI document says is tried in every way, by schemathesis.

``headrace flow serve`` runs as a process, with flows whose inputs are of every type. An answer of 5xx fails, and so does
one that is not as the document says. Ends with the exit code of schemathesis.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from tests.support.endpoint import write
from tests.support.fuzzed_flows import FUZZED_FLOWS
from tests.support.ports import held_port

CHECKS = "not_a_server_error,response_schema_conformance,content_type_conformance,status_code_conformance"
START_S = 60.0


def main() -> int:
    """Serve, and try."""
    with tempfile.TemporaryDirectory() as name, held_port() as port:
        folder = Path(name)
        write(folder, FUZZED_FLOWS)
        command = [
            sys.executable,
            "-m",
            "headrace",
            "flow",
            "serve",
            "--source",
            "served",
            "--port",
            str(port),
        ]
        server = subprocess.Popen(
            command, cwd=folder, env={**os.environ, "HOME": name}, stdout=subprocess.DEVNULL
        )
        try:
            url = f"http://127.0.0.1:{port}/openapi.json"
            wait_for(url, server)
            tool = str(Path(sys.executable).with_name("schemathesis"))
            words = sys.argv[1:] or ["--max-examples", "200"]
            return subprocess.run(
                [tool, "run", url, "--checks", CHECKS, *words], cwd=folder, check=False
            ).returncode
        finally:
            server.terminate()
            server.wait(timeout=30)


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers.

    Raises:
        SystemExit: It does not.
    """
    end = time.monotonic() + START_S
    while server.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the server does not answer")


if __name__ == "__main__":
    sys.exit(main())
