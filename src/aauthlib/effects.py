"""What a sans-I/O flow asks of the outside world.

Every flow in this library that talks (the agent's challenge loop, verification that needs an issuer's key, discovery,
polling) is a generator: it yields one of these values and is sent the answer. Drivers in `transport` carry them out,
one blocking, one asynchronous, so no flow is written twice. A failed effect is thrown into the generator as an
`AAuthError`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import msgspec

from .http import Request

__all__ = [
    "Admit",
    "Answer",
    "Clock",
    "Direct",
    "Effect",
    "Find",
    "FindCertificates",
    "FindKey",
    "FindKeyAt",
    "FindMetadata",
    "Flow",
    "Report",
    "Send",
    "Sleep",
    "UpdatedRequest",
]

#: Unix time in seconds. Injected everywhere, so that tests decide what time it is.
Clock: TypeAlias = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request as it is; answered with a `Response`."""

    request: Request
    timeout_s: float = 10.0
    max_body_bytes: int = 1_048_576
    discovery: bool = False
    """A fetch of metadata or keys, unsigned, subject to the strictest bounds."""


@dataclass(frozen=True, slots=True)
class Admit:
    """Apply egress admission to a URL that somebody else is going to call, such as a person's browser.

    Answered with `None`; failure is `EgressRefused`, or `TransportError` where the host cannot be resolved.
    """

    url: str


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait `seconds`; answered with `None`."""

    seconds: float


class FindKey(msgspec.Struct, frozen=True, gc=False):
    """Find the key `kid` of `issuer` through `{issuer}/.well-known/{dwk}`; answered with a `PublicKey`.

    `changed_since_use` says that the key found before failed to verify, so a copy that is not fresh enough should be
    fetched anew (#jwks-discovery). Failure is `UnknownKey`, `IssuerMissing`, `IssuerMismatch`, `InvalidKey` or
    `UnsupportedAlgorithm`.
    """

    issuer: str
    dwk: str
    kid: str
    changed_since_use: bool = False


class FindKeyAt(msgspec.Struct, frozen=True, gc=False):
    """Find the key `kid` in the JWKS at `url` itself (HTTP Signature Keys, Section 3.7); answered with a `PublicKey`.

    `url` is an identity and is compared byte for byte. `changed_since_use` and failures are as for `FindKey`.
    """

    url: str
    kid: str
    changed_since_use: bool = False


class FindCertificates(msgspec.Struct, frozen=True, gc=False):
    """Find the PEM document at `url` (HTTP Signature Keys, Section 3.10); answered with its bytes, unjudged.

    `changed_since_use` says that the copy held does not have the certificate asked for. Failure is `UnknownKey`.
    """

    url: str
    changed_since_use: bool = False


class FindMetadata(msgspec.Struct, frozen=True, gc=False):
    """Find the metadata document `dwk` of `issuer`; answered with the decoded JSON object, `issuer` checked."""

    issuer: str
    dwk: str


@dataclass(frozen=True, slots=True)
class Direct:
    """Direct the person to `url` with `code` (#interaction-required); answered with `None` at once.

    How is the application's choice: open a browser, print the URL, the code and a QR code, call back.
    """

    url: str
    code: str
    server: str
    """The origin that asks."""

    @property
    def person_url(self) -> str:
        """`{url}?code={code}`, what a browser is opened at."""
        return f"{self.url}?code={self.code}"


@dataclass(frozen=True, slots=True)
class UpdatedRequest:
    """An answer to a clarification: ask for something else instead (#updated-request)."""

    resource_token: str = field(repr=False)
    """A new one of the same resource, such as one for less."""
    presented_token: str = field(repr=False)
    """What was presented to the resource to get it."""
    justification: str | None = None
    """Markdown: why the request changed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer a clarification question (#clarification-chat).

    Answered with Markdown text, an `UpdatedRequest`, or `None` to withdraw.
    """

    question: str
    options: tuple[str, ...] = ()
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Something worth telling whoever watches (the `-v` of the command); answered with `None`."""

    event: str
    details: Mapping[str, Any] = field(default_factory=dict)


#: What a directory answers.
Find: TypeAlias = FindKey | FindKeyAt | FindCertificates | FindMetadata

Effect: TypeAlias = Send | Admit | Sleep | Find | Direct | Answer | Report

_T = TypeVar("_T")

#: A generator that yields effects and returns a `_T`.
Flow: TypeAlias = Generator[Effect, Any, _T]
