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


@db.command("check")
def check(url: Url) -> None:
    """Compare every table with what this version expects."""
    from .database import check_database

    screen = Screen()
    carry_out(screen, lambda: check_database(screen, url))
