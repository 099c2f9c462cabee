"""Who may speak to the gateway at all: the rules for Host and Origin. Pure, total functions; malformed means refused.

Loopback is no boundary: a page in the developer's browser reaches 127.0.0.1 under any name its owner points there (DNS
rebinding, cf. CVE-2025-24010), and WebSockets ignore the same-origin policy (cf. CVE-2023-7080). So every request must
name a host that is local or listed, and every upgrade that a browser made must come from such a host as well.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from msgspec import Struct

_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*", re.ASCII)
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_AUTHORITY_LENGTH_MAX = 300
"""A DNS name has at most 253 characters; the rest is room for a port."""


class Authority(Struct, frozen=True):
    """Host and port of an authority. `host` is lower-case, without a final dot; IPv6 without its brackets."""

    host: str
    port: int | None
    is_address: bool = False


def parse_authority(text: str) -> Authority | None:
    """`name`, `ipv4` or `[ipv6]`, then perhaps `:port`; anything else, user information included, is None."""
    if not text or len(text) > _AUTHORITY_LENGTH_MAX or not text.isascii():
        return None
    if text.startswith("["):
        literal, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return None
        port_text = rest[1:] if rest else None
    else:
        literal, colon, after = text.partition(":")
        port_text = after if colon else None
    port: int | None = None
    if port_text is not None:
        if _PORT.fullmatch(port_text) is None or int(port_text) > 65_535:
            return None
        port = int(port_text)
    if text.startswith("["):
        return _address(ipaddress.IPv6Address, literal, port) if "%" not in literal else None
    name = literal.lower().removesuffix(".")
    if _NAME.fullmatch(name) is None:
        return None
    if name.rsplit(".", 1)[-1].isdigit():
        # A name that ends in a number is an IPv4 address or nothing (WHATWG URL, "ends in a number checker").
        return _address(ipaddress.IPv4Address, name, port)
    return Authority(name, port)


def _address(
    kind: type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address], literal: str, port: int | None
) -> Authority | None:
    try:
        return Authority(kind(literal).compressed, port, is_address=True)
    except ValueError:
        return None


def parse_origin(origin: str) -> Authority | None:
    """The host of an `http(s)://` origin; None for "null", other schemes, paths and anything malformed."""
    for scheme, port in (("http://", 80), ("https://", 443)):
        if origin.startswith(scheme):
            authority = parse_authority(origin[len(scheme) :])
            if authority is not None and authority.port is None:
                return Authority(authority.host, port, authority.is_address)
            return authority
    return None


def split_target(target: str) -> tuple[str | None, str]:
    """(authority, path and query) of a request target; the authority is None for all but the absolute form."""
    if target.startswith("/") or target == "*":
        return None, target
    scheme, separator, rest = target.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        return "", target
    for at, character in enumerate(rest):
        if character in "/?#":
            path = rest[at:]
            return rest[:at], path if character == "/" else "/" + path
    return rest, "/"


class Access:
    """The hosts that may be named: local ones, the address we listen on, and those of `[dev] allowed_hosts`.

    `allowed_hosts` holds names or addresses, compared by equality, and wildcards like `*.example.test`, which stand for
    every name below (not for `example.test` itself).
    """

    def __init__(self, allowed_hosts: Iterable[str] = ()) -> None:
        listed: set[str] = set()
        wildcards = [".localhost"]
        for entry in allowed_hosts:
            wildcard = entry.startswith("*.")
            # An IPv6 address has brackets in a URL, and none in the configuration.
            bare = f"[{entry}]" if entry.count(":") > 1 and not entry.startswith("[") else entry
            authority = parse_authority(entry[2:] if wildcard else bare)
            if authority is None:
                continue  # the configuration has complained about it already
            if wildcard:
                wildcards.append("." + authority.host)
            else:
                listed.add(authority.host)
        self._listed = frozenset(listed)
        self._wildcards = tuple(wildcards)
        self._host_verdicts: dict[str, bool] = {}

    def allowed(self, host_header: str | None, target: str, origin: str | None) -> str | None:
        """None when the request may pass, else what is wrong with it: "host", "authority" or "origin".

        Pass the origin only where it matters, for upgrades and for our own tools: pages of other origins may well ask a
        user's program for something, and what it then answers is its own decision.
        """
        if host_header is None or not self.allows_host(host_header):
            return "host"
        if target[:1] != "/":
            authority, _ = split_target(target)
            if authority is not None and parse_authority(authority) != parse_authority(host_header):
                return "authority"
        if origin is None:
            return None
        from_host = parse_origin(origin)
        return None if from_host is not None and self._is_local_or_listed(from_host) else "origin"

    def same_origin(self, host_header: str, origin: str | None) -> bool:
        """Whether a page of this very server sent it; True for clients that are no browser and send no origin."""
        if origin is None:
            return True
        ours, theirs = parse_origin("http://" + host_header), parse_origin(origin)
        return ours is not None and theirs is not None and origin.startswith("http://") and ours == theirs

    def allows_host(self, host_header: str) -> bool:
        if len(host_header) > _AUTHORITY_LENGTH_MAX:
            return False
        verdict = self._host_verdicts.get(host_header)
        if verdict is None:
            authority = parse_authority(host_header)
            verdict = authority is not None and self._is_local_or_listed(authority)
            if len(self._host_verdicts) >= 256:
                self._host_verdicts.clear()
            self._host_verdicts[host_header] = verdict
        return verdict

    def _is_local_or_listed(self, authority: Authority) -> bool:
        host = authority.host
        if authority.is_address:
            return ipaddress.ip_address(host).is_loopback or host in self._listed
        return host == "localhost" or host in self._listed or host.endswith(self._wildcards)
