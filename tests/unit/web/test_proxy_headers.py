"""Forwarded headers are used only from trusted proxies."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

import pytest

from customer_service.settings.gateway import GatewaySettings
from customer_service.web import proxy_headers
from customer_service.web.wsgi_environ import FORWARDED_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

PROXY, OUTER_PROXY, CLIENT = "10.0.0.5", "192.168.1.1", "203.0.113.7"
TRUSTED = (ip_network("10.0.0.0/8"), ip_network("192.168.1.1"), ip_network("2001:db8::/32"))


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    return ()


def seen(peer: str | None, script_name: str = "", **headers: str) -> dict[str, Any]:
    """Return the environment in which the application is asked."""
    environ: dict[str, Any] = {"SCRIPT_NAME": script_name} | {f"HTTP_{name}": value for name, value in headers.items()}
    if peer is not None:
        environ["REMOTE_ADDR"] = peer
    asked: list[dict[str, Any]] = []

    def keeping(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        asked.append(environ)
        return ()

    proxy_headers.trust_proxies(keeping, TRUSTED)(environ, lambda *_: lambda _: None)
    return asked[0]


def test_without_proxies_nothing_is_in_between() -> None:
    assert proxy_headers.trust_proxies(application, ()) is application


@pytest.mark.parametrize("peer", [CLIENT, "", None, "unix:", "11.0.0.5", "2001:db9::1", "10.0.0.5%x"])
def test_a_stranger_is_not_believed(peer: str | None) -> None:
    environ = seen(peer, X_FORWARDED_FOR="192.0.2.1", X_FORWARDED_PREFIX="/crm")
    assert environ.get("REMOTE_ADDR") == peer
    assert environ["SCRIPT_NAME"] == ""
    assert FORWARDED_PREFIX not in environ


@pytest.mark.parametrize("peer", [PROXY, OUTER_PROXY, "2001:db8::1", "2001:0DB8:0::1", f"::ffff:{PROXY}"])
def test_a_trusted_proxy_is_believed(peer: str) -> None:
    environ = seen(peer, X_FORWARDED_FOR=CLIENT, X_FORWARDED_PREFIX="/crm")
    assert environ["REMOTE_ADDR"] == CLIENT
    assert environ["SCRIPT_NAME"] == environ[FORWARDED_PREFIX] == "/crm"


@pytest.mark.parametrize("setting", [f"::ffff:{PROXY}", f"::ffff:{PROXY}/128", "::ffff:10.0.0.0/104"])
def test_a_mapped_address_of_the_setting_is_the_ipv4_address(setting: str) -> None:
    (network,) = GatewaySettings.from_environment({"TRUSTED_PROXIES": setting}).trusted_proxies
    assert ip_address(PROXY) in network


@pytest.mark.parametrize(
    ("forwarded_for", "client"),
    [
        (CLIENT, CLIENT),
        (f"192.0.2.1, {CLIENT}", CLIENT),
        (f"192.0.2.1,{CLIENT} ,{OUTER_PROXY}", CLIENT),
        (f"{PROXY}, {OUTER_PROXY}", PROXY),
        (f"{CLIENT}, 192.0.2.1:8080", PROXY),
        (f"{CLIENT}, unknown", PROXY),
        (f"{CLIENT}, unknown, {OUTER_PROXY}", OUTER_PROXY),
        (f"{CLIENT}, ", PROXY),
        ("2001:DB9:0:0::7", "2001:db9::7"),
        ("fe80::1%<script>", PROXY),
        ("1.2.3", PROXY),
        ("", PROXY),
        ("," * 8000, PROXY),
    ],
)
def test_the_client_is_the_nearest_that_is_no_trusted_proxy(forwarded_for: str, client: str) -> None:
    assert seen(PROXY, X_FORWARDED_FOR=forwarded_for)["REMOTE_ADDR"] == client


@pytest.mark.parametrize("prefix", ["/crm", "/crm/", "/a/b-c/d_e/1.0/~x", "/...", "/" + "a" * 255])
def test_a_plain_prefix_is_put_before_every_path(prefix: str) -> None:
    environ = seen(PROXY, "/here", X_FORWARDED_PREFIX=prefix)
    assert environ["SCRIPT_NAME"] == environ[FORWARDED_PREFIX] == prefix.removesuffix("/") + "/here"


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "/",
        "//",
        "crm",
        "//evil.example",
        "/crm//x",
        "/crm//",
        "https://evil.example",
        "/..",
        "/crm/../x",
        "/./crm",
        "/crm/..",
        "/crm, /other",
        "/crm,/other",
        "/crm\r\nSet-Cookie: x",
        "/crm\n",
        "/crm ",
        "/crm\\x",
        "/%2e%2e",
        "/crm?x=y",
        "/crm#x",
        "/crm>; rel=x",
        '/"',
        "/\xf1",
        "/crm:80",
        "/@evil",
        "/" + "a" * 256,
    ],
)
def test_any_other_prefix_is_ignored(prefix: str) -> None:
    environ = seen(PROXY, "/here", X_FORWARDED_PREFIX=prefix)
    assert environ["SCRIPT_NAME"] == "/here"
    assert FORWARDED_PREFIX not in environ
