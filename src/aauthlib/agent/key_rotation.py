"""The keys of an agent that publishes itself: the one that signs, the next one, and those that others may still need.

A verifier looks at a key set at most once a minute (#jwks-discovery), so a key is published before it signs, and stays
published as long as a token that it signed lasts. Knows files, no sockets; `provider.selfpublished` writes the key set.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from ..algorithms import ALGORITHMS
from ..errors import AAuthError, ConfigurationError
from ..keys import PublicKey, SigningKey
from .identity import Identity, load_identity, save_identity
from .keystore import FileKeystore, Keystore, aauth_home, checked_name, read_private, write_private

__all__ = ["LONGEST_TOKEN_S", "KeyHistory", "key_history", "key_set", "prepare_key", "replace_key", "use_next_key"]

#: No agent token lasts longer (#agent-tokens); a key that signs no more is published for as long.
LONGEST_TOKEN_S = 86_400


class Retired(msgspec.Struct, frozen=True, kw_only=True):
    """A key that signs no more."""

    jwk: dict[str, Any]
    """Its public half."""
    until: float
    """When the last token that it signed expires, in Unix seconds."""


class KeyHistory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What there is of keys beside the one that signs."""

    next_kid: str | None = None
    """The key that is published and does not sign yet."""
    retired: tuple[Retired, ...] = ()


def key_history(name: str, *, home: Path | None = None) -> KeyHistory:
    """What is known of the identity's other keys. Raises `ConfigurationError` when the document is damaged."""
    path = _path(name, home)
    try:
        return msgspec.convert(read_private(path, secret=False), KeyHistory)
    except FileNotFoundError:
        return KeyHistory()
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{path} is damaged: {error}. Remove it; keys are then published anew.") from error


def key_set(
    name: str, *, now: float, home: Path | None = None, keystore: Keystore | None = None
) -> list[SigningKey | PublicKey]:
    """All keys to publish at `now` (Unix seconds), the one that signs first. Raises `ConfigurationError`."""
    store = keystore if keystore is not None else FileKeystore(home)
    history = key_history(name, home=home)
    keys: list[SigningKey | PublicKey] = [store.read(name)]
    if history.next_kid is not None:
        keys.append(store.read(_next(name)))
    keys += [_public(each.jwk) for each in history.retired if each.until > now]
    known: dict[str, SigningKey | PublicKey] = {}
    for key in keys:
        known.setdefault(key.thumbprint, key)
    return list(known.values())


def prepare_key(name: str, *, home: Path | None = None, keystore: Keystore | None = None) -> SigningKey:
    """The identity's next key, made now unless there is one, to be published before it signs.

    Raises `ConfigurationError` when the agent does not publish itself: the durable key of an enrolment is what its
    provider knows it by, so another key is another agent.
    """
    identity, _, store = _own(name, home, keystore)
    history = key_history(name, home=home)
    if history.next_kid is not None:
        return store.read(_next(name))
    key = SigningKey.generate(identity.alg)
    store.write(_next(name), key)
    _save(name, home, msgspec.structs.replace(history, next_kid=key.kid))
    return key


def use_next_key(
    name: str, *, now: float, home: Path | None = None, keystore: Keystore | None = None
) -> tuple[SigningKey, float]:
    """From now on the next key signs. Returns it, and until when the old one has to stay published (Unix seconds).

    May be repeated after a crash at any point. Raises `ConfigurationError` when no key is prepared.
    """
    identity, key, store = _own(name, home, keystore)
    history = key_history(name, home=home)
    if history.next_kid is None:
        raise ConfigurationError(f"The identity {name} has no next key. `aauth keys rotate` makes one.")
    following = store.read(_next(name))
    until = now + LONGEST_TOKEN_S
    if key.thumbprint != following.thumbprint:
        # First that the old one is still needed, then the new one: whatever is lost, no key set lacks a key in use.
        retired = (Retired(jwk=key.public.to_jwk(kid=key.kid), until=until), *history.retired)
        history = msgspec.structs.replace(history, retired=tuple(each for each in retired if each.until > now))
        _save(name, home, history)
    _sign_with(identity, following, name, home, store)
    _save(name, home, msgspec.structs.replace(history, next_kid=None))
    store.delete(_next(name))
    return following, until


def replace_key(name: str, *, home: Path | None = None, keystore: Keystore | None = None) -> SigningKey:
    """A new key at once, and no other is to be published any more: somebody else may have the old one.

    Raises `ConfigurationError` as `prepare_key`.
    """
    identity, _, store = _own(name, home, keystore)
    key = SigningKey.generate(identity.alg)
    _sign_with(identity, key, name, home, store)
    _save(name, home, KeyHistory())
    store.delete(_next(name))
    return key


def _own(name: str, home: Path | None, keystore: Keystore | None) -> tuple[Identity, SigningKey, Keystore]:
    store = keystore if keystore is not None else FileKeystore(home)
    identity, key = load_identity(name, home=home, keystore=store)
    if identity.mode != "self-issued":
        raise ConfigurationError(
            f"{identity.agent} is enrolled at {identity.issuer}, which knows it by its durable key: a new key is a new "
            "agent. The keys that sign its requests change with every token. For a new agent, run `aauth init "
            f"--provider {identity.issuer} --name NAME`."
        )
    return identity, key, store


def _sign_with(identity: Identity, key: SigningKey, name: str, home: Path | None, store: Keystore) -> None:
    save_identity(
        msgspec.structs.replace(identity, kid=key.kid, alg=key.alg), key, name=name, home=home, keystore=store
    )


def _next(name: str) -> str:
    return f"{name}.next"


def _path(name: str, home: Path | None) -> Path:
    return (home if home is not None else aauth_home()) / f"{checked_name(name)}.keys.json"


def _save(name: str, home: Path | None, history: KeyHistory) -> None:
    write_private(_path(name, home), json.dumps(msgspec.to_builtins(history), indent=2) + "\n")


def _public(jwk: dict[str, Any]) -> PublicKey:
    try:
        return PublicKey.from_jwk(jwk, accepted=ALGORITHMS)
    except AAuthError as error:
        raise ConfigurationError(f"A retired key cannot be used. {error.detail}") from error
