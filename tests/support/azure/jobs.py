"""Command jobs: what was uploaded really runs, in a process of this machine.

The folder of the code is laid out anew for each job, ``${{outputs.results}}`` is a folder beside it whose files come to
be blobs as they are written, and the environment is looked up but not built: the Python of the tests has what is needed.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.support.azure import online_endpoints
from tests.support.azure.arm import Call
from tests.support.azure.messages import Refusal, Response, reply
from tests.support.azure.resources import Resource

import headrace

if TYPE_CHECKING:
    from tests.support.azure.stand_in import StandIn

NAMESPACE = "Microsoft.MachineLearningServices"
_WORKSPACE = (
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/" + NAMESPACE + "/workspaces/{workspace}"
)
_JOB = _WORKSPACE + "/jobs/{name}"
_COMPUTE = _WORKSPACE + "/computes/{name}"
_UPLOAD = _WORKSPACE + "/codes/{name}/versions/{version}/startPendingUpload"
_VERSIONS = ("2024-01-01-preview", "2025-01-01-preview")
_LOOK_S = 0.1


@dataclass(kw_only=True)
class Jobs:
    """Those that were submitted.

    Attributes:
        clusters: Names of the compute that is there.
        is_held: Whether jobs wait, as for a cluster without room, until :meth:`let_go`.
        processes: Name of a job to its process.
    """

    azure: StandIn
    clusters: set[str] = field(default_factory=lambda: {"cpu"})
    is_held: bool = False
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    held: list[Resource] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def begin(self, job: Resource) -> None:
        if self.is_held:
            with self.changed:
                self.held.append(job)
                self.changed.notify_all()
            return
        thread = threading.Thread(target=self._run, args=(job,), daemon=True)
        self.threads.append(thread)
        thread.start()

    def wait_for(self, n_held: int, timeout_s: float = 120.0) -> bool:
        """Wait until so many jobs wait; whether they do."""
        with self.changed:
            return self.changed.wait_for(lambda: len(self.held) >= n_held, timeout_s)

    def let_go(self) -> None:
        """Give room to the jobs that wait."""
        self.is_held = False
        for job in self.held:
            self.begin(job)
        self.held.clear()

    def stop(self) -> None:
        for process in list(self.processes.values()):
            self.kill(process)
        for thread in self.threads:
            thread.join()

    @staticmethod
    def kill(process: subprocess.Popen[bytes]) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def _run(self, job: Resource) -> None:
        service = self.azure.machine_learning
        folder = self.azure.folder / "jobs" / job.name
        code, results = folder / "code", folder / "results"
        results.mkdir(parents=True)
        asset = self.azure.resources.get(job.properties["codeId"])
        assert asset is not None
        container, _, prefix = urlsplit(asset.properties["codeUri"]).path.lstrip("/").partition("/")
        service.files_of(prefix, code, container)
        command = job.properties["command"].replace("${{outputs.results}}", str(results))
        process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=code,
            env=self._environment(job),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.processes[job.name] = process
        job.properties["status"] = "Running"
        target = job.properties["outputs"]["results"]["uri"].partition("/paths/")[2]
        known: dict[Path, int] = {}
        is_running = True
        while is_running:
            try:
                process.wait(_LOOK_S)
                is_running = False
            except subprocess.TimeoutExpired:
                pass
            self._upload(results, target, known)
        if job.properties["status"] != "Canceled":
            job.properties["status"] = "Completed" if process.returncode == 0 else "Failed"

    def _environment(self, job: Resource) -> dict[str, str]:
        programs = str(Path(sys.executable).parent)
        return {
            **self.azure.environment,
            **(job.properties.get("environmentVariables") or {}),
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(Path(headrace.__file__).parents[1]),
            "HOME": str(self.azure.folder),
        }

    def _upload(self, results: Path, target: str, known: dict[Path, int]) -> None:
        service = self.azure.machine_learning
        for path in sorted(results.iterdir()):
            size = path.stat().st_size
            if known.get(path) != size:
                known[path] = size
                name = target.rstrip("/") + "/" + path.name
                self.azure.blobs.write(service.account, service.container, name, path.read_bytes())


def register(azure: StandIn) -> None:
    """Add them, as ``azure.jobs``."""
    azure.jobs = Jobs(azure=azure)
    azure.at_end(azure.jobs.stop)
    add = azure.arm.add
    add("POST", _UPLOAD, ("2023-04-01",), _start_upload)
    add("GET", _COMPUTE, (), _get_compute, is_kept=False)
    add("GET", _JOB, _VERSIONS, lambda call: reply(call.get().body()))
    add("PUT", _JOB, _VERSIONS, _put_job)
    add("POST", _JOB + "/cancel", _VERSIONS, _cancel)


def _start_upload(call: Call) -> Response:
    service = call.azure.machine_learning
    container = f"upload-{uuid.uuid4().hex}"  # each has one of its own
    call.azure.blobs.add_container(service.account, container)
    address = f"https://{service.account}.blob.core.windows.net/{container}"
    token = call.azure.blobs.sign(service.account, container)
    blob = {
        "blobUri": f"{address}",
        "storageAccountArmId": f"{call.azure.group_id}/providers/Microsoft.Storage/storageAccounts/{service.account}",
        "credential": {"credentialType": "SAS", "sasUri": f"{address}?{token}"},
    }
    return reply({"pendingUploadType": "TemporaryBlobReference", "blobReferenceForConsumption": blob})


def _get_compute(call: Call) -> Response:
    name = call.params["name"]
    if name not in call.azure.jobs.clusters:
        raise Refusal(404, "ComputeNotFound", f"The compute '{name}' was not found.")
    body: dict[str, Any] = {
        "id": call.id,
        "name": name,
        "location": call.azure.location,
        "properties": {"computeType": "AmlCompute", "provisioningState": "Succeeded"},
    }
    return reply(body)


def _put_job(call: Call) -> Response:
    properties = dict(call.json().get("properties") or {})
    if call.resources.get(call.id) is not None:
        raise Refusal(409, "UserError", f"A job with the name {call.params['name']} exists and is immutable.")
    compute = str(properties.get("computeId", "")).rpartition("/")[2]
    if compute not in call.azure.jobs.clusters:
        raise Refusal(400, "UserError", f"Compute target {compute} is not known in this workspace.")
    if re.search(r"\$\{\{(?!outputs\.results\}\})", properties.get("command", "")):
        raise Refusal(400, "UserError", "The command names an input or output that there is not.")
    properties |= {"status": "Queued", "services": {}}
    made = Resource(id=call.id, properties=properties, rest={"systemData": online_endpoints.system_data()})
    call.resources.put(made)
    call.azure.jobs.begin(made)
    return reply(made.body(), 201)


def _cancel(call: Call) -> Response:
    job = call.get(call.id.rpartition("/")[0])
    job.properties["status"] = "Canceled"
    process = call.azure.jobs.processes.get(job.name)
    if process is not None:
        call.azure.jobs.kill(process)
    return Response(status=200)
