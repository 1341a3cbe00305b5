"""Blob storage (``{account}.blob.core.windows.net``): containers and block blobs, kept as files.

Whoever asks needs a token for storage, an account key (its signature is not looked at) or a shared access signature
that :meth:`Blobs.sign` made.
"""

from __future__ import annotations

import base64
import re
import threading
import uuid
from dataclasses import dataclass, field
from email.utils import formatdate
from hashlib import md5, sha256
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.etree import ElementTree as Xml
from xml.sax.saxutils import escape

from tests.support.azure.messages import Refusal, Request, Response

if TYPE_CHECKING:
    from tests.support.azure.stand_in import StandIn

SUFFIX = ".blob.core.windows.net"
AUDIENCE = "https://storage.azure.com"


@dataclass(kw_only=True)
class Blob:
    """One blob; its bytes are in a file.

    Attributes:
        path: Of the file.
        metadata: Names in small letters.
    """

    path: Path
    content_type: str
    etag: str
    metadata: dict[str, str] = field(default_factory=dict)


class Blobs:
    """All accounts.

    Attributes:
        folder: ``folder/account/container/name`` is the file of a blob.
    """

    def __init__(self, azure: StandIn) -> None:
        self.folder = azure.folder / "blobs"
        self._azure = azure
        self._lock = threading.RLock()
        self._containers: dict[tuple[str, str], dict[str, Blob]] = {}
        self._blocks: dict[tuple[str, str, str], dict[str, bytes]] = {}
        self._signed: dict[str, tuple[str, str, str]] = {}

    def add_container(self, account: str, container: str) -> None:
        """Make a container, if it is not there."""
        with self._lock:
            self._containers.setdefault((account, container), {})

    def sign(self, account: str, container: str, name: str = "") -> str:
        """A shared access signature (a query, without ``?``) for a container or one blob."""
        signature = uuid.uuid4().hex
        self._signed[signature] = (account, container, name)
        kind = "b" if name else "c"
        return f"sv=2025-07-05&se=2099-01-01T00%3A00%3A00Z&sr={kind}&sp=racwdl&sig={signature}"

    def url(self, account: str, container: str, name: str = "") -> str:
        """Address of a container or a blob, without a signature."""
        path = quote(f"{container}/{name}".rstrip("/"))
        return f"https://{account}{SUFFIX}/{path}"

    def names(self, account: str, container: str) -> list[str]:
        """Names of the blobs of a container."""
        with self._lock:
            return sorted(self._containers.get((account, container), {}))

    def read(self, account: str, container: str, name: str) -> bytes:
        """The bytes of a blob; ``KeyError`` for none."""
        with self._lock:
            return self._containers[account, container][name].path.read_bytes()

    def write(self, account: str, container: str, name: str, content: bytes, content_type: str = "") -> Blob:
        """Add or replace a blob."""
        path = self.folder / account / container / name
        if not path.resolve().is_relative_to((self.folder / account / container).resolve()):
            raise Refusal(400, "InvalidUri", "The requested URI is not valid.")
        with self._lock:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            made = Blob(
                path=path,
                content_type=content_type or "application/octet-stream",
                etag=f'"0x{sha256(content + uuid.uuid4().bytes).hexdigest()[:15].upper()}"',
            )
            self._containers.setdefault((account, container), {})[name] = made
            return made

    def answer(self, request: Request) -> Response:
        """The hosts of all accounts."""
        account = request.host.removesuffix(SUFFIX)
        container, _, name = request.path.lstrip("/").partition("/")
        try:
            self._authorize(request, account, container, name)
            with self._lock:
                if not name:
                    return self._answer_container(request, account, container)
                return self._answer_blob(request, account, container, name)
        except Refusal as refusal:
            return _refuse(refusal)

    def _authorize(self, request: Request, account: str, container: str, name: str) -> None:
        if signature := request.query.get("sig"):
            signed = self._signed.get(signature)
            if signed is None or signed[:2] != (account, container) or signed[2] not in ("", name):
                raise Refusal(403, "AuthenticationFailed", "Server failed to authenticate the request.")
            return
        given = request.headers.get("authorization", "")
        if given.startswith(f"SharedKey {account}:"):
            return
        if not given:
            raise Refusal(401, "NoAuthenticationInformation", "Server failed to authenticate the request.")
        principal = self._azure.access.identify(request, AUDIENCE, f"https://{request.host}")
        kind = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
        action = {"GET": "read", "HEAD": "read", "DELETE": "delete"}.get(request.method, "write")
        if any(
            denial.meets(f"{kind}/{action}", f"/{account}/{container}", principal.client_id)
            for denial in self._azure.access.denials
        ):
            message = "This request is not authorized to perform this operation using this permission."
            raise Refusal(403, "AuthorizationPermissionMismatch", message)

    def _answer_container(self, request: Request, account: str, container: str) -> Response:
        key = (account, container)
        if request.method == "PUT":
            if key in self._containers:
                raise Refusal(409, "ContainerAlreadyExists", "The specified container already exists.")
            self._containers[key] = {}
            return Response(status=201, headers=_stamp())
        if key not in self._containers:
            raise Refusal(404, "ContainerNotFound", "The specified container does not exist.")
        if request.method == "DELETE":
            del self._containers[key]
            return Response(status=202, headers=_stamp())
        if request.query.get("comp") == "list":
            return self._list(request, account, container)
        return Response(status=200, headers={**_stamp(), "ETag": '"0x1"'})

    def _list(self, request: Request, account: str, container: str) -> Response:
        prefix, delimiter = request.query.get("prefix", ""), request.query.get("delimiter", "")
        found, folders = [], set()
        for name, blob in sorted(self._containers[account, container].items()):
            if not name.startswith(prefix):
                continue
            rest = name[len(prefix) :]
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.partition(delimiter)[0] + delimiter)
                continue
            metadata = "".join(
                f"<{key}>{escape(value)}</{key}>"
                for key, value in blob.metadata.items()
                if key.isidentifier()
            )
            found.append(
                f"<Blob><Name>{escape(name)}</Name><Properties><Last-Modified>{_now()}</Last-Modified>"
                f"<Etag>{escape(blob.etag)}</Etag><Content-Length>{blob.path.stat().st_size}</Content-Length>"
                f"<Content-Type>{escape(blob.content_type)}</Content-Type><BlobType>BlockBlob</BlobType>"
                f"</Properties><Metadata>{metadata}</Metadata></Blob>"
            )
        parts = [f"<BlobPrefix><Name>{escape(name)}</Name></BlobPrefix>" for name in sorted(folders)]
        body = (
            f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="https://{request.host}/" '
            f'ContainerName="{escape(container)}"><Prefix>{escape(prefix)}</Prefix>'
            f"<Blobs>{''.join(found + parts)}</Blobs><NextMarker/></EnumerationResults>"
        )
        return Response(headers={**_stamp(), "Content-Type": "application/xml"}, body=body.encode())

    def _answer_blob(self, request: Request, account: str, container: str, name: str) -> Response:
        if (account, container) not in self._containers:
            raise Refusal(404, "ContainerNotFound", "The specified container does not exist.")
        if request.method == "PUT":
            return self._put(request, account, container, name)
        blob = self._containers[account, container].get(name)
        if blob is None:
            raise Refusal(404, "BlobNotFound", "The specified blob does not exist.")
        if request.method == "DELETE":
            del self._containers[account, container][name]
            blob.path.unlink(missing_ok=True)
            return Response(status=202, headers=_stamp())
        return _read(request, blob)

    def _put(self, request: Request, account: str, container: str, name: str) -> Response:
        kind = request.query.get("comp", "")
        key = (account, container, name)
        blobs = self._containers[account, container]
        if kind == "metadata":
            if name not in blobs:
                raise Refusal(404, "BlobNotFound", "The specified blob does not exist.")
            blobs[name].metadata = _metadata(request)
            return Response(status=200, headers={**_stamp(), "ETag": blobs[name].etag})
        if kind == "block":
            self._blocks.setdefault(key, {})[request.query["blockid"]] = request.body
            return Response(status=201, headers=_stamp())
        if request.headers.get("if-none-match") == "*" and name in blobs:
            raise Refusal(409, "BlobAlreadyExists", "The specified blob already exists.")
        content = request.body
        if kind == "blocklist":
            content = self._join(key, request.body)
        elif request.headers.get("x-ms-blob-type") != "BlockBlob":
            raise Refusal(400, "InvalidHeaderValue", "The stand-in keeps block blobs only.")
        content_type = request.headers.get("x-ms-blob-content-type") or request.headers.get(
            "content-type", ""
        )
        made = self.write(account, container, name, content, content_type)
        made.metadata = _metadata(request)
        digest = base64.b64encode(md5(content, usedforsecurity=False).digest()).decode()
        return Response(status=201, headers={**_stamp(), "ETag": made.etag, "Content-MD5": digest})

    def _join(self, key: tuple[str, str, str], listed: bytes) -> bytes:
        blocks = self._blocks.pop(key, {})
        ids = [element.text or "" for element in Xml.fromstring(listed)]  # noqa: S314 -- from an SDK under test
        if any(block_id not in blocks for block_id in ids):
            raise Refusal(400, "InvalidBlockList", "The specified block list is invalid.")
        return b"".join(blocks[block_id] for block_id in ids)


def _read(request: Request, blob: Blob) -> Response:
    content = blob.path.read_bytes()
    headers = {
        **_stamp(),
        "ETag": blob.etag,
        "Content-Type": blob.content_type,
        "Accept-Ranges": "bytes",
        "x-ms-blob-type": "BlockBlob",
        "x-ms-server-encrypted": "true",
        **{f"x-ms-meta-{name}": value for name, value in blob.metadata.items()},
    }
    if request.method == "HEAD":
        return Response(headers={**headers, "Content-Length": str(len(content))})
    asked = request.headers.get("x-ms-range") or request.headers.get("range", "")
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", asked)
    if match is None:
        return Response(headers=headers, body=content)
    first = int(match[1])
    last = min(int(match[2] or len(content)), len(content) - 1)
    if first >= len(content):
        raise Refusal(416, "InvalidRange", "The range specified is invalid.")
    headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
    return Response(status=206, headers=headers, body=content[first : last + 1])


def _metadata(request: Request) -> dict[str, str]:
    start = "x-ms-meta-"
    return {
        name.removeprefix(start): value for name, value in request.headers.items() if name.startswith(start)
    }


def _now() -> str:
    return formatdate(usegmt=True)


def _stamp() -> dict[str, str]:
    return {"Last-Modified": _now(), "x-ms-version": "2025-07-05", "x-ms-request-id": str(uuid.uuid4())}


def _refuse(refusal: Refusal) -> Response:
    body = (
        f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{refusal.code}</Code>'
        f"<Message>{escape(refusal.message)}</Message></Error>"
    )
    headers = {**_stamp(), "x-ms-error-code": refusal.code, "Content-Type": "application/xml"}
    return Response(status=refusal.response.status, headers=headers, body=body.encode())


def register(azure: StandIn) -> None:
    """Add it, as ``azure.blobs``."""
    azure.blobs = Blobs(azure)
    azure.add_host("*" + SUFFIX, azure.blobs.answer)
