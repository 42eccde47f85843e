"""The commands about this machine's identities, with their options: `aauth whoami`, `aauth keys`, `aauth publish`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .exits import carry_out
from .screen import Screen

__all__ = ["keys", "publish_command", "whoami_command"]

keys = typer.Typer(no_args_is_help=True, help="The keys of this machine's agents: list them, rotate one.")

Name = Annotated[str, typer.Option(help="Which identity to use.")]
Out = Annotated[Path, typer.Option(help="The directory of the files to publish, the root of the site.")]
Dev = Annotated[
    bool, typer.Option("--dev", help="Accept http and ports on *.localhost, for trying things on this machine only.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts; nothing else goes to stdout.")]
_OUT = Path("aauth-publish")


def whoami_command(
    name: Name = "default",
    check: Annotated[
        bool, typer.Option("--check", help="Get an agent token too, and see whether what is published is right.")
    ] = False,
    dev: Dev = False,
    json_output: Json = False,
) -> None:
    """Say which agent this machine speaks as, for whom, and where its key is."""
    from .whoami import who_am_i

    screen = Screen(json_output=json_output)
    carry_out(screen, lambda: who_am_i(screen, name, check=check, dev=dev))


def publish_command(
    name: Name = "default",
    out: Out = _OUT,
    host: Annotated[
        str | None,
        typer.Option("--for", metavar="HOST", help="Help for a kind of host: github-pages, s3 or nginx."),
    ] = None,
    shown_name: Annotated[
        str | None, typer.Option("--shown-name", help="The name people see. Kept if left out.")
    ] = None,
    description: Annotated[str | None, typer.Option(help="What people see of it. Kept if left out.")] = None,
    logo: Annotated[str | None, typer.Option(help="HTTPS URL of a logo. Kept if left out.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not look at what is published.")] = False,
    dev: Dev = False,
    json_output: Json = False,
) -> None:
    """Write the files that make a self-published agent known, and check what the world sees of them."""
    from .publishing import Shown, publish_identity

    screen = Screen(json_output=json_output)
    shown = Shown(shown_name, description, logo)
    carry_out(screen, lambda: publish_identity(screen, name, out=out, host=host, shown=shown, offline=offline, dev=dev))


@keys.command("list")
def list_command(json_output: Json = False) -> None:
    """Show every identity's key by its thumbprint, and where it is kept. No private key is shown."""
    from .agent_keys import list_agent_keys

    screen = Screen(json_output=json_output)
    carry_out(screen, lambda: list_agent_keys(screen))


@keys.command("rotate")
def rotate_command(
    name: Name = "default",
    out: Out = _OUT,
    leaked: Annotated[
        bool, typer.Option("--leaked", help="Somebody may have the key: a new one at once, and no other stays.")
    ] = False,
    dev: Dev = False,
    json_output: Json = False,
) -> None:
    """Give a self-published agent a new key: the first run publishes it, the next one signs with it."""
    from .agent_keys import rotate_agent_key

    screen = Screen(json_output=json_output)
    carry_out(screen, lambda: rotate_agent_key(screen, name, out=out, leaked=leaked, dev=dev))
