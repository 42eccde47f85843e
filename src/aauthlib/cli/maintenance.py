"""The commands that look after a server's database, with their options: `aauth db`."""

from __future__ import annotations

from typing import Annotated

import typer

from .exits import carry_out
from .screen import Screen

__all__ = ["db"]

db = typer.Typer(no_args_is_help=True, help="Look after the database of a server.")

Url = Annotated[str, typer.Argument(metavar="URL", help="sqlite:///person.db or postgresql://user@host/name.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts; nothing else goes to stdout.")]

AtOnce = Annotated[
    bool,
    typer.Option("--at-once", help="Sign with it from now on. Who has just fetched the old key set may refuse it."),
]
Leaked = Annotated[
    bool,
    typer.Option("--leaked", help="Somebody else has a key: it signs with a new one now, and no other is published."),
]
Role = Annotated[
    str | None, typer.Option("--role", help="person, access or provider, where the database holds several servers.")
]


@db.command("upgrade")
def upgrade(url: Url) -> None:
    """Bring the tables to this version's schema. Servers do it when they start, too."""
    from .database import upgrade_database

    screen = Screen()
    carry_out(screen, lambda: upgrade_database(screen, url))


@db.command("current")
def current(url: Url, json_output: Json = False) -> None:
    """Say at which revision the database is."""
    from .database import show_revision

    screen = Screen(json_output=json_output)
    carry_out(screen, lambda: show_revision(screen, url))


@db.command("keys")
def keys(url: Url, json_output: Json = False) -> None:
    """List the signing keys of the servers in the database, and from when each signs."""
    from .server_keys import list_keys

    screen = Screen(json_output=json_output)
    carry_out(screen, lambda: list_keys(screen, url))


@db.command("rotate-keys")
def rotate_keys(url: Url, at_once: AtOnce = False, leaked: Leaked = False, role: Role = None) -> None:
    """Give the servers in the database a new signing key.

    It is published now and signs in ten minutes, when everybody has had time to see it. The one before stays published
    until the last token it signed has expired. Running servers notice within a minute.

    With --leaked what the keys so far signed verifies no longer, whoever signed it: agents get new tokens.
    """
    from .server_keys import rotate_keys as rotate

    screen = Screen()
    carry_out(screen, lambda: rotate(screen, url, at_once=at_once, leaked=leaked, role=role))


@db.command("new-key")
def new_key() -> None:
    """Print a new encryption key, for AAUTHLIB_ENCRYPTION_KEY. Nothing else of it is kept anywhere."""
    from .encryption import print_new_key

    carry_out(Screen(), print_new_key)


@db.command("encrypt")
def encrypt(url: Url) -> None:
    """Encrypt private keys and personal data under the first key in AAUTHLIB_ENCRYPTION_KEY.

    Values under another of its keys are encrypted anew. Servers go on meanwhile, if they have the keys; begun again
    it goes on where it was.
    """
    from .encryption import encrypt_database

    screen = Screen()
    carry_out(screen, lambda: encrypt_database(screen, url))


@db.command("check")
def check(url: Url) -> None:
    """Compare every table with what this version expects."""
    from .database import check_database

    screen = Screen()
    carry_out(screen, lambda: check_database(screen, url))
