"""The commands about requests that wait, with their options: `aauth pending`."""

from __future__ import annotations

from typing import Annotated

import typer

from .exits import carry_out
from .screen import Screen

__all__ = ["pending"]

pending = typer.Typer(no_args_is_help=True, help="Requests that wait for somebody: list them, go on, withdraw.")

Id = Annotated[str, typer.Argument(metavar="ID", help="As `aauth pending list` shows it, or its first characters.")]
Name = Annotated[str, typer.Option(help="Which identity to use.")]
Dev = Annotated[
    bool, typer.Option("--dev", help="Accept http and ports on *.localhost, for trying things on this machine only.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts; nothing else goes to stdout.")]


@pending.command("list")
def list_command(name: Name = "default", json_output: Json = False) -> None:
    """Show the requests that wait. Nothing is asked of any server."""
    from .pending import list_requests

    screen = Screen(json_output=json_output)
    carry_out(screen, lambda: list_requests(screen, name))


@pending.command("resume")
def resume_command(
    kept_id: Id,
    name: Name = "default",
    wait: Annotated[int, typer.Option(min=0, help="Seconds to wait for the person.")] = 600,
    headless: Annotated[bool, typer.Option("--headless", help="Nobody is near to be sent to a page.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell each exchange as it happens.")] = False,
    dev: Dev = False,
    json_output: Json = False,
) -> None:
    """Go on with a request and print its answer; the same as `aauth fetch --resume`."""
    from .calling import Calling
    from .fetch import FetchOptions, fetch_url

    screen = Screen(json_output=json_output)
    calling = Calling(name, wait_s=wait, verbose=verbose, dev=dev, headless=headless, keeps=True)
    carry_out(screen, lambda: fetch_url(screen, FetchOptions(None, calling, resume=kept_id)))


@pending.command("cancel")
def cancel_command(kept_id: Id, name: Name = "default", dev: Dev = False, json_output: Json = False) -> None:
    """Withdraw a request at the servers where it waits, and forget it."""
    from .calling import Calling
    from .pending import cancel_request

    screen = Screen(json_output=json_output)
    carry_out(screen, lambda: cancel_request(screen, Calling(name, dev=dev), kept_id))
