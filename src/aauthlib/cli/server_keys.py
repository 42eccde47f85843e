"""`aauth db keys` and `aauth db rotate-keys`: the signing keys of the servers in a database."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from ..errors import ConfigurationError
from ..provider.provider import MAX_LIFETIME_S as AGENT_TOKEN_LIFETIME_S
from ..store.access import SQLAccessStore
from ..store.database import Database
from ..store.keyring import KeyRing, StoredKey
from ..store.person import SQLPersonStore
from ..store.provider import SQLProviderStore
from ..store.signing_keys import SQLKeys
from ..store.upgrading import schema_state
from ..tokens import MAX_LIFETIME_S
from .database import existing, on_database
from .exits import Exit
from .screen import Screen, safe

__all__ = ["list_keys", "rotate_keys"]

_LONGEST_TOKEN_S = {"person": MAX_LIFETIME_S, "access": MAX_LIFETIME_S, "provider": AGENT_TOKEN_LIFETIME_S}


def list_keys(screen: Screen, url: str) -> int:
    """Every key that is published, by role, and from when it signs."""
    found = on_database(existing(url), _keys)
    if screen.json_output:
        screen.document({role: [_described(key) for key in keys] for role, keys in found.items()})
    for role, keys in found.items():
        for key in keys:
            screen.say(f"{role}: {safe(key.kid)} signs from {_when(key.use_from)}")
    return Exit.OK


def rotate_keys(screen: Screen, url: str, *, at_once: bool, leaked: bool = False, role: str | None) -> int:
    """A new signing key for each server in the database, or for the one of `role`; `leaked` takes the others away."""
    if role is not None and role not in _LONGEST_TOKEN_S:
        raise ConfigurationError(f"--role is one of {', '.join(_LONGEST_TOKEN_S)}.")

    async def rotate(database: Database) -> dict[str, tuple[StoredKey, bool]]:
        known = await _keys(database)
        chosen = [role] if role is not None else list(known)
        if role is not None and role not in known:
            raise ConfigurationError(f"The database holds no {role} server.")
        made = {}
        for each in chosen:
            ring = KeyRing(_stores(database)[each], clock=time.time, longest_token_s=_LONGEST_TOKEN_S[each])
            newest = await (ring.replace() if leaked else ring.rotate(at_once=at_once))
            made[each] = newest, newest.kid not in {key.kid for key in known[each]}
        return made

    made = on_database(existing(url), rotate)
    for each, (newest, new) in made.items():
        if new:
            screen.say(f"{each}: {safe(newest.kid)} is published, and signs from {_when(newest.use_from)}.")
            if leaked:
                screen.say(f"{each}: no other key is published any more. A server that runs notices within a minute.")
        else:
            screen.say(f"{each}: {safe(newest.kid)} is published already, and signs from {_when(newest.use_from)}.")
    return Exit.OK


def _stores(database: Database) -> dict[str, SQLKeys]:
    return {
        "person": SQLPersonStore(database).signing_keys,
        "access": SQLAccessStore(database).signing_keys,
        "provider": SQLProviderStore(database).signing_keys,
    }


async def _keys(database: Database) -> dict[str, list[StoredKey]]:
    """By role; a server that has been started once has a key. Raises `ConfigurationError` when there is none."""
    state = await schema_state(database)
    if not state.current:
        raise ConfigurationError(
            f"The database is at revision {state.revision or 'none'}: run `aauth db upgrade` first."
        )
    found = {role: list(await store.keys()) for role, store in _stores(database).items()}
    known = {role: keys for role, keys in found.items() if keys}
    if not known:
        raise ConfigurationError("The database holds no server's keys. A server makes the first one when it starts.")
    return known


def _described(key: StoredKey) -> dict[str, Any]:
    return {"kid": key.kid, "published_at": key.published_at, "use_from": key.use_from}


def _when(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
