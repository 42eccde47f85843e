"""An agent that is its own provider (#self-hosted-agents): static files for any web host, tokens it issues itself.

`publish` writes the two documents, `self_issue` makes agent tokens, `check_published` looks at what the world really
sees. Publishing the key set is the enrolment; there is no server. Knows files, no sockets.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ..base64url import b64url_encode
from ..effects import Flow, Send
from ..errors import AAuthError, ConfigurationError, InvalidIdentifier
from ..http import Fields, Request, Response
from ..identifiers import AgentIdentifier, endpoint_url, https_url, server_identifier
from ..keys import JWKS, PublicKey, SigningKey
from ..messages.metadata import AgentProviderMetadata, dump_metadata, well_known_url
from ..tokens import AGENT_DWK, issue_agent_token

__all__ = ["JWKS_PATH", "Published", "check_published", "publish", "self_issue"]

JWKS_PATH = ".well-known/jwks.json"
_DISPLAY_URLS = ("logo_uri", "logo_dark_uri", "documentation_uri", "tos_uri", "policy_uri")


def publish(
    directory: Path | str,
    issuer: str,
    keys: Sequence[SigningKey | PublicKey],
    *,
    name: str | None = None,
    description: str | None = None,
    logo_uri: str | None = None,
    callback_endpoint: str | None = None,
    localhost_callback_allowed: bool = False,
    dev: bool = False,
) -> tuple[Path, Path]:
    """Write `.well-known/aauth-agent.json` and `.well-known/jwks.json` below `directory`, the root of the web site.

    `keys` are those to publish, the one in use first; during a rotation, the new and the old one. The key set is
    written before the metadata and each file is replaced at once, so no reader sees half of either. Returns their
    paths. Raises `InvalidIdentifier` for a malformed issuer or URL, `ConfigurationError` when there is no key.
    """
    server_identifier(issuer, dev=dev)
    if not keys:
        raise ConfigurationError("Publish at least one key.")
    metadata = AgentProviderMetadata(
        issuer=issuer,
        jwks_uri=f"{issuer}/{JWKS_PATH}",
        name=name,
        description=description,
        logo_uri=logo_uri,
        callback_endpoint=callback_endpoint,
        localhost_callback_allowed=localhost_callback_allowed,
    )
    if logo_uri is not None:
        https_url(logo_uri, dev=dev, what="logo_uri")
    if callback_endpoint is not None:
        endpoint_url(callback_endpoint, dev=dev, what="callback_endpoint")
    root = Path(directory)
    key_set, document = root / JWKS_PATH, root / ".well-known" / AGENT_DWK
    _replace(key_set, JWKS.of(*keys).to_document())
    _replace(document, dump_metadata(metadata))
    return document, key_set


def _replace(path: Path, document: dict[str, Any]) -> None:
    """Write a JSON file that the web server can read, at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # the set is public; mkstemp made it 0600
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def self_issue(
    key: SigningKey,
    issuer: str,
    sub: str,
    ps: str | None,
    now: float,
    *,
    lifetime_s: int = 3600,
    dev: bool = False,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> str:
    """Issue an agent token to oneself (#self-hosted-refresh): `key` signs it and is the key it is bound to.

    `sub` is an agent identifier at the issuer's host; `now` is Unix seconds; `lifetime_s` is at most 24 hours. Raises
    `InvalidIdentifier` or `TokenInvalid`.
    """
    server_identifier(issuer, dev=dev)
    agent = AgentIdentifier.parse(sub, dev=dev)
    if not agent.is_under(issuer):
        raise InvalidIdentifier(f"The agent identifier must end in @ and the host of {issuer}.")
    if "+" in agent.local:
        raise InvalidIdentifier("A plus sign marks a sub-agent; choose an identifier without one.")
    if ps is not None:
        server_identifier(ps, dev=dev)
    jti = b64url_encode(random_bytes(16))
    return issue_agent_token(key, iss=issuer, sub=sub, cnf=key.public, jti=jti, now=now, lifetime_s=lifetime_s, ps=ps)


@dataclass(frozen=True, slots=True)
class Published:
    """What `check_published` found. Problems stop others from verifying; notes only deserve a look."""

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.problems


def check_published(issuer: str, key: PublicKey | SigningKey, *, dev: bool = False) -> Flow[Published]:
    """Fetch what is really published under `issuer` and say in words what is wrong with it.

    `key` is the one that signs. Yields `Send` as a verifier would; raises only `InvalidIdentifier` for a malformed
    `issuer`.
    """
    server_identifier(issuer, dev=dev)
    public = key.public if isinstance(key, SigningKey) else key
    url = well_known_url(issuer, AGENT_DWK)
    notes: list[str] = []
    metadata = yield from _fetch(url, notes)
    if isinstance(metadata, str):
        return Published((metadata,), tuple(notes))
    problems = _metadata_problems(metadata, issuer, url, dev=dev)
    jwks_uri = metadata.get("jwks_uri")
    if not isinstance(jwks_uri, str) or not _allowed(jwks_uri, dev=dev):
        return Published(tuple(problems), tuple(notes))
    document = yield from _fetch(jwks_uri, notes)
    if isinstance(document, str):
        problems.append(document)
    else:
        problems.extend(_key_problems(document, jwks_uri, public))
    return Published(tuple(problems), tuple(notes))


def _fetch(url: str, notes: list[str]) -> Flow[dict[str, Any] | str]:
    """The JSON object at `url`, or the sentence that says why there is none."""
    request = Request("GET", url, Fields({"accept": "application/json"}))
    try:
        response: Response = yield Send(request, discovery=True)
    except AAuthError as error:
        return f"{url} cannot be fetched: {error.detail}"
    if 300 <= response.status < 400:
        return f"{url} redirects, and verifiers do not follow redirects. Serve the document at this very URL."
    if response.status == 404:
        return (
            f"{url} is not there (404). Upload the .well-known directory to the root of the site; some hosts leave out "
            "names that begin with a dot unless told otherwise (GitHub Pages needs an empty file .nojekyll)."
        )
    if response.status != 200:
        return f"{url} answers {response.status}, not 200."
    try:
        document = response.json()
    except (ValueError, RecursionError):
        return f"{url} is not JSON. Is it an error page, or was the file edited?"
    if not isinstance(document, dict):
        return f"{url} is JSON, but not an object."
    kind = (response.headers.get("content-type") or "").partition(";")[0].strip().lower()
    if kind not in ("application/json", "application/jwk-set+json"):
        notes.append(f"{url} is served as {kind or 'no type at all'}; application/json is expected.")
    return document


def _metadata_problems(metadata: dict[str, Any], issuer: str, url: str, *, dev: bool) -> list[str]:
    problems = []
    found = metadata.get("issuer")
    if found is None:
        problems.append(f"{url} has no issuer; it must be {issuer}.")
    elif found != issuer:
        shown = found if isinstance(found, str) and found.isprintable() and len(found) <= 200 else "something else"
        problems.append(f"{url} names the issuer {shown}; it must be {issuer}, byte for byte.")
    jwks_uri = metadata.get("jwks_uri")
    if jwks_uri is None:
        problems.append(f"{url} has no jwks_uri, so nobody can find the key.")
    elif not isinstance(jwks_uri, str) or not _allowed(jwks_uri, dev=dev):
        problems.append(f"The jwks_uri in {url} is not an https URL.")
    for name in _DISPLAY_URLS:
        value = metadata.get(name)
        if value is not None and not (isinstance(value, str) and _allowed(value, dev=dev)):
            problems.append(f"The {name} in {url} is not an https URL.")
    return problems


def _key_problems(document: dict[str, Any], url: str, key: PublicKey) -> list[str]:
    kid = key.kid or key.thumbprint
    try:
        published = JWKS.parse(document)
        if any("d" in member for member in published.members):
            return [f"{url} contains a PRIVATE key. Take it down, make a new key, and publish again."]
        found = published.find(kid)
    except AAuthError as error:
        return [f"{url} does not serve the key {kid}: {error.detail} Publish again and upload both files."]
    if found.thumbprint != key.thumbprint:
        return [f"{url} serves another key under the kid {kid}. Publish again with the key that signs."]
    return []


def _allowed(url: str, *, dev: bool) -> bool:
    try:
        return bool(https_url(url, dev=dev))
    except InvalidIdentifier:
        return False
