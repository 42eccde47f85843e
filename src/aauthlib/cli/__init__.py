"""The `aauth` command. `main` is the entry point; commands live in a module each and import what they need late."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit with one of the documented codes (`cli.exits`)."""
    from .app import run

    run()
