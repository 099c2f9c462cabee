from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable.gateway.access import Access, Authority, parse_authority, parse_origin, split_target


@pytest.fixture
def access():
    return Access(["dev.example.test", "*.tunnel.example", "192.168.1.7", "2001:db8::7"])


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8787",
        "LOCALHOST:1",
        "localhost.",
        "localhost.:8787",
        "app.localhost:3000",
        "a.b.localhost",
        "127.0.0.1",
        "127.0.0.1:65535",
        "127.8.9.1:80",
        "127.0.0.1.",
        "[::1]",
        "[::1]:8787",
        "[0:0:0:0:0:0:0:1]:8787",
        "dev.example.test:8787",
        "DEV.example.test.",
        "x.tunnel.example",
        "x.y.tunnel.example:443",
        "192.168.1.7:8787",
        "[2001:db8::7]:8787",
        "[2001:DB8:0::7]",
    ],
)
def test_local_and_listed_hosts_may_be_named(access, host):
    assert access.allowed(host, "/", None) is None


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        " ",
        "rebind.example",
        "evil.example:8787",
        "localhost.evil.example",
        "localhostx",
        "xlocalhost",
        "127.0.0.1.evil.example",
        "127.1",
        "0x7f.0.0.1",
        "2130706433",
        "0.0.0.0",
        "10.0.0.1",
        "[::1",
        "::1",
        "2001:db8::7",
        "[2001:db8::8]",
        "[::]",
        "[::1]x",
        "[::1]:",
        "[fe80::1%25eth0]",
        "[v1.a]",
        "localhost:",
        "localhost:http",
        "localhost:99999",
        "localhost:-1",
        "localhost: 80",
        "user@localhost",
        "localhost@evil.example",
        "localhost,evil.example",
        "localhost/",
        "a/b?c#d",
        "local host",
        "localhost\t",
        "localhost\x00",
        ".localhost",
        "..localhost",
        "-.localhost-",
        "ｌocalhost",
        "lo\udcffcalhost",
        "tunnel.example",  # a wildcard does not stand for its own name
        "xtunnel.example",
        "dev.example.test.evil",
        "a" * 400 + ".localhost",
    ],
)
def test_every_other_host_is_refused(access, host):
    assert access.allowed(host, "/", None) == "host"


@pytest.mark.parametrize(
    ("target", "refusal"),
    [
        ("/", None),
        ("*", None),
        ("http://localhost:8787/x", None),
        ("HTTP://LOCALHOST:8787/x", None),
        ("http://localhost:8787", None),
        ("http://localhost:8787?q", None),
        ("http://evil.example/x", "authority"),
        ("http://localhost/x", "authority"),
        ("http://localhost:8787@evil.example/", "authority"),
        ("http:///x", "authority"),
        ("ftp://localhost:8787/x", "authority"),
        ("localhost:8787", "authority"),
        ("x", "authority"),
        ("", "authority"),
    ],
)
def test_an_absolute_target_names_the_same_host_as_the_header(access, target, refusal):
    assert access.allowed("localhost:8787", target, None) == refusal


@pytest.mark.parametrize(
    ("origin", "refusal"),
    [
        (None, None),
        ("http://localhost:8787", None),
        ("http://localhost:3000", None),
        ("https://localhost", None),
        ("http://[::1]:8787", None),
        ("https://dev.example.test", None),
        ("https://x.tunnel.example", None),
        ("null", "origin"),
        ("", "origin"),
        ("https://evil.example", "origin"),
        ("http://127.0.0.1.evil", "origin"),
        ("http://localhost.evil.example", "origin"),
        ("http://localhost/path", "origin"),
        ("http://user@localhost", "origin"),
        ("HTTP://localhost", "origin"),  # browsers write it in lower case
        ("file://localhost", "origin"),
        ("chrome-extension://localhost", "origin"),
        ("http://", "origin"),
        ("http://localhost http://evil.example", "origin"),
    ],
)
def test_an_upgrade_comes_from_no_page_or_from_a_page_of_an_allowed_host(access, origin, refusal):
    assert access.allowed("localhost:8787", "/", origin) == refusal


@pytest.mark.parametrize(
    ("origin", "same"),
    [
        (None, True),
        ("http://localhost:8787", True),
        ("http://LOCALHOST:8787", True),
        ("https://localhost:8787", False),
        ("http://localhost", False),
        ("http://127.0.0.1:8787", False),
        ("http://app.localhost:8787", False),
        ("null", False),
        ("https://evil.example", False),
    ],
)
def test_our_own_tools_take_only_the_same_origin(access, origin, same):
    assert access.same_origin("localhost:8787", origin) is same


def test_the_default_port_of_an_origin_is_spelled_out():
    assert parse_origin("http://localhost") == Authority("localhost", 80)
    assert parse_origin("https://[::1]") == Authority("::1", 443, is_address=True)


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("/a//b?c=/d", (None, "/a//b?c=/d")),
        ("*", (None, "*")),
        ("http://h:1/a?b", ("h:1", "/a?b")),
        ("https://h", ("h", "/")),
        ("http://h?b", ("h", "/?b")),
        ("http://h#f", ("h", "/#f")),
    ],
)
def test_targets_are_split_without_being_normalised(target, parts):
    assert split_target(target) == parts


@given(st.text(max_size=400), st.text(max_size=400), st.none() | st.text(max_size=400))
def test_no_input_raises(host, target, origin):
    access = Access(["*.example", "example"])
    assert access.allowed(host, target, origin) in {None, "host", "authority", "origin"}
    assert access.same_origin(host, origin) in {True, False}


@given(st.text(alphabet="abclostxyz.:[]01279/@-", max_size=24))
def test_whatever_is_allowed_is_local_by_equality_or_by_its_last_label(host):
    if Access().allowed(host, "/", None) is None:
        authority = parse_authority(host)
        assert authority is not None
        assert (
            authority.host == "localhost"
            or authority.host.endswith(".localhost")
            or authority.host.startswith("127.")
            or authority.host == "::1"
        )
