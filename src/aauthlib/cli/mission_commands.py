"""The commands about missions, with their options: `aauth missions`."""

from __future__ import annotations

from typing import Annotated

import typer

from .exits import carry_out
from .screen import Screen

__all__ = ["missions"]

missions = typer.Typer(
    no_args_is_help=True, help="Work in missions: the person says what they are about and follows what is done."
)

S256 = Annotated[str, typer.Argument(metavar="MISSION", help="Its s256, or the first characters of it.")]
Name = Annotated[str, typer.Option(help="Which identity to use.")]
Browser = Annotated[bool, typer.Option("--browser/--no-browser", help="Open the person's page in a browser.")]
Wait = Annotated[int, typer.Option(min=1, help="Seconds to wait for the person.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Tell each exchange as it happens.")]
Questions = Annotated[
    bool | None,
    typer.Option(
        "--questions/--no-questions",
        help="Answer the person's questions from standard input, a line each. Default: where that is a terminal.",
    ),
]
Dev = Annotated[
    bool, typer.Option("--dev", help="Accept http and ports on *.localhost, for trying things on this machine only.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts; nothing else goes to stdout.")]
Parameters = Annotated[str | None, typer.Option(help="A JSON object: what the action is given.")]


@missions.command("propose")
def propose_command(
    description: Annotated[str, typer.Argument(help="What it is about, in Markdown; @file reads a file.")],
    tool: Annotated[
        list[str] | None, typer.Option(help="A tool to use without asking each time: Name or Name=description.")
    ] = None,
    resource: Annotated[list[str] | None, typer.Option(help="A resource it will call (https://...).")] = None,
    name: Name = "default",
    browser: Browser = False,
    wait: Wait = 600,
    questions: Questions = None,
    verbose: Verbose = False,
    dev: Dev = False,
    json_output: Json = False,
) -> None:
    """Propose a mission and wait until the person approves it; they may change it."""
    from .calling import Calling
    from .missions import Proposal, propose

    screen = Screen(json_output=json_output)
    calling = Calling(name, browser, wait, questions, verbose, dev)
    proposal = Proposal(description, tuple(tool or ()), tuple(resource or ()))
    carry_out(screen, lambda: propose(screen, calling, proposal))


@missions.command("list")
def list_command(name: Name = "default", json_output: Json = False) -> None:
    """The missions of this identity, as far as this machine knows."""
    from .missions import list_missions

    screen = Screen(json_output=json_output)
    carry_out(screen, lambda: list_missions(screen, name))


@missions.command("show")
def show_command(mission: S256, name: Name = "default", json_output: Json = False) -> None:
    """What was agreed: the mission and every update the person accepted."""
    from .missions import show

    screen = Screen(json_output=json_output)
    carry_out(screen, lambda: show(screen, name, mission))


@missions.command("update")
def update_command(
    mission: S256,
    description: Annotated[str, typer.Argument(help="What changed, in Markdown; @file reads a file.")],
    name: Name = "default",
    browser: Browser = False,
    wait: Wait = 600,
    questions: Questions = None,
    verbose: Verbose = False,
    dev: Dev = False,
    json_output: Json = False,
) -> None:
    """Record a change in the work and wait until the person accepts it."""
    from .calling import Calling
    from .missions import update

    screen = Screen(json_output=json_output)
    calling = Calling(name, browser, wait, questions, verbose, dev)
    carry_out(screen, lambda: update(screen, calling, mission, description))


@missions.command("complete")
def complete_command(
    mission: S256,
    summary: Annotated[str, typer.Argument(help="What was accomplished, in Markdown; @file reads a file.")],
    name: Name = "default",
    browser: Browser = False,
    wait: Wait = 600,
    questions: Questions = None,
    verbose: Verbose = False,
    dev: Dev = False,
    json_output: Json = False,
) -> None:
    """Propose that the mission is finished and wait until the person agrees."""
    from .calling import Calling
    from .missions import complete

    screen = Screen(json_output=json_output)
    calling = Calling(name, browser, wait, questions, verbose, dev)
    carry_out(screen, lambda: complete(screen, calling, mission, summary))


@missions.command("permission")
def permission_command(
    action: Annotated[str, typer.Argument(help="What the agent wants to do, such as the name of a tool.")],
    mission: Annotated[
        str | None, typer.Option(help="The mission it belongs to: its s256, or the first characters.")
    ] = None,
    description: Annotated[str | None, typer.Option(help="What it will do and why, in Markdown.")] = None,
    parameters: Parameters = None,
    name: Name = "default",
    browser: Browser = False,
    wait: Wait = 600,
    questions: Questions = None,
    verbose: Verbose = False,
    dev: Dev = False,
    json_output: Json = False,
) -> None:
    """Ask whether an action may be done: exit code 0 when it may, 3 when not."""
    from .calling import Calling
    from .missions import permission

    screen = Screen(json_output=json_output)
    calling = Calling(name, browser, wait, questions, verbose, dev)
    carry_out(screen, lambda: permission(screen, calling, action, mission, description, parameters))


@missions.command("audit")
def audit_command(
    mission: S256,
    action: Annotated[str, typer.Argument(help="What was done.")],
    description: Annotated[str | None, typer.Option(help="What came of it, in Markdown.")] = None,
    parameters: Parameters = None,
    result: Annotated[str | None, typer.Option(help="A JSON object: what came of it.")] = None,
    name: Name = "default",
    verbose: Verbose = False,
    dev: Dev = False,
    json_output: Json = False,
) -> None:
    """Report an action that was done, for the mission's log."""
    from .calling import Calling
    from .missions import audit

    screen = Screen(json_output=json_output)
    calling = Calling(name, verbose=verbose, dev=dev)
    carry_out(screen, lambda: audit(screen, calling, mission, action, description, parameters, result))
