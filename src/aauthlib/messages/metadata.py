"""The four metadata documents (#metadata-documents), one Struct each.

`read_metadata` checks what the fetching party must check; unknown members are ignored, as everywhere in AAuth.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import msgspec

from ..errors import InvalidIdentifier, IssuerMismatch, IssuerMissing, UnknownKey
from ..identifiers import endpoint_url, https_url
from ..tokens import ACCESS_DWK, AGENT_DWK, PERSON_DWK, RESOURCE_DWK

__all__ = [
    "AccessServerMetadata",
    "AgentProviderMetadata",
    "Metadata",
    "PersonServerMetadata",
    "ResourceMetadata",
    "dump_metadata",
    "read_metadata",
    "well_known_url",
]


class Metadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Members that mean the same in all four documents."""

    dwk: ClassVar[str]
    endpoints: ClassVar[tuple[str, ...]] = ()
    keys_required: ClassVar[bool] = True
    """Whether `jwks_uri` is REQUIRED of this role; a resource that signs nothing may leave it out."""

    issuer: str
    jwks_uri: str | None = None
    accept_signature_algs: list[str] | None = None
    name: str | None = None
    description: str | None = None
    logo_uri: str | None = None
    logo_dark_uri: str | None = None
    documentation_uri: str | None = None
    tos_uri: str | None = None
    policy_uri: str | None = None


class AgentProviderMetadata(Metadata, frozen=True, kw_only=True, omit_defaults=True):
    """`aauth-agent.json` (#agent-provider-metadata).

    `enrollment_endpoint` and `refresh_endpoint` are this project's members for the ceremonies that the bootstrap
    document leaves to each provider; everybody else ignores them.
    """

    dwk: ClassVar[str] = AGENT_DWK
    endpoints: ClassVar[tuple[str, ...]] = (
        "callback_endpoint",
        "event_endpoint",
        "enrollment_endpoint",
        "refresh_endpoint",
        "subagent_endpoint",
    )

    callback_endpoint: str | None = None
    event_endpoint: str | None = None
    localhost_callback_allowed: bool = False
    enrollment_endpoint: str | None = None
    refresh_endpoint: str | None = None
    subagent_endpoint: str | None = None


class PersonServerMetadata(Metadata, frozen=True, kw_only=True, omit_defaults=True):
    """`aauth-person.json` (#ps-metadata)."""

    dwk: ClassVar[str] = PERSON_DWK
    endpoints: ClassVar[tuple[str, ...]] = (
        "auth_token_endpoint",
        "person_token_endpoint",
        "mission_endpoint",
        "permission_endpoint",
        "audit_endpoint",
        "interaction_endpoint",
        "mission_control_endpoint",
        "revocation_endpoint",
    )

    auth_token_endpoint: str
    person_token_endpoint: str
    mission_endpoint: str | None = None
    permission_endpoint: str | None = None
    audit_endpoint: str | None = None
    interaction_endpoint: str | None = None
    mission_control_endpoint: str | None = None
    revocation_endpoint: str | None = None
    scopes_supported: list[str] | None = None
    claims_supported: list[str] | None = None


class AccessServerMetadata(Metadata, frozen=True, kw_only=True, omit_defaults=True):
    """`aauth-access.json` (#access-server-metadata)."""

    dwk: ClassVar[str] = ACCESS_DWK
    endpoints: ClassVar[tuple[str, ...]] = ("auth_token_endpoint", "revocation_endpoint")

    auth_token_endpoint: str
    revocation_endpoint: str | None = None


class ResourceMetadata(Metadata, frozen=True, kw_only=True, omit_defaults=True):
    """`aauth-resource.json` (#resource-metadata)."""

    dwk: ClassVar[str] = RESOURCE_DWK
    keys_required: ClassVar[bool] = False
    endpoints: ClassVar[tuple[str, ...]] = ("authorization_endpoint", "revocation_endpoint")

    access_mode: str | None = None
    authorization_endpoint: str | None = None
    scope_descriptions: dict[str, str] | None = None
    signature_window: int | None = None
    additional_signature_components: list[str] | None = None
    revocation_endpoint: str | None = None


M = TypeVar("M", bound=Metadata)

_DISPLAY_URLS = ("logo_uri", "logo_dark_uri", "documentation_uri", "tos_uri", "policy_uri")
_DISPLAY = ("name", "description", *_DISPLAY_URLS)


def well_known_url(issuer: str, dwk: str) -> str:
    """`{issuer}/.well-known/{dwk}`."""
    return f"{issuer}/.well-known/{dwk}"


def check_issuer(document: Mapping[str, Any], issuer: str) -> None:
    """The document names the issuer it was fetched from, byte for byte (#metadata-documents).

    Raises `IssuerMissing` or `IssuerMismatch`.
    """
    found = document.get("issuer")
    if not isinstance(found, str):
        raise IssuerMissing("The metadata document has no issuer.")
    if found != issuer:
        raise IssuerMismatch("The metadata document claims another issuer than the URL it was fetched from.")


def read_metadata(cls: type[M], document: Mapping[str, Any], *, issuer: str, dev: bool = False) -> M:
    """Read a fetched document for use.

    Raises `IssuerMissing`, `IssuerMismatch`, or `UnknownKey` when a REQUIRED member is missing or an endpoint breaks
    its rule: without it the server cannot be spoken to. What is only shown to people is dropped instead when it breaks
    its rule, so that a bad logo never stops a flow.
    """
    check_issuer(document, issuer)
    usable = {name: v for name, v in document.items() if name not in _DISPLAY or isinstance(v, str)}
    try:
        metadata = msgspec.convert(usable, cls)
        for name in cls.endpoints:
            value = getattr(metadata, name)
            if value is not None:
                endpoint_url(value, dev=dev, what=name)
        if metadata.jwks_uri is not None:
            https_url(metadata.jwks_uri, dev=dev, what="jwks_uri")
        elif cls.keys_required:
            raise InvalidIdentifier("It has no jwks_uri, so nothing it signs could be verified.")
    except (msgspec.ValidationError, InvalidIdentifier) as error:
        raise UnknownKey(f"The metadata of this server is not usable: {error}") from error
    bad = {name: None for name in _DISPLAY_URLS if not _is_https(getattr(metadata, name), dev=dev)}
    return msgspec.structs.replace(metadata, **bad) if bad else metadata


def _is_https(value: str | None, *, dev: bool) -> bool:
    try:
        return value is None or bool(https_url(value, dev=dev))
    except InvalidIdentifier:
        return False


def dump_metadata(metadata: Metadata) -> dict[str, Any]:
    """The JSON document to publish, members at their defaults left out."""
    document = msgspec.to_builtins(metadata)
    return {name: value for name, value in document.items() if value is not None}
