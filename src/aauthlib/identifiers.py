"""Identifiers: servers, agents, endpoint URLs (#identifiers-and-discovery, #agent-identifiers).

Each parser returns the value unchanged or raises `InvalidIdentifier`: identifiers are compared byte for byte and
are never normalised. The development profile (`dev=True`) also accepts `http` with a port for `localhost` and
names below it, so that all roles run on one laptop; nothing else ever turns it on.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NewType

import msgspec

from .errors import InvalidIdentifier

__all__ = [
    "AgentIdentifier",
    "ServerIdentifier",
    "callback_url",
    "endpoint_url",
    "https_url",
    "is_development_host",
    "origin_of",
    "server_identifier",
]

ServerIdentifier = NewType("ServerIdentifier", str)

MAX_URL_LENGTH = 2048
_MAX_HOST_LENGTH = 253
_MAX_LOCAL_LENGTH = 255
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}\Z")
#: What ends or surrounds a host, so that it is not one.
_NOT_HOST = re.compile(r"[/?#@\[\]%\\]")
_LOCAL = re.compile(r"[A-Za-z0-9\-_+.]{1,255}\Z")
# A last label that URL parsers and resolvers read as a number makes the whole host an IPv4 address (10.1, 0x7f000001).
_NUMBER = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)\Z")
_PORT = re.compile(r"[1-9][0-9]{0,4}\Z")
# Visible ASCII without the characters that never appear raw in a URI (RFC 3986) or that end a header value early.
_URL_TAIL = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]*\Z")
# A step up or aside in a path, as browsers and servers read it: encoded dots and separators too.
_DOT_SEGMENT = re.compile(r"(?:/|%2f|%5c)(?:\.|%2e){1,2}(?:/|%2f|%5c|$)", re.IGNORECASE)


def is_development_host(host: str) -> bool:
    """Whether `host` (no port) is `localhost` or a name below it, the only hosts of the development profile."""
    return host == "localhost" or host.endswith(".localhost")


def _check_host(host: str, what: str) -> None:
    if len(host) > _MAX_HOST_LENGTH or not _HOST.match(host):
        raise InvalidIdentifier(f"{what} needs a lowercase domain name in ASCII (A-label) form as its host.")
    if _NUMBER.match(host, host.rfind(".") + 1):
        raise InvalidIdentifier(f"{what} needs a domain name, not an IP address.")


def _is_port(text: str) -> bool:
    return _PORT.match(text) is not None and int(text) <= 65535


def _split_port(authority: str, what: str) -> tuple[str, str]:
    host, colon, port = authority.partition(":")
    if colon and not _is_port(port):
        raise InvalidIdentifier(f"{what} has a malformed port.")
    return host, port


@lru_cache(maxsize=1024)  # the same few issuers stand in every token
def _check_authority(scheme: str, authority: str, what: str, *, dev: bool, port_allowed: bool) -> None:
    host, port = _split_port(authority, what)
    _check_host(host, what)
    if is_development_host(host):
        if not dev:
            raise InvalidIdentifier(
                f"{what} names localhost, which is accepted only in the development profile (dev=True, --dev)."
            )
        return
    if scheme != "https":
        raise InvalidIdentifier(f"{what} must use https.")
    if port and not port_allowed:
        raise InvalidIdentifier(f"{what} must not contain a port.")


def _split_scheme(value: str, what: str, *, dev: bool) -> tuple[str, str]:
    if len(value) > MAX_URL_LENGTH:
        raise InvalidIdentifier(f"{what} must be a string of at most {MAX_URL_LENGTH} characters.")
    for scheme in ("https", "http") if dev else ("https",):
        if value.startswith(scheme + "://"):
            return scheme, value[len(scheme) + 3 :]
    raise InvalidIdentifier(f"{what} must start with https://.")


@lru_cache(maxsize=1024)
def server_identifier(value: str, *, dev: bool = False) -> ServerIdentifier:
    """Check a server identifier (#server-identifiers): `https` and a lowercase host, nothing else.

    Raises `InvalidIdentifier` for a port, path, query, fragment, trailing slash, upper case, user information or
    an IP address. With `dev=True`, `http` and a port are accepted for `localhost` and names below it.
    """
    what = "A server identifier"
    scheme, authority = _split_scheme(value, what, dev=dev)
    if _NOT_HOST.search(authority):
        raise InvalidIdentifier(f"{what} is scheme and host only: no path, query, fragment or trailing slash.")
    _check_authority(scheme, authority, what, dev=dev, port_allowed=False)
    return ServerIdentifier(value)


def https_url(value: str, *, dev: bool = False, what: str = "A URL") -> str:
    """Check a URL that must use `https` (#endpoint-and-other-urls): `jwks_uri`, `logo_uri` and their like.

    A query and a port are allowed. User information, a fragment, spaces and non-ASCII characters are not.
    """
    scheme, rest = _split_scheme(value, what, dev=dev)
    if not _URL_TAIL.match(rest) or "#" in rest:
        raise InvalidIdentifier(f"{what} has a fragment or a character that must be percent-encoded.")
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    if "@" in authority:
        raise InvalidIdentifier(f"{what} must not contain user information.")
    _check_authority(scheme, authority, what, dev=dev, port_allowed=True)
    return value


def endpoint_url(value: str, *, dev: bool = False, what: str = "An endpoint URL") -> str:
    """Check an endpoint URL (#endpoint-and-other-urls): `https`, no query, no fragment."""
    https_url(value, dev=dev, what=what)
    if "?" in value:
        raise InvalidIdentifier(f"{what} must not contain a query string.")
    return value


def callback_url(value: str, *, dev: bool = False, localhost_allowed: bool = False) -> str:
    """Check a `callback` URL of an interaction (#user-interaction).

    With `localhost_allowed` (the agent provider's `localhost_callback_allowed`), `http://localhost` and
    `http://127.0.0.1` with any port are accepted too (#endpoint-and-other-urls). Dot segments, plain or encoded, are
    not: a browser resolves them, so a URL that seems to lie below the permitted one leads elsewhere.
    """
    what = "A callback URL"
    if _DOT_SEGMENT.search(value.partition("?")[0]):
        raise InvalidIdentifier(f"{what} must not contain dot segments.")
    if localhost_allowed and len(value) <= MAX_URL_LENGTH:
        for host in ("http://localhost", "http://127.0.0.1"):
            rest = value.removeprefix(host)
            if rest != value and _URL_TAIL.match(rest) and "#" not in rest:
                port = re.split(r"[/?]", rest, maxsplit=1)[0]
                if not port or (port[0] == ":" and _is_port(port[1:])):
                    return value
    return https_url(value, dev=dev, what=what)


def origin_of(url: str) -> str:
    """`scheme://authority` of an absolute URL, byte for byte."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise InvalidIdentifier("An absolute URL was expected.")
    return scheme + "://" + re.split(r"[/?#]", rest, maxsplit=1)[0]


_AGENT = "An agent identifier"


@lru_cache(maxsize=1024)  # the agents of a provider share its domain
def _check_agent_domain(domain: str, dev: bool) -> None:
    if _NOT_HOST.search(domain):
        raise InvalidIdentifier(f"{_AGENT} has a bare domain after the @: no scheme, path or query.")
    _check_authority("https", domain, _AGENT, dev=dev, port_allowed=False)


@lru_cache(maxsize=1024)
def _is_under(domain: str, issuer: str) -> bool:
    authority = issuer.partition("://")[2]
    if domain == authority:
        return True
    host = authority.partition(":")[0]
    return is_development_host(host) and domain == host


class AgentIdentifier(msgspec.Struct, frozen=True, gc=False):
    """`aauth:local@domain` (#agent-identifiers). Compared exactly, never case-folded."""

    local: str
    domain: str

    def __str__(self) -> str:
        return f"aauth:{self.local}@{self.domain}"

    @classmethod
    def parse(cls, value: str, *, dev: bool = False) -> AgentIdentifier:
        """Read an agent identifier, or raise `InvalidIdentifier` saying which rule it breaks."""
        what = _AGENT
        if not value.startswith("aauth:"):
            raise InvalidIdentifier(f"{what} has the form aauth:local@domain.")
        local, at, domain = value[6:].partition("@")
        if not at or not _LOCAL.match(local):
            raise InvalidIdentifier(
                f"{what} needs a local part of 1 to {_MAX_LOCAL_LENGTH} letters, digits and the characters - _ + ."
            )
        _check_agent_domain(domain, dev)
        return cls(local, domain)

    def sub_agent(self, discriminator: str) -> AgentIdentifier:
        """The identifier of a sub-agent of this agent: the parent's local part, `+`, a discriminator (#sub-agents).

        Raises `InvalidIdentifier` when this agent is itself a sub-agent (delegation is one level deep) or the
        discriminator is empty or holds characters a local part cannot.
        """
        if "+" in self.local:
            raise InvalidIdentifier("A sub-agent cannot have sub-agents of its own: delegation is one level deep.")
        if not discriminator or "+" in discriminator:
            raise InvalidIdentifier("A sub-agent needs a non-empty discriminator without a plus sign.")
        child = AgentIdentifier(f"{self.local}+{discriminator}", self.domain)
        if not _LOCAL.match(child.local):
            raise InvalidIdentifier("The sub-agent's local part is too long or has characters it cannot have.")
        return child

    def is_under(self, issuer: str) -> bool:
        """Whether `domain` is the host of the agent provider `issuer`.

        In the development profile an identifier may leave out the port its provider listens on.
        """
        return _is_under(self.domain, issuer)
