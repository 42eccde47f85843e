"""`aauth inspect`: decode and check a token, a metadata document or a captured request, and say what is wrong.

Every judgement is made by the code that the servers use; this module only finds out what it was given and reports.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..effects import FindKey, Flow, Send
from ..errors import AAuthError, TokenError, TokenInvalid
from ..http import Fields, Request, Response
from ..httpsig import SignaturePolicy, select
from ..httpsig.verifying import SignedRequest
from ..identifiers import origin_of
from ..jws import JWS, parse
from ..messages.metadata import (
    AccessServerMetadata,
    AgentProviderMetadata,
    Metadata,
    PersonServerMetadata,
    ResourceMetadata,
    read_metadata,
    well_known_url,
)
from ..tokens import AgentToken, AuthToken, PersonToken, ResourceToken, Token, VerificationPolicy, verify
from ..verification import Caller, authenticate

__all__ = ["Finding", "Inspection", "inspect_metadata", "inspect_request", "inspect_token", "parse_captured_request"]

_TOKEN_TYPES: tuple[type[Token], ...] = (AgentToken, PersonToken, ResourceToken, AuthToken)
_METADATA: tuple[type[Metadata], ...] = (
    AgentProviderMetadata,
    ResourceMetadata,
    PersonServerMetadata,
    AccessServerMetadata,
)
_REQUEST_LINE = re.compile(r"([A-Z]+) (\S+)(?: HTTP/[\d.]+)?\Z")


@dataclass(frozen=True, slots=True)
class Finding:
    """One check and how it came out."""

    check: str
    holds: bool
    detail: str = ""


@dataclass(slots=True)
class Inspection:
    """What was found."""

    kind: str
    header: dict[str, Any] = field(default_factory=dict)
    content: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def valid(self) -> bool:
        return all(finding.holds for finding in self.findings)

    def to_document(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "kind": self.kind,
            "valid": self.valid,
            **({"header": self.header} if self.header else {}),
            "content": self.content,
            "findings": [{"check": f.check, "holds": f.holds, "detail": f.detail} for f in self.findings],
        }


def inspect_token(text: str, *, now: float, dev: bool, online: bool) -> Flow[Inspection]:
    """Decode and verify a token. With `online` the issuer's key is fetched and its signature checked."""
    try:
        decoded = parse(text)
    except TokenInvalid as error:
        return Inspection("token", findings=[Finding("is a compact JWT with an acceptable alg", False, error.detail)])
    typ = str(decoded.header.get("typ"))
    inspection = Inspection(typ, dict(decoded.header), decoded.payload)
    inspection.findings.append(Finding("is a compact JWT with an acceptable alg", True))
    cls = next((candidate for candidate in _TOKEN_TYPES if candidate.typ == typ), None)
    if cls is None:
        known = ", ".join(candidate.typ for candidate in _TOKEN_TYPES)
        inspection.findings.append(Finding("has the typ of an AAuth token", False, f"Known types: {known}."))
        return inspection
    inspection.findings.append(Finding("has the typ of an AAuth token", True))
    policy = VerificationPolicy(dev=dev)
    flow = verify(text, cls, now=now, policy=policy)
    yield from _judge(inspection, flow, decoded, online=online)
    return inspection


def _judge(inspection: Inspection, flow: Flow[Token], decoded: JWS, *, online: bool) -> Flow[None]:
    """Run the verification a server would run, and report where it stops."""
    claims = "keeps every rule of its type (claims, lifetime, exp)"
    signature = "is signed by its issuer"
    try:
        effect = next(flow)
    except TokenError as error:
        inspection.findings.append(Finding(claims, False, error.detail))
        return
    except AAuthError as error:
        inspection.findings.append(Finding("is bound to a usable key", False, error.detail))
        return
    inspection.findings.append(Finding(claims, True))
    if not online:
        return
    issuer = decoded.payload.get("iss")
    try:
        while True:
            answer = yield effect
            effect = flow.send(answer)
    except StopIteration:
        inspection.findings.append(Finding(signature, True, f"The key was fetched from {issuer}."))
    except AAuthError as error:
        inspection.findings.append(Finding(signature, False, error.detail))


def inspect_metadata(url: str, *, dev: bool) -> Flow[Inspection]:
    """Fetch and check a metadata document, or all that a server publishes when `url` is its identifier."""
    if "/.well-known/" in url:
        issuer, _, name = url.partition("/.well-known/")
        kinds = [cls for cls in _METADATA if cls.dwk == name]
        if not kinds:
            return Inspection("metadata", findings=[Finding("is an AAuth metadata document", False, name)])
    else:
        issuer, kinds = origin_of(url), list(_METADATA)
    inspection = Inspection("metadata")
    for cls in kinds:
        yield from _one_document(inspection, cls, issuer, required=len(kinds) == 1, dev=dev)
    if not inspection.content:
        inspection.findings.append(Finding("publishes AAuth metadata", False, f"None was found under {issuer}."))
    return inspection


def _one_document(inspection: Inspection, cls: type[Metadata], issuer: str, *, required: bool, dev: bool) -> Flow[None]:
    response: Response = yield Send(
        Request("GET", well_known_url(issuer, cls.dwk), Fields({"accept": "application/json"})), discovery=True
    )
    if response.status != 200:
        if required:
            inspection.findings.append(Finding(f"serves {cls.dwk}", False, f"Status {response.status}."))
        return
    try:
        document = response.json()
        if not isinstance(document, dict):
            raise ValueError
    except ValueError:
        inspection.findings.append(Finding(f"{cls.dwk} is a JSON object", False))
        return
    inspection.content[cls.dwk] = document
    try:
        metadata = read_metadata(cls, document, issuer=issuer, dev=dev)
    except AAuthError as error:
        inspection.findings.append(Finding(f"{cls.dwk} keeps every rule", False, error.detail))
        return
    inspection.findings.append(Finding(f"{cls.dwk} keeps every rule", True))
    if metadata.jwks_uri is not None:
        yield from _published_keys(inspection, cls, metadata, issuer)


def _published_keys(inspection: Inspection, cls: type[Metadata], metadata: Metadata, issuer: str) -> Flow[None]:
    response: Response = yield Send(Request("GET", metadata.jwks_uri or "", Fields()), discovery=True)
    try:
        keys = response.json()["keys"]
        kids = [key["kid"] for key in keys]
    except (ValueError, KeyError, TypeError):
        inspection.findings.append(Finding(f"{cls.dwk} leads to a key set", False, "jwks_uri gave no key set."))
        return
    for kid in kids:
        check = f"key {kid} is usable"
        try:
            yield FindKey(issuer, cls.dwk, kid)
        except AAuthError as error:
            inspection.findings.append(Finding(check, False, error.detail))
        else:
            inspection.findings.append(Finding(check, True))


def parse_captured_request(text: str, *, origin: str | None) -> Request:
    """Read an HTTP/1.1 request as text: request line, headers, blank line, body.

    `origin` overrides the scheme and host, which are otherwise `https` and the Host header's. Raises `TokenInvalid`
    when there is no request line.
    """
    head, _, body = text.replace("\r\n", "\n").partition("\n\n")
    lines = head.split("\n")
    match = _REQUEST_LINE.match(lines[0].strip())
    if match is None:
        raise TokenInvalid("A captured request starts with a request line such as GET /path HTTP/1.1.")
    pairs = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:] if line)]
    fields = Fields(pairs)
    target = match.group(2)
    if target.startswith(("https://", "http://")):
        return Request(match.group(1), target, fields, body.encode())
    base = origin or f"https://{fields.get('host') or 'unknown.example'}"
    return Request(match.group(1), base + target, fields, body.encode())


def inspect_request(request: Request, *, now: float | None, clock: Callable[[], float], dev: bool) -> Flow[Inspection]:
    """Verify a captured request as a server would have when it was created (or at `now`)."""
    inspection = Inspection("request", content={"method": request.method, "url": request.url})
    policy = SignaturePolicy(schemes=("jwt", "hwk", "jkt-jwt", "jwks_uri"))
    at = now if now is not None else _created(request, clock())
    try:
        signed: SignedRequest = select(request, policy, now=at)
    except AAuthError as error:
        inspection.findings.append(Finding("is signed, fresh, and covers what it must", False, error.detail))
        return inspection
    inspection.findings.append(
        Finding("is signed, fresh, and covers what it must", True, "Covered: " + ", ".join(map(str, signed.covered)))
    )
    try:
        caller: Caller = yield from authenticate(
            request,
            now=at,
            signature=policy,
            tokens=VerificationPolicy(dev=dev),
            accepted=(AgentToken, PersonToken, AuthToken),
        )
    except AAuthError as error:
        inspection.findings.append(Finding("its signature and token verify", False, error.detail))
        return inspection
    inspection.findings.append(Finding("its signature and token verify", True, f"Level: {caller.level.name.lower()}."))
    if caller.token is not None:
        inspection.content["token"] = dict(caller.token.claims)
    return inspection


def _created(request: Request, fallback: float) -> float:
    match = re.search(r";created=(\d{1,12})", request.headers.get("signature-input") or "")
    return float(match.group(1)) if match else fallback
