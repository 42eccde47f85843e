"""Egress admission: which URL may be called and which address its host may stand for (HTTP Signature Keys, 7.3).

A name is resolved once, every address it gives is checked, and the connection goes to a checked address, so that DNS
cannot change its mind in between. The development profile is the one exception built in: `localhost` and names below
it are `127.0.0.1`, without DNS, and may be called with `http`. This module opens no connection.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TypeAlias

from ..discovery import EgressRefused, TransportError
from ..identifiers import is_development_host
from .addresses import IPAddress, address_refusal, parse_address

__all__ = ["AdmissionHook", "Destination", "EgressPolicy", "Resolver", "system_resolver"]

#: A deployment's own word on a destination: `True` admits the address, `False` refuses it, `None` leaves it to the
#: rules. Called with the host as in the URL and each address it stands for.
AdmissionHook: TypeAlias = Callable[[str, IPAddress], bool | None]

#: Host and port to the addresses they stand for, blocking; raises `OSError` when there are none.
Resolver: TypeAlias = Callable[[str, int], Sequence[str]]

_LOOPBACK = "127.0.0.1"
_MAX_ADDRESSES = 32
_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
    # What a request target may hold (RFC 9112): any visible ASCII but the fragment mark, sent as it is.
    r"(?P<target>(?:[/?][!-\"$-~]*)?)\Z"
)


def system_resolver(host: str, port: int) -> Sequence[str]:
    """The operating system's resolver."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


@dataclass(frozen=True, slots=True)
class Destination:
    """A URL in the parts a connection needs. `target` is its bytes as given."""

    scheme: str
    host: str
    port: int
    authority: str
    target: str


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """What this side may call.

    - `dev`: the development profile.
    - `admit`: a deployment's own admission, for instance for partners on a private network.
    """

    dev: bool = False
    admit: AdmissionHook | None = None

    def destination(self, url: str) -> Destination:
        """Take a URL apart without changing it.

        Raises `TransportError` for a URL that cannot be sent as it is, `EgressRefused` for `http` and for `localhost`
        outside the development profile.
        """
        match = _URL.match(url)
        if match is None:
            raise TransportError(
                "The request's URL cannot be sent as it is: it must be an absolute http(s) URL in visible ASCII, "
                "without user information or fragment."
            )
        scheme, host = match["scheme"], match["host"].strip("[]").lower()
        port = int(match["port"] or (443 if scheme == "https" else 80))
        if not 0 < port < 65536:
            raise TransportError("The request's URL has an impossible port.")
        local = is_development_host(host)
        if local and not self.dev:
            raise EgressRefused(f"{host} is called only in the development profile (dev=True, --dev).")
        if scheme != "https" and not local:
            raise EgressRefused(f"{host} was to be called without https, which is refused.")
        authority = url.partition("://")[2][: match.start("target") - match.start("host")]
        target = match["target"]
        return Destination(scheme, host, port, authority, target if target.startswith("/") else "/" + target)

    def known_addresses(self, host: str) -> Sequence[str] | None:
        """The addresses of a host that needs no resolver: a development name or an address. `None` for any other."""
        if self.dev and is_development_host(host):
            return [_LOOPBACK]
        try:
            return [str(ip_address(host))]
        except ValueError:
            return None

    def checked(self, host: str, addresses: Sequence[str]) -> list[str]:
        """All of `addresses`, each admitted, ready to connect to.

        One that is not admitted refuses the host: a name that stands for a public and a private address at once is
        misconfigured at best. Raises `EgressRefused`.
        """
        if not addresses or len(addresses) > _MAX_ADDRESSES:
            raise TransportError(f"{host} stands for no address, or for more than {_MAX_ADDRESSES}.")
        return [str(self._checked(host, text)) for text in addresses]

    def _checked(self, host: str, text: str) -> IPAddress:
        try:
            address = parse_address(text)
        except ValueError as error:
            raise EgressRefused(f"{host} stands for something that is no public address.") from error
        if self.dev and is_development_host(host) and text == _LOOPBACK:
            return address
        admitted = self.admit(host, address) if self.admit is not None else None
        if admitted is True:
            return address
        if admitted is False:
            raise EgressRefused(f"{host} is not admitted by this deployment.")
        reason = address_refusal(address)
        if reason is not None:
            raise EgressRefused(f"{host} stands for an address that is {reason}; only public addresses are called.")
        return address
