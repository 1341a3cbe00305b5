"""Images that a flow names by their address: fetched under a policy, within limits of size and time.

An address in a flow's inputs may come from anybody, and who fetches it stands inside the network: so no address that
leads to this machine or to a private network is fetched, unless its host is named in ``HEADRACE_IMAGE_HOSTS``. What
counts is where the name leads: it is resolved first, the connection is made to the address that was looked at, and a
redirect is an address like any other. What comes back must be an image: a text that is none is not passed on.
"""

from __future__ import annotations

import base64
import http.client
import re
import socket
import ssl
import time
from contextlib import closing
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from headrace import __version__
from headrace.config import Settings
from headrace.domain.multimedia import ImageError
from headrace.providers.proxies import find_proxy
from headrace.providers.tls import trusted_certificates

MAX_BYTES: Final = 20_000_000
MAX_SECONDS: Final = 30.0
MAX_REDIRECTS: Final = 5

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = (301, 302, 303, 307, 308)
_NAT64 = IPv6Network("64:ff9b::/96")
_UNICAST = IPv6Network("2000::/3")
"""All of IPv6 that is given out for the internet. What lies outside is local, of a translator, or not in use, though
Python's table of addresses calls some of it global."""
_PIECE_BYTES = 65_536
_LOOKED_AT_BYTES = 1024
_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]|^\xff\xd8\xff")
"""Control characters, of which every image has some near its beginning, and text has none."""
_SAFE = "%/:=&?~#+!$,;'@()*[]"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """One address to fetch, looked at.

    Attributes:
        parts: The address.
        host, port: Where it leads by name.
        addresses: Where the name leads.
        proxy: The proxy on the way there, if any.
    """

    parts: SplitResult
    host: str
    port: int
    addresses: tuple[str, ...]
    proxy: SplitResult | None


def fetch_image(url: str, settings: Settings) -> bytes:
    """The content of an address; blocks.

    Args:
        url: An ``http`` or ``https`` address.
        settings: Hosts in private networks that may be asked, and the environment's proxies and certificates.

    Raises:
        ImageError: The policy refuses the address or one that it redirects to; nobody answers, or not with an image of
            at most :data:`MAX_BYTES` bytes within :data:`MAX_SECONDS` seconds.
    """
    deadline = time.monotonic() + MAX_SECONDS
    for _ in range(MAX_REDIRECTS + 1):
        target = _look_at(url, settings)
        try:
            answer = _ask(target, deadline)
        except TimeoutError as error:
            raise _too_slow() from error
        except (OSError, UnicodeError, http.client.HTTPException) as error:
            raise _unreachable(target, error) from error
        if isinstance(answer, bytes):
            _check_image(answer)
            return answer
        url = urljoin(url, answer)
    raise ImageError(
        reason=f"its address redirects more than {MAX_REDIRECTS} times",
        fix="Give the address of the image itself.",
    )


def _look_at(url: str, settings: Settings) -> _Target:
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise _no_address() from error
    if parts.scheme not in _PORTS or not host:
        raise _no_address()
    port = port or _PORTS[parts.scheme]
    is_named = host in settings.image_hosts
    if settings.image_addresses == "none" or (settings.image_addresses == "named" and not is_named):
        raise ImageError(
            reason=f"HEADRACE_IMAGE_ADDRESSES is {settings.image_addresses}",
            fix="Give the image as a file or in base64; or name its host in HEADRACE_IMAGE_HOSTS.",
            is_refused=True,
        )
    proxy = find_proxy(url, settings.environment)
    addresses = _resolve(host, port, is_needed=not (is_named and proxy))
    if not is_named and not all(map(_is_public, addresses)):
        raise ImageError(
            reason=f"{host} leads to this machine or to a private network",
            fix=f"Give the image as a file or in base64; or, if you trust the host, set HEADRACE_IMAGE_HOSTS={host}.",
            is_refused=True,
        )
    return _Target(
        parts=parts, host=host, port=port, addresses=addresses, proxy=urlsplit(proxy) if proxy else None
    )


def _resolve(host: str, port: int, *, is_needed: bool) -> tuple[str, ...]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        if not is_needed:
            return ()
        raise ImageError(
            reason=f"no address is known for the host {host}", fix="Check the address."
        ) from error
    return tuple(dict.fromkeys(str(item[4][0]) for item in found))


def _is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, also where it wraps another one."""
    number = ip_address(address.partition("%")[0])
    if isinstance(number, IPv6Address):
        wrapped = _wrapped(number)
        if wrapped is not None:
            return wrapped.is_global and not wrapped.is_multicast
        if number not in _UNICAST:
            return False
    return number.is_global and not number.is_multicast


def _wrapped(number: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address carries: mapped, 6to4, NAT64, or the client of Teredo."""
    if number in _NAT64:
        return IPv4Address(int(number) & 0xFFFF_FFFF)
    teredo = number.teredo
    return number.ipv4_mapped or number.sixtofour or (teredo[1] if teredo else None)


def _ask(target: _Target, deadline: float) -> bytes | str:
    """The content, or where it is said to be."""
    connection = _connect(target, deadline)
    try:
        path = quote(target.parts.path or "/", safe=_SAFE)
        query = quote(target.parts.query, safe=_SAFE)
        path = f"{path}?{query}" if query else path
        if target.proxy is not None and target.parts.scheme == "http":
            path = f"http://{_authority(target)}{path}"
        connection.request("GET", path, headers=_headers(target))
        stream = connection.sock
        # The response holds the socket on its own where the server closes after it.
        with closing(connection.getresponse()) as response:
            if response.status in _REDIRECTS:
                return response.headers.get("Location") or ""
            if response.status != http.client.OK:
                reason = f"{target.host} answers with status {response.status}"
                raise ImageError(reason=reason, fix="Check the address.")
            return _read(stream, response, deadline)
    finally:
        connection.close()


def _connect(target: _Target, deadline: float) -> http.client.HTTPConnection:
    if target.proxy is not None:
        return _connect_by_proxy(target, target.proxy, deadline)
    tls = trusted_certificates(f"{target.parts.scheme}:")
    failure: OSError | None = None
    for address in target.addresses:
        try:
            return _connect_to(address, target, tls, deadline)
        except TimeoutError:
            raise
        except OSError as error:
            failure = error
    raise failure or OSError


def _connect_to(
    address: str, target: _Target, tls: ssl.SSLContext | None, deadline: float
) -> http.client.HTTPConnection:
    """A connection to an address that was looked at: by name, it could lead somewhere else by now."""
    connection = http.client.HTTPConnection(target.host, target.port)
    plain = socket.create_connection((address, target.port), timeout=_rest(deadline))
    try:
        connection.sock = tls.wrap_socket(plain, server_hostname=target.host) if tls else plain
    except (OSError, ValueError):
        plain.close()
        raise
    return connection


def _connect_by_proxy(target: _Target, proxy: SplitResult, deadline: float) -> http.client.HTTPConnection:
    port = proxy.port or _PORTS.get(proxy.scheme, 80)
    name = proxy.hostname or ""
    if target.parts.scheme == "http":
        return http.client.HTTPConnection(name, port, timeout=_rest(deadline))
    context = trusted_certificates("https:") or ssl.create_default_context()
    connection = http.client.HTTPSConnection(name, port, timeout=_rest(deadline), context=context)
    connection.set_tunnel(target.host, target.port, headers=_basic("Proxy-Authorization", proxy))
    return connection


def _headers(target: _Target) -> dict[str, str]:
    headers = {"Host": _authority(target), "User-Agent": f"headrace/{__version__}", "Accept": "image/*, */*"}
    headers |= _basic("Authorization", target.parts)
    if target.proxy is not None and target.parts.scheme == "http":
        headers |= _basic("Proxy-Authorization", target.proxy)
    return headers


def _authority(target: _Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host.encode("idna").decode("ascii")
    return host if target.port == _PORTS[target.parts.scheme] else f"{host}:{target.port}"


def _basic(header: str, parts: SplitResult) -> dict[str, str]:
    """The header with the user and the password of an address, if it has them."""
    if not parts.username:
        return {}
    words = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {header: f"Basic {base64.b64encode(words.encode()).decode('ascii')}"}


def _read(stream: socket.socket | None, response: http.client.HTTPResponse, deadline: float) -> bytes:
    content = bytearray()
    while not response.isclosed():  # Python 3.13 closes it, and so the socket, with the last piece
        if stream is not None:
            stream.settimeout(_rest(deadline))
        piece = response.read1(_PIECE_BYTES)
        content += piece
        if len(content) > MAX_BYTES:
            raise ImageError(
                reason=f"what its address holds is larger than {MAX_BYTES // 1_000_000} MB",
                fix="Give a smaller image.",
            )
        if not piece:
            break
    if response.length:
        raise http.client.IncompleteRead(bytes(content), response.length)
    return bytes(content)


def _check_image(content: bytes) -> None:
    """Refuse a text: what is behind an address is passed on as an image, whatever it is.

    Raises:
        ImageError: It is a text, and no SVG.
    """
    beginning = content[:_LOOKED_AT_BYTES]
    is_text = not _NO_TEXT.search(beginning)
    if is_text and b"<svg" not in beginning.lower():
        reason = "what its address holds is a text, not an image" if content else "its address holds nothing"
        raise ImageError(reason=reason, fix="Check the address: it may show a page for signing in.")


def _rest(deadline: float) -> float:
    """Seconds that are left.

    Raises:
        TimeoutError: None.
    """
    rest = deadline - time.monotonic()
    if rest <= 0:
        raise TimeoutError
    return rest


def _no_address() -> ImageError:
    return ImageError(
        reason="it is no http or https address", fix="Give an address that begins with https://."
    )


def _too_slow() -> ImageError:
    return ImageError(
        reason=f"its address did not answer within {MAX_SECONDS:g} s",
        fix="Try again, or give the image as a file.",
    )


def _unreachable(target: _Target, error: Exception) -> ImageError:
    return ImageError(
        reason=f"{target.host} cannot be reached ({type(error).__name__})",
        fix="Check the address and the network.",
    )
