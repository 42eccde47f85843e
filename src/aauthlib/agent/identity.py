"""Who an agent is, on disk: its identifier, its issuer, its person server, how it gets its tokens.

The document holds no secret; the key beside it does (`keystore`). An identity made by `aauth init` and one made by
enrolment differ in `mode` alone (bootstrap: self-hosted agents, two-key and single-key refresh).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import msgspec

from ..effects import Clock
from ..errors import ConfigurationError, InvalidIdentifier
from ..identifiers import AgentIdentifier, server_identifier
from ..keys import SigningKey
from .context import AgentTokenSource
from .keystore import FileKeystore, Keystore, aauth_home, checked_name, read_private, write_private
from .provider_client import Enrolled, SelfIssued

__all__ = ["DEFAULT_NAME", "Identity", "identities", "load_identity", "save_identity", "source_of"]

DEFAULT_NAME = "default"
Mode = Literal["self-issued", "two-key", "single-key"]


class Identity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One agent's identity document."""

    agent: str
    issuer: str
    mode: Mode
    ps: str | None = None
    alg: str = "Ed25519"
    kid: str | None = None
    dev: bool = False
    """Made for the development profile: `*.localhost`, `http`, ports."""

    def check(self) -> None:
        """Raises `ConfigurationError` when the parts do not fit each other."""
        try:
            server_identifier(self.issuer, dev=self.dev)
            agent = AgentIdentifier.parse(self.agent, dev=self.dev)
            if self.ps is not None:
                server_identifier(self.ps, dev=self.dev)
        except InvalidIdentifier as error:
            raise ConfigurationError(f"The identity cannot be used. {error.detail}") from error
        if not agent.is_under(self.issuer):
            raise ConfigurationError(f"The agent {self.agent} does not belong to its issuer {self.issuer}.")


def _path(name: str, home: Path | None) -> Path:
    return (home if home is not None else aauth_home()) / f"{checked_name(name)}.identity.json"


def save_identity(
    identity: Identity,
    key: SigningKey,
    *,
    name: str = DEFAULT_NAME,
    home: Path | None = None,
    keystore: Keystore | None = None,
) -> Path:
    """Keep an identity and its key; returns the path of the document. Raises `ConfigurationError`."""
    identity.check()
    store = keystore if keystore is not None else FileKeystore(home)
    path = _path(name, home)
    # The key first: a document whose key is missing looks like an agent and is none.
    store.write(name, key)
    write_private(path, json.dumps(msgspec.to_builtins(identity), indent=2) + "\n")
    return path


def load_identity(
    name: str | None = None, *, home: Path | None = None, keystore: Keystore | None = None
) -> tuple[Identity, SigningKey]:
    """Read an identity and its key, `default` unless named. Raises `ConfigurationError` saying what to do."""
    name = name if name is not None else DEFAULT_NAME
    path = _path(name, home)
    try:
        document = read_private(path, secret=False)
    except FileNotFoundError:
        raise ConfigurationError(
            f"There is no identity {name} at {path}. Make one with `aauth init`, or set AAUTH_HOME to where it is."
        ) from None
    try:
        identity = msgspec.convert(document, Identity)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{path} is not an identity document: {error}.") from error
    identity.check()
    return identity, (keystore if keystore is not None else FileKeystore(home)).read(name)


def identities(home: Path | None = None) -> list[str]:
    """The names of the identities kept in `home`."""
    folder = home if home is not None else aauth_home()
    if not folder.is_dir():
        return []
    suffix = ".identity.json"
    return sorted(path.name.removesuffix(suffix) for path in folder.iterdir() if path.name.endswith(suffix))


def source_of(identity: Identity, key: SigningKey, *, clock: Clock) -> AgentTokenSource:
    """Where this identity's agent tokens come from."""
    if identity.mode == "self-issued":
        return SelfIssued(identity.issuer, identity.agent, key, clock, ps=identity.ps, dev=identity.dev)
    return Enrolled(
        identity.issuer,
        identity.agent,
        key,
        clock,
        ps=identity.ps,
        dev=identity.dev,
        mode=identity.mode,
        generate_key=lambda: SigningKey.generate(identity.alg),
    )
