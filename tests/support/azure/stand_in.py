"""A stand-in for Azure on loopback, for the real SDKs, unmodified.

Use it in a test::

    with StandIn(tmp_path) as azure:
        azure.enter(monkeypatch)                    # the variables of azure.environment
        azure.faults.add(method="PUT", path="onlineEndpoints/[^/]+$", status=429, headers={"Retry-After": "0"})
        ...                                         # SDKs here, or commands in processes with azure.environment
        assert azure.recording.find("PUT", "onlineEndpoints")

or by hand: ``python -m tests.support.azure --folder /tmp/x`` prints the variables and serves until it is interrupted.

How clients come here: ``HTTPS_PROXY`` names our proxy, which ends TLS with a throw-away authority that
``REQUESTS_CA_BUNDLE`` and ``SSL_CERT_FILE`` tell clients to trust. Loopback addresses are not proxied.

How to add a resource provider (``autoscale.py`` is a worked one): write a module with a function
``register(azure: StandIn)`` and name it in :data:`PROVIDERS`. In it

- ``azure.arm.add("PUT", "/subscriptions/{subscription}/…/{name}", ("2022-10-01",), function)`` lets ``function(call)``
  answer a path of the resource manager. The token, the API version, denied actions, and that subscription, group and
  outer resources exist are looked at before. ``call.json()``, ``call.params``, ``call.id``, ``call.get()``,
  ``call.resources`` are what it works with; it returns ``reply(data)`` or raises :class:`Refusal`.
- ``operation = call.start("/subscriptions/{subscription}/…/operationStatuses", succeed=…, fail=…, check=…)`` begins
  a long-running operation, ``call.accept(operation)`` gives the headers that tell of it. Faults with
  ``fail_operation`` or ``hang_operation`` work on it without further ado.
- ``azure.add_host("*.example.net", function)`` lets ``function(request)`` answer hosts that are no resource manager;
  ``azure.access.identify(request, audience)`` looks at their tokens. ``forward(request, "http://127.0.0.1:8080")``
  passes a request on to a server that really runs, streaming the answer.
- ``azure.at_end(function)`` for what is to be stopped with the stand-in, as servers of deployments.

What a test did not expect is not lost: paths that nobody answers are in :attr:`StandIn.unanswered`, and an exception
in a function here is raised when the block ends.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Protocol

from tests.support.azure import (
    autoscale,
    blob,
    cognitive_services,
    container_apps,
    jobs,
    machine_learning,
    prices,
    registry,
    subscriptions,
    vault,
)
from tests.support.azure.access import Access
from tests.support.azure.arm import ARM_HOST, ARM_URL, Arm
from tests.support.azure.authority import Authority
from tests.support.azure.directory import AUTHORITY, METADATA_HOST, Directory
from tests.support.azure.faults import CODES, Fault, Faults
from tests.support.azure.messages import Drop, Refusal, Request, Response, refuse
from tests.support.azure.operations import Operations
from tests.support.azure.proxy import Proxy
from tests.support.azure.recording import Recording
from tests.support.azure.resources import Resource, Resources

PROVIDERS = (
    subscriptions,
    autoscale,
    blob,
    prices,
    vault,
    machine_learning,
    registry,
    container_apps,
    cognitive_services,
    jobs,
)
"""Modules whose ``register`` adds what they answer."""

TENANT = "5f0a7c1e-2d1b-5c0e-9a77-6d3c8b2f4e10"
"""Always the same, since some clients remember the tenant of a host as long as they live."""

HostFunction = Callable[[Request], Response]

Manner = Callable[[Request, HostFunction], Response]
"""A way of answering that Azure may have as well: gets a request and what answers it, and answers itself."""


class _Environment(Protocol):
    def setenv(self, name: str, value: str) -> None: ...

    def delenv(self, name: str, raising: bool = True) -> None: ...


UNSET = (
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_USERNAME",
    "AZURE_TOKEN_CREDENTIALS",
    "IDENTITY_ENDPOINT",
    "MSI_ENDPOINT",
    "ALL_PROXY",
    "all_proxy",
    "https_proxy",
    "http_proxy",
    "no_proxy",
)
"""Variables that would lead clients elsewhere."""


class StandIn:
    """Azure, as far as its providers go; see the module for how to use and extend it.

    Args:
        folder: For certificates and what providers keep in files.
        port: Of the proxy; 0 for a free one.
        location: Region of the resource group.
        group: Name of a resource group that is there.

    Attributes:
        subscription: Id of the subscription that is there.
        client: The application that :attr:`environment` signs in as.
        faults: What goes wrong.
        recording: What was asked.
        resources: What is there.
        operations: What is under way.
        access: Who may do what.
        apps: Container Apps, and what runs for them.
        registries: Container registries with their images.
        directory: Who there is.
        blobs: Storage accounts.
        jobs: Command jobs, and what runs for them.
        vaults: Key vaults.
        prices: Retail prices.
        unanswered: Method and path, or host, of what nobody here answers.
        rewrite: Changes answers that are no faults before they are sent.
        manners: How it answers, the outermost first; see ``manners.py``.
    """

    apps: container_apps.Apps
    blobs: blob.Blobs
    registries: registry.Registries
    vaults: vault.Vaults
    prices: prices.Prices
    cognitive_services: cognitive_services.CognitiveServices
    jobs: jobs.Jobs
    machine_learning: machine_learning.MachineLearning

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        location: str = "westeurope",
        group: str = "rg",
        is_strict: bool = True,
    ) -> None:
        self.folder = folder / "azure"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.location = location
        self.group = group
        self.subscription = str(uuid.uuid4())
        self.directory = Directory(TENANT)
        self.rewrite: Callable[[Request, Response], Response] = lambda _, response: response
        self.manners: list[Manner] = []
        self.client = self.directory.add(secret=uuid.uuid4().hex)
        self.access = Access(self.directory)
        self.faults = Faults()
        self.recording = Recording()
        self.resources = Resources()
        self.operations = Operations(ARM_URL)
        self.unanswered: list[str] = []
        self._broken: list[BaseException] = []
        self._ends: list[Callable[[], object]] = []
        self._hosts: list[tuple[str, HostFunction]] = []
        self._never = threading.Event()
        self.arm = Arm(azure=self, is_strict=is_strict)
        self.add_host(AUTHORITY, self.directory.answer)
        self.add_host(METADATA_HOST, self.directory.answer_metadata)
        self.subscription_id = f"/subscriptions/{self.subscription}"
        self.group_id = f"{self.subscription_id}/resourceGroups/{group}"
        self.resources.put(Resource(id=self.subscription_id, properties={"state": "Enabled"}))
        self.resources.put(
            Resource(id=self.group_id, location=location, properties={"provisioningState": "Succeeded"})
        )
        for provider in PROVIDERS:
            provider.register(self)
        self.authority = Authority(self.folder)
        self._proxy = Proxy(self.answer, self.authority, port)

    @property
    def environment(self) -> dict[str, str]:
        """Variables that lead clients here and sign them in as :attr:`client`."""
        bundle = str(self.authority.bundle)
        return {
            "AZURE_TENANT_ID": self.directory.tenant,
            "AZURE_CLIENT_ID": self.client.client_id,
            "AZURE_CLIENT_SECRET": self.client.secret,
            "AZURE_SUBSCRIPTION_ID": self.subscription,
            "AZURE_RESOURCE_GROUP": self.group,
            "AZURE_CONFIG_DIR": str(self.folder / "cli"),
            "HTTPS_PROXY": self._proxy.url,
            "HTTP_PROXY": self._proxy.url,
            "NO_PROXY": "127.0.0.1,localhost,::1",
            "REQUESTS_CA_BUNDLE": bundle,
            "SSL_CERT_FILE": bundle,
        }

    def enter(self, monkeypatch: _Environment) -> None:
        """Let this process reach the stand-in, as long as the test runs."""
        for name in UNSET:
            monkeypatch.delenv(name, raising=False)
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)

    def add_host(self, pattern: str, function: HostFunction) -> None:
        """Let a function answer a host, ``*.vault.azure.net``; the latest one that fits is asked."""
        self._hosts.insert(0, (pattern, function))

    def at_end(self, function: Callable[[], object]) -> None:
        """Call something when the stand-in ends; the latest first."""
        self._ends.append(function)

    def answer(self, request: Request) -> Response:
        """Answer a request, with what is planned to go wrong with it, and record it.

        Raises:
            Drop: The connection is to be lost.
        """
        fault = self.faults.meet(request)
        if fault is not None and fault.delay_s:
            self._never.wait(fault.delay_s)
        if fault is not None and fault.drop == "before":
            self.recording.add(request, 0)
            raise Drop
        if fault is not None and fault.status is not None:
            code, message = CODES.get(fault.status, ("Error", "An error occurred."))
            response = refuse(
                fault.status,
                fault.code or code,
                fault.message or message,
                details=fault.details,
                headers=fault.headers,
            )
        else:
            response = self.rewrite(request, self._answer_mannerly(request, fault))
        if fault is not None and fault.drop == "after":
            self.recording.add(request, 0)
            raise Drop
        self.recording.add(request, response.status)
        return response

    def _answer_mannerly(self, request: Request, fault: Fault | None) -> Response:
        def answer(request: Request) -> Response:
            return self._answer_well(request, fault)

        for manner in reversed(self.manners):
            answer = partial(manner, ask=answer)
        return answer(request)

    def _answer_well(self, request: Request, fault: Fault | None) -> Response:
        try:
            if request.host == ARM_HOST:
                return self.arm.answer(request, fault)
            for pattern, function in self._hosts:
                if fnmatchcase(request.host, pattern):
                    return function(request)
        except Refusal as refusal:
            return refusal.response
        except Exception as error:  # noqa: BLE001 -- raised again when the stand-in ends
            self._broken.append(error)
            return refuse(500, "StandInError", f"The stand-in itself failed: {error!r}")
        self.unanswered.append(request.host)
        return refuse(502, "NoSuchHost", f"The stand-in does not know the host {request.host}.")

    def close(self) -> None:
        """Stop; raises what went wrong in here, if anything did."""
        self._never.set()
        self._proxy.close()
        for function in reversed(self._ends):
            function()
        if self._broken:
            raise RuntimeError(re.sub(r"\s+", " ", repr(self._broken[0]))) from self._broken[0]

    def __enter__(self) -> StandIn:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
