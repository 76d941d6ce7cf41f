"""Addresses of files on the web: as they go over the wire, and whether a host lies inside a network."""

from __future__ import annotations

import ipaddress
import re
import socket
import urllib.parse
from collections.abc import Callable

from maskferry._arguments import show
from maskferry.errors import InputError

__all__ = ["encode_url", "is_inside", "lies_inside"]

_PATH = "/:@!$&'()*+,;=~-._"
_QUERY = f"{_PATH}?[]|"
"""What stays as it is (RFC 3986, 3.3 and 3.4), and what servers take although it should not."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def encode_url(url: object) -> str:
    """An http(s) address in ASCII: what is no part of an address is percent-encoded, names of hosts by IDNA.

    What is encoded already stays so.

    >>> encode_url("http://example.org/a b/caf" + chr(233) + ".mp4?q=%20")
    'http://example.org/a%20b/caf%C3%A9.mp4?q=%20'

    Raises:
        InputError: it is no address, or not one of http or https.
    """
    if not isinstance(url, str):
        raise InputError(f"url: expected an address that begins with http:// or https://, got {show(url)}")
    try:
        parts = urllib.parse.urlsplit(url.strip())
        if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
            raise InputError(f"url: expected http:// or https://, got {show(url)}: open other files by their path")
        host = _encode_host(parts.hostname)
        port = "" if parts.port is None else f":{parts.port}"
        user, at, _ = parts.netloc.rpartition("@")
        place = f"{_quote(user, _PATH)}{at}{host}{port}"
        path, query, fragment = _quote(parts.path, _PATH), _quote(parts.query, _QUERY), _quote(parts.fragment, _QUERY)
    except InputError:
        raise
    except ValueError as err:  # of ports, brackets, names of hosts
        raise InputError(f"url: expected the address of a file, got {show(url)}: {err}") from err
    return urllib.parse.urlunsplit((parts.scheme.lower(), place, path, query, fragment))


def _encode_host(host: str) -> str:
    if ":" in host:
        return f"[{ipaddress.IPv6Address(host.partition('%')[0])}]"
    if not host.isascii():
        host = host.encode("idna").decode("ascii")
    if re.search(r"[^A-Za-z0-9._~-]", host):
        raise ValueError("a name of a host holds letters, digits, dots and dashes")
    return host


def _quote(text: str, safe: str) -> str:
    encoded = urllib.parse.quote(text, safe=f"{safe}%", errors="surrogateescape")
    return re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", encoded)


def lies_inside(host: str) -> bool:
    """Whether a host is this computer, or one of a private network: not for everybody to see. False where nobody knows
    it, as behind a proxy."""
    return any(_inside(address) for address in _addresses(host))


def is_inside(address: str) -> bool:
    """`lies_inside`, of a numeric address."""
    return _inside(ipaddress.ip_address(address.partition("%")[0]))


def is_link_local(host: str) -> bool:
    """Whether a host is one of the link alone, such as those that tell a cloud's machines their passwords."""
    return any(_of_ipv4(address).is_link_local for address in _addresses(host))


Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _addresses(host: str) -> list[Address]:
    look_up: Callable[..., list[tuple[object, ...]]] = socket.getaddrinfo  # type: ignore[assignment]
    try:
        found = look_up(host.strip("[]"), None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    texts = {str(row[4][0]).partition("%")[0] for row in found if isinstance(row[4], tuple)}
    return [ipaddress.ip_address(text) for text in texts]


def _inside(address: Address) -> bool:
    return not _of_ipv4(address).is_global


def _of_ipv4(address: Address) -> Address:
    """The IPv4 address that is wrapped into one of IPv6, where it is so."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address
