"""The organisations of a person server, as its operator writes them down (TOML).

    [organisations.corp]
    name = "Corp Ltd"
    domains = ["corp.example"]

    [organisations.corp.sign_in]
    issuer = "https://login.corp.example"
    client_id = "person.example"
    client_secret_env = "CORP_CLIENT_SECRET"
    join = true

The name in brackets is the `tenant` claim of its people's tokens. `domains` are those the operator has seen to belong
to it. With `join` whoever the provider vouches for, with a verified address in one of them, becomes a member at first
sign-in; without, people need an invitation.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..errors import ConfigurationError, InvalidIdentifier
from ..identifiers import https_url

__all__ = ["OrganisationSettings", "ProviderSettings", "check_organisations", "read_organisations"]

_TENANT = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")
_DOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9-]+(\.[a-z0-9-]+)+\Z")
_MAX_FILE_BYTES = 1_048_576


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An organisation's OpenID Connect provider."""

    issuer: str
    client_id: str
    client_secret_env: str | None = None
    """Environment variable with the secret. Without it the client is public, and PKCE alone protects the code."""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    algorithms: tuple[str, ...] = ("RS256", "ES256", "PS256", "EdDSA", "Ed25519")
    """Signatures of ID tokens that are accepted: public key ones only."""
    join: bool = False

    def secret(self, environment: Mapping[str, str] = os.environ) -> str | None:
        """The client's secret. Raises `ConfigurationError` when the variable is not set."""
        if self.client_secret_env is None:
            return None
        value = environment.get(self.client_secret_env)
        if not value:
            raise ConfigurationError(f"The environment variable {self.client_secret_env} is not set.")
        return value


class OrganisationSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One organisation."""

    name: str
    domains: tuple[str, ...] = ()
    sign_in: ProviderSettings | None = None


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    organisations: dict[str, OrganisationSettings]


def read_organisations(path: Path, *, dev: bool = False) -> dict[str, OrganisationSettings]:
    """The organisations in a file, by tenant. Raises `ConfigurationError`, which says what to change."""
    try:
        text = path.read_bytes()
        if len(text) > _MAX_FILE_BYTES:
            raise ConfigurationError(f"{path} is larger than {_MAX_FILE_BYTES} bytes.")
        document: dict[str, Any] = tomllib.loads(text.decode("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}.") from error
    try:
        found = msgspec.convert(document, _File).organisations
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{path}: {error}.") from error
    check_organisations(found, dev=dev)
    return found


def check_organisations(organisations: Mapping[str, OrganisationSettings], *, dev: bool) -> None:
    """The rules a type cannot say. Raises `ConfigurationError`."""
    owners: dict[str, str] = {}
    issuers: dict[str, str] = {}
    for tenant, settings in organisations.items():
        if not _TENANT.match(tenant):
            raise ConfigurationError(f"{tenant!r} cannot name an organisation: use a to z, digits, dots and hyphens.")
        if not settings.name.strip() or len(settings.name) > 100:
            raise ConfigurationError(f"organisations.{tenant}: name takes 1 to 100 characters.")
        for domain in settings.domains:
            if not _DOMAIN.match(domain):
                raise ConfigurationError(f"organisations.{tenant}: {domain!r} is no domain in lower case.")
            if owners.setdefault(domain, tenant) != tenant:
                raise ConfigurationError(f"{domain} belongs to two organisations: {owners[domain]} and {tenant}.")
        if settings.sign_in is not None:
            _check_provider(tenant, settings, settings.sign_in, dev=dev)
            if issuers.setdefault(settings.sign_in.issuer, tenant) != tenant:
                raise ConfigurationError(
                    f"{settings.sign_in.issuer} is the provider of two organisations: an identity belongs to one."
                )


def _check_provider(tenant: str, settings: OrganisationSettings, provider: ProviderSettings, *, dev: bool) -> None:
    where = f"organisations.{tenant}.sign_in"
    try:
        https_url(provider.issuer, dev=dev)
    except InvalidIdentifier as error:
        raise ConfigurationError(f"{where}: issuer must be an https URL. {error.detail}") from error
    if "openid" not in provider.scopes:
        raise ConfigurationError(f"{where}: scopes must have openid.")
    weak = [name for name in provider.algorithms if name == "none" or name.startswith("HS")]
    if weak or not provider.algorithms:
        raise ConfigurationError(f"{where}: algorithms must be signatures by a public key, not {', '.join(weak)}.")
    if provider.join and not settings.domains:
        raise ConfigurationError(f"{where}: join needs domains, or everybody at the provider could come in.")
