"""Images by their address: which addresses are asked, and what is made of their answers. All servers are on loopback."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.support.certificate import make_certificate
from tests.support.images import RED, Page, image_server

from headrace.config import Settings, load_settings
from headrace.domain.multimedia import ImageError
from headrace.providers import image_fetch
from headrace.providers.image_fetch import MAX_BYTES, fetch_image


def settings(hosts: str = "127.0.0.1", **environment: str) -> Settings:
    return load_settings({"HEADRACE_IMAGE_HOSTS": hosts, **environment})


def red(_: str, __: Mapping[str, str]) -> Page:
    return Page(content=RED)


@pytest.mark.parametrize(
    "address",
    [
        "http://localhost/x.png",
        "http://LOCALHOST./x.png",
        "http://127.0.0.1:{port}/x.png",
        "http://2130706433/x.png",  # the same in one number
        "http://0.0.0.0/x.png",
        "http://[::1]/x.png",
        "http://[::ffff:127.0.0.1]/x.png",
        "http://10.1.2.3/x.png",
        "http://192.168.0.1/x.png",
        "http://172.16.0.1/x.png",
        "http://169.254.169.254/latest/meta-data",
        "http://100.64.0.1/x.png",
        "http://224.0.0.1/x.png",
        "http://[fe80::1]/x.png",
        "http://[fc00::1]/x.png",
        "http://[64:ff9b::7f00:1]/x.png",
        "http://[2002:7f00:1::]/x.png",
        "http://[::127.0.0.1]/x.png",
        "http://[fec0::2]/x.png",
        "http://[64:ff9b:1::7f00:1]/x.png",
        "http://[::ffff:0:127.0.0.1]/x.png",
        "https://user:word@127.0.0.1/x.png",
    ],
)
def test_no_address_of_this_machine_or_a_private_network_is_asked(address: str) -> None:
    asked: list[str] = []

    def note(target: str, _: Mapping[str, str]) -> Page:
        asked.append(target)
        return Page(content=RED)

    with image_server(note) as port, pytest.raises(ImageError) as caught:
        fetch_image(address.format(port=port), settings(hosts="example.org"))
    assert caught.value.is_refused
    assert "HEADRACE_IMAGE_HOSTS" in caught.value.fix
    assert "word" not in f"{caught.value}{caught.value.fix}"
    assert asked == []


@pytest.mark.parametrize(
    "address",
    ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"],
)
def test_public_addresses_may_be_asked(address: str) -> None:
    assert image_fetch._is_public(address)


def test_a_host_that_the_setting_names_is_asked() -> None:
    seen: dict[str, str] = {}

    def answer(target: str, headers: Mapping[str, str]) -> Page:
        seen.update(headers, target=target)
        return Page(content=RED)

    with image_server(answer) as port:
        url = f"http://me:s%C3%A4@127.0.0.1:{port}/a b.png?sig=x&n=ü"
        assert fetch_image(url, settings("other.example, 127.0.0.1")) == RED
    assert seen["target"] == "/a%20b.png?sig=x&n=%C3%BC"
    assert seen["host"] == f"127.0.0.1:{port}"
    assert seen["user-agent"].startswith("headrace/")
    assert seen["authorization"] == "Basic bWU6c8Ok"


def test_a_redirect_is_followed_and_looked_at_like_any_address() -> None:
    def answer(target: str, headers: Mapping[str, str]) -> Page:
        if target == "/here":
            return Page(status=302, headers={"Location": "/red.png"})
        if target == "/private":
            return Page(
                status=307, headers={"Location": f"http://localhost:{headers['host'].split(':')[1]}/red.png"}
            )
        if target == "/round":
            return Page(status=301, headers={"Location": "/round"})
        if target == "/file":
            return Page(status=301, headers={"Location": "file:///etc/hostname"})
        return Page(content=RED)

    with image_server(answer) as port:
        base = f"http://127.0.0.1:{port}"
        assert fetch_image(f"{base}/here", settings()) == RED
        with pytest.raises(ImageError, match="localhost leads to this machine") as caught:
            fetch_image(f"{base}/private", settings())
        assert caught.value.is_refused
        with pytest.raises(ImageError, match="redirects more than 5 times"):
            fetch_image(f"{base}/round", settings())
        with pytest.raises(ImageError, match="no http or https address"):
            fetch_image(f"{base}/file", settings())


@pytest.mark.parametrize(
    "url", ["ftp://example.org/a.png", "file:///etc/hostname", "http://", "http://[1/a", "http://a:b/"]
)
def test_only_http_addresses_are_fetched(url: str) -> None:
    with pytest.raises(ImageError, match="no http or https address"):
        fetch_image(url, settings())


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (Page(status=404), "answers with status 404"),
        (Page(content=RED, length=len(RED) + 5), "IncompleteRead"),
        (Page(content=b"x" * (MAX_BYTES + 1)), "larger than 20 MB"),
    ],
)
def test_an_answer_that_is_no_image_says_why(page: Page, reason: str) -> None:
    with image_server(lambda *_: page) as port, pytest.raises(ImageError, match=reason) as caught:
        fetch_image(f"http://127.0.0.1:{port}/secret.png?sig=word", settings())
    assert not caught.value.is_refused
    assert "word" not in str(caught.value)


def test_nobody_there_and_nobody_known() -> None:
    with image_server(red) as port:
        pass
    with pytest.raises(ImageError, match=r"127\.0\.0\.1 cannot be reached \(ConnectionRefusedError\)"):
        fetch_image(f"http://127.0.0.1:{port}/x.png", settings())
    with pytest.raises(ImageError, match=r"no address is known for the host nowhere\.invalid"):
        fetch_image("http://nowhere.invalid/x.png", settings())


def test_a_server_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_fetch, "MAX_SECONDS", 0.1)
    release = threading.Event()

    def wait(_: str, __: Mapping[str, str]) -> Page:
        release.wait(10)
        return Page(content=RED)

    with image_server(wait) as port:
        with pytest.raises(ImageError, match=r"did not answer within 0\.1 s"):
            fetch_image(f"http://127.0.0.1:{port}/x.png", settings())
        release.set()


def test_certificates_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with image_server(red, tls=context) as port:
        url = f"https://127.0.0.1:{port}/x.png"
        with pytest.raises(ImageError, match="SSLCertVerificationError"):
            fetch_image(url, settings())
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert fetch_image(url, settings()) == RED


def test_a_proxy_is_asked_where_the_environment_names_one() -> None:
    seen: dict[str, str] = {}

    def proxy(target: str, headers: Mapping[str, str]) -> Page:
        seen.update(headers, target=target)
        return Page(content=RED)

    with image_server(proxy) as port:
        environment = {"http_proxy": f"http://me:word@127.0.0.1:{port}"}
        here = settings("images.example", **environment)
        assert fetch_image("http://images.example/x.png?a=b", here) == RED
        assert seen["target"] == "http://images.example/x.png?a=b"
        assert seen["host"] == "images.example"
        assert seen["proxy-authorization"] == "Basic bWU6d29yZA=="
        # What the name leads to is looked at here, whoever asks for it.
        with pytest.raises(ImageError, match="leads to this machine"):
            fetch_image("http://10.0.0.1/x.png", here)


def test_a_tunnel_through_a_proxy_that_refuses_it_is_said() -> None:
    with image_server(lambda *_: Page(status=403)) as port:
        here = settings("images.example", https_proxy=f"http://127.0.0.1:{port}")
        with pytest.raises(ImageError, match=r"images\.example cannot be reached"):
            fetch_image("https://images.example/x.png", here)


@pytest.mark.parametrize(
    "content", [b"", b"<!doctype html><title>Sign in</title>", b'{"AccessKeyId": "x"}', "é\n\t".encode()]
)
def test_a_text_is_no_image_whatever_it_calls_itself(content: bytes) -> None:
    with image_server(lambda *_: Page(content=content)) as port, pytest.raises(ImageError) as caught:
        fetch_image(f"http://127.0.0.1:{port}/x.png", settings())
    assert str(caught.value) in (
        "what its address holds is a text, not an image",
        "its address holds nothing",
    )
    assert "AccessKeyId" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        RED,
        b"\xff\xd8\xff\xe0" + b"JFIF" * 10,
        b"GIF89a\x01\x00",
        b"RIFF\x10\x00\x00\x00WEBPVP8 ",
        b"\x00\x00\x00 ftypavif",
        b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>',
    ],
)
def test_images_of_every_kind_are_taken(content: bytes) -> None:
    with image_server(lambda *_: Page(content=content)) as port:
        assert fetch_image(f"http://127.0.0.1:{port}/x", settings()) == content


@pytest.mark.parametrize(("word", "is_asked"), [("public", True), ("named", True), ("none", False)])
def test_addresses_can_be_shut_out(word: str, is_asked: bool) -> None:
    here = settings(HEADRACE_IMAGE_ADDRESSES=word)
    with image_server(red) as port:
        if is_asked:
            assert fetch_image(f"http://127.0.0.1:{port}/x.png", here) == RED
        else:
            with pytest.raises(ImageError) as caught:
                fetch_image(f"http://127.0.0.1:{port}/x.png", here)
            assert caught.value.is_refused
    if word != "public":
        with pytest.raises(ImageError, match=word) as caught:
            fetch_image("https://8.8.8.8/x.png", here)
        assert caught.value.is_refused
