"""`aauth db new-key` and `aauth db encrypt`: private keys and personal data encrypted at rest."""

from __future__ import annotations

import sys

from ..errors import ConfigurationError
from ..store.database import Database
from ..store.resealing import reseal
from ..store.sealing import new_key
from ..store.upgrading import schema_state
from .database import existing, on_database
from .exits import Exit
from .screen import Screen, safe

__all__ = ["encrypt_database", "print_new_key"]


def print_new_key() -> int:
    """A key, alone on stdout, so that it can go where secrets are kept without being seen."""
    sys.stdout.write(new_key() + "\n")
    return Exit.OK


def encrypt_database(screen: Screen, url: str) -> int:
    """Encrypt under the first key what is not yet."""

    async def work(database: Database) -> int:
        state = await schema_state(database)
        if not state.current:
            raise ConfigurationError(
                f"The database is at revision {state.revision or 'none'}: run `aauth db upgrade` first."
            )
        return await reseal(database, lambda table, count: screen.say(f"{safe(table)}: {count:,} values"))

    count = on_database(existing(url), work)
    screen.say(f"Encrypted {count:,} values under the first key." if count else "Everything is under the first key.")
    return Exit.OK
