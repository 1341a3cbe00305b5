"""The files around a packed flow that make a container image of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from headrace.operations.installed_packages import PYTHON
from headrace.operations.serving_wheel import WHEEL

TEMPLATES = Path(__file__).parent / "image"
USER = "10001"
"""The user that serves, by number: platforms refuse images whose user they cannot tell from root."""

_CONTEXT = (
    "flow", "connections", "app.py", "start.sh", "requirements.txt", "constraints.txt", WHEEL,
    "headrace-version.json", "sbom.cdx.json",
)  # fmt: skip
_PROBE = (
    "import os, urllib.request; "
    "urllib.request.urlopen('http://127.0.0.1:' + os.environ.get('PORT', '8080') + '/healthz', timeout=2)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageWishes:
    """What a flow file asks of its image, in its block ``environment``.

    Attributes:
        base: Image to begin with; empty for the default.
        setup: Path of a script in the flow's folder that is run as root; empty for none.
        has_conda_file: It names packages in a form that is not read.
    """

    base: str = ""
    setup: str = ""
    has_conda_file: bool = False


def image_name(name: str) -> str:
    """A name that Docker, package indexes and programs take."""
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name.lower())
    return plain.strip("-") or "flow"


def dockerfile(
    wishes: ImageWishes, *, title: str = "", version: str = "", digest: str = "", setup_folder: str = "./flow"
) -> str:
    """The Dockerfile: packages are installed in a first stage, whose tools are not in the image.

    Args:
        wishes: What the flow file asks for.
        title: Name of the flow; empty for an image that is given its flow when it runs, at ``FLOW_PATH``.
        version: Name of its version.
        digest: The version's id.
        setup_folder: Where the script that the flow file asks for lies.
    """
    base = wishes.base or f"docker.io/library/python:{PYTHON}-slim"
    of_flow = {
        "org.opencontainers.image.title": title,
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.revision": digest,
        "org.opencontainers.image.base.name": base,
        "headrace.flow.version": version,
        "headrace.flow.digest": digest,
    }
    labels = {key: value for key, value in of_flow.items() if value}
    lines = [
        "# To build from the same base again, name its digest: --build-arg BASE=NAME:TAG@sha256:DIGEST",
        f"ARG BASE={base}",
        "",
        "FROM ${BASE} AS packages",
        "WORKDIR /build",
        f"COPY requirements.txt constraints.txt {WHEEL} ./",
        "RUN python -m venv --without-pip /opt/venv \\",
        "    && python -m pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check \\",
        "       --requirement requirements.txt --constraint constraints.txt",
        "",
        "FROM ${BASE}",
        "LABEL " + " \\\n      ".join(f"{key}={_quoted(value)}" for key, value in labels.items()),
        'ENV PATH="/opt/venv/bin:$PATH" PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp \\',
        "    FLOW_PATH=/app/flow PORT=8080",
        "WORKDIR /app",
        "COPY --from=packages /opt/venv /opt/venv",
        "COPY . ./",
    ]
    if wishes.has_conda_file:
        lines.append("# The conda_file of the flow is not read: list its packages in requirements.txt.")
    if wishes.setup:
        lines.append(f"RUN sh {json.dumps(f'{setup_folder}/{wishes.setup}')}")
    lines += [
        f"USER {USER}:{USER}",
        "EXPOSE 8080",
        "HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \\",
        f"    CMD {json.dumps(['python', '-c', _PROBE])}",
        'CMD ["sh", "./start.sh"]',
    ]
    return "\n".join(lines) + "\n"


def dockerignore(*more: str) -> str:
    """Nothing but what the build has written gets into an image, whatever else comes to lie beside it.

    Args:
        more: Further names that the build has written.
    """
    return "\n".join(["*", *(f"!{name}" for name in (*_CONTEXT, *more))]) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text).replace("$", "\\$")
