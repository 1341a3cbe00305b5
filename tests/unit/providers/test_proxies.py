"""Which proxy a request goes through, by the variables of the environment."""

from __future__ import annotations

import pytest

from headrace.errors import UsageError
from headrace.providers.proxies import find_proxy

FAR = "https://api.far.example/v1"
HTTP = "http://proxy:3128"


@pytest.mark.parametrize(
    ("url", "environment", "expected"),
    [
        (FAR, {}, None),
        (FAR, {"HTTPS_PROXY": HTTP}, HTTP),
        (FAR, {"https_proxy": HTTP, "HTTPS_PROXY": "http://other:1"}, HTTP),
        (FAR, {"HTTP_PROXY": HTTP}, None),
        ("http://far.example", {"HTTP_PROXY": HTTP}, HTTP),
        (FAR, {"ALL_PROXY": HTTP}, HTTP),
        (FAR, {"ALL_PROXY": "socks5://proxy:1080", "HTTPS_PROXY": HTTP}, HTTP),
        (FAR, {"HTTPS_PROXY": "proxy:3128"}, HTTP),
        (FAR, {"HTTPS_PROXY": "https://user:word@proxy"}, "https://user:word@proxy"),
        (FAR, {"HTTPS_PROXY": HTTP, "NO_PROXY": "*"}, None),
        (FAR, {"HTTPS_PROXY": HTTP, "NO_PROXY": "other, .far.example"}, None),
        (FAR, {"HTTPS_PROXY": HTTP, "no_proxy": "FAR.example"}, None),
        (FAR, {"HTTPS_PROXY": HTTP, "NO_PROXY": "*.far.example"}, None),
        (FAR, {"HTTPS_PROXY": HTTP, "NO_PROXY": "notfar.example,,example:8080"}, HTTP),
        ("https://far.example:8080", {"HTTPS_PROXY": HTTP, "NO_PROXY": "example:8080"}, None),
        ("http://localhost:11434/v1", {"HTTP_PROXY": HTTP}, None),
        ("http://127.3.2.1", {"ALL_PROXY": HTTP}, None),
        ("http://[::1]:80", {"ALL_PROXY": "socks5://proxy:1080"}, None),
    ],
)
def test_proxy(url: str, environment: dict[str, str], expected: str | None) -> None:
    assert find_proxy(url, environment) == expected


@pytest.mark.parametrize(
    "proxy",
    ["socks5://user:word@proxy:1080", "http:///", "http://:3128", "http://proxy:99999", "http://[bad"],
)
def test_something_else_than_an_http_proxy_is_refused_without_showing_it(proxy: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_proxy(FAR, {"all_proxy": proxy})
    (problem,) = caught.value.problems
    assert problem.code == "C506"
    assert "ALL_PROXY" in problem.what
    assert proxy not in str(problem.to_json())
