"""The commands and their options. Each hands over to its module; errors become exit codes in one place."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from ..errors import AAuthError
from . import identity_commands, maintenance, mission_commands, pending_commands
from .exits import Exit, carry_out
from .screen import Screen

__all__ = ["app", "run"]

app = typer.Typer(
    name="aauth",
    help="AAuth: agents that prove who they are on every request.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
serve = typer.Typer(no_args_is_help=True, help="Run a server of one role, with SQLite.")
app.add_typer(serve, name="serve")
policy = typer.Typer(no_args_is_help=True, help="Work on the policy of an access server, or of a person server.")
app.add_typer(policy, name="policy")
app.add_typer(identity_commands.keys, name="keys")
app.add_typer(maintenance.db, name="db")
app.add_typer(mission_commands.missions, name="missions")
app.add_typer(pending_commands.pending, name="pending")

Dev = Annotated[
    bool, typer.Option("--dev", help="Accept http and ports on *.localhost, for trying things on this machine only.")
]
Replay = Annotated[
    str | None,
    typer.Option(
        "--replay",
        metavar="URL",
        envvar="AAUTHLIB_REPLAY",
        help="Where received requests are remembered, so that none is served twice: valkey://, redis://, "
        "postgresql://, sqlite:///file, memory:. Default: the database. Keep a password in the variable.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts; nothing else goes to stdout.")]


def run() -> None:
    """Run the command, and end with a documented exit code whatever happens."""
    backend = os.environ.get("AAUTHLIB_ED25519")
    if backend:
        _use_backend(backend)
    try:
        app(standalone_mode=True)
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)


def _use_backend(name: str) -> None:
    """The Ed25519 backend that the environment asks for: `cryptography` or `pynacl`."""
    from ..keys import use_ed25519_backend

    try:
        use_ed25519_backend(cast("Any", name))
    except (AAuthError, ImportError, ValueError) as error:
        Screen().fail(f"AAUTHLIB_ED25519={name} cannot be used: {error}")
        sys.exit(Exit.USAGE)


@app.command()
def init(
    issuer: Annotated[
        str | None,
        typer.Option(help="Publish this agent yourself under an HTTPS URL you control (https://agent.example)."),
    ] = None,
    provider: Annotated[
        str | None, typer.Option(help="Enrol at an agent provider instead (https://provider.example).")
    ] = None,
    ps: Annotated[str | None, typer.Option(help="The person server of the person this agent acts for.")] = None,
    name: Annotated[str, typer.Option(help="The name of this identity on this machine.")] = "default",
    local: Annotated[str, typer.Option(help="The part before the @ of a self-published agent.")] = "agent",
    alg: Annotated[str, typer.Option(help="Ed25519 (recommended) or ES256.")] = "Ed25519",
    out: Annotated[
        Path | None, typer.Option(help="Where to write the files to publish. Default: ./aauth-publish.")
    ] = None,
    invitation: Annotated[str | None, typer.Option(help="Invitation code, where the provider wants one.")] = None,
    keychain: Annotated[bool, typer.Option("--keychain", help="Keep the key in the OS keychain.")] = False,
    dev: Dev = False,
    json_output: Json = False,
) -> None:
    """Make an agent identity: a key, and either files to publish or an enrolment at a provider."""
    from .init import init_identity

    screen = Screen(json_output=json_output)
    carry_out(
        screen,
        lambda: init_identity(
            screen,
            issuer=issuer,
            provider=provider,
            ps=ps,
            name=name,
            local=local,
            alg=alg,
            out=out,
            invitation=invitation,
            keychain=keychain,
            dev=dev,
        ),
    )


@app.command()
def fetch(
    url: Annotated[str | None, typer.Argument(help="What to call.")] = None,
    method: Annotated[
        str | None, typer.Option("--request", "-X", help="HTTP method. Default: GET, or POST with data.")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", "-d", help="Body; @file reads a file, @- standard input.")
    ] = None,
    header: Annotated[list[str] | None, typer.Option("--header", "-H", help="Name: value, repeatable.")] = None,
    include: Annotated[bool, typer.Option("--include", "-i", help="Print status and headers before the body.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the body to a file.")] = None,
    name: Annotated[str, typer.Option(help="Which identity to use.")] = "default",
    mission: Annotated[
        str | None, typer.Option(help="The mission the call belongs to: its s256, or the first characters.")
    ] = None,
    why: Annotated[str | None, typer.Option(help="Tell the person why (shown as this agent's claim).")] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the consent page in a browser.")
    ] = False,
    wait: Annotated[
        int, typer.Option(min=0, help="Seconds to wait for the person; then the request is kept, to go on with later.")
    ] = 600,
    headless: Annotated[
        bool,
        typer.Option("--headless", help="Nobody is near to be sent to a page: their person server tells them."),
    ] = False,
    resume: Annotated[
        str | None, typer.Option(metavar="ID", help="Go on with a request that waits, in place of a URL.")
    ] = None,
    questions: Annotated[
        bool | None,
        typer.Option(
            "--questions/--no-questions",
            help="Answer the person's questions from standard input, a line each. Default: where that is a terminal.",
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell each exchange as it happens.")] = False,
    dev: Dev = False,
    json_output: Json = False,
) -> None:
    """Call a URL as this agent: sign, meet challenges, ask the person, print the answer."""
    from ..agent import GrantPreferences
    from .calling import Calling
    from .fetch import FetchOptions, fetch_url

    screen = Screen(json_output=json_output)
    preferences = GrantPreferences(justification=why, platform="desktop")
    options = FetchOptions(
        url,
        Calling(name, browser, wait, questions, verbose, dev, headless, True, preferences),
        method=method,
        data=data,
        headers=tuple(header or ()),
        include=include,
        output=output,
        mission=mission,
        resume=resume,
    )
    carry_out(screen, lambda: fetch_url(screen, options))


@app.command()
def inspect(
    what: Annotated[
        str,
        typer.Argument(
            help="A token, a URL, or a file with either or with a captured request; - reads standard input."
        ),
    ],
    offline: Annotated[bool, typer.Option("--offline", help="Fetch nothing, so check no issuer's signature.")] = False,
    origin: Annotated[
        str | None, typer.Option(help="Scheme and host of a captured request, if not https and its Host.")
    ] = None,
    at: Annotated[float | None, typer.Option(help="Judge as of this Unix time, in seconds.")] = None,
    dev: Dev = False,
    json_output: Json = False,
) -> None:
    """Decode and check a token, a server's metadata or a captured request, and say what does not hold."""
    from .inspect import inspect_anything

    screen = Screen(json_output=json_output)
    carry_out(screen, lambda: inspect_anything(screen, what, offline=offline, origin=origin, at=at, dev=dev))


app.command("whoami")(identity_commands.whoami_command)
app.command("publish")(identity_commands.publish_command)


@serve.command("person")
def serve_person(
    issuer: Annotated[str, typer.Option(help="This server's identifier: https://person.example.")],
    database: Annotated[str, typer.Option(help="Database URL.")] = "sqlite:///person.db",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; TLS is the business of a proxy in front.")] = 8400,
    title: Annotated[str | None, typer.Option("--name", help="Display name.")] = None,
    organisations: Annotated[
        Path | None, typer.Option(help="TOML file with the organisations of its people and where they sign in.")
    ] = None,
    channels: Annotated[
        Path | None,
        typer.Option(help="TOML file of the channels people can be told by: e-mail, chat, phone."),
    ] = None,
    policy_file: Annotated[
        Path | None,
        typer.Option("--policy", help="TOML file of rules that allow, deny, ask the person, or ask approvers."),
    ] = None,
    access_policy: Annotated[
        Path | None,
        typer.Option(help="Be an access server too, at the same address, with this policy: rules in .toml, or Cedar."),
    ] = None,
    access_resource: Annotated[
        list[str] | None, typer.Option(help="With --access-policy: a resource it decides for. Repeatable.")
    ] = None,
    access_trust: Annotated[
        list[str] | None,
        typer.Option(help="With --access-policy: another person server known in advance, as --trust has it."),
    ] = None,
    replay: Replay = None,
    dev: Dev = False,
) -> None:
    """Run a person server: consent pages, person tokens, auth tokens."""
    from .serve import serve_person_server
    from .serve_access import read_access_role

    screen = Screen()
    carry_out(
        screen,
        lambda: serve_person_server(
            screen,
            issuer,
            database,
            host,
            port,
            title,
            organisations=organisations,
            channels=channels,
            policy_file=policy_file,
            access=read_access_role(access_policy, access_resource or (), access_trust or (), dev=dev),
            replay=replay,
            dev=dev,
        ),
    )


@serve.command("provider")
def serve_provider(
    issuer: Annotated[str, typer.Option(help="This server's identifier: https://agent.example.")],
    database: Annotated[str, typer.Option(help="Database URL.")] = "sqlite:///provider.db",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; TLS is the business of a proxy in front.")] = 8500,
    title: Annotated[str | None, typer.Option("--name", help="Display name.")] = None,
    invitation_file: Annotated[
        Path | None,
        typer.Option("--invitations", help="File with one invitation code a line; without it anyone may enrol."),
    ] = None,
    replay: Replay = None,
    dev: Dev = False,
) -> None:
    """Run an agent provider: enrolment, refresh, sub-agents."""
    from .serve import serve_agent_provider

    screen = Screen()
    carry_out(
        screen,
        lambda: serve_agent_provider(
            screen, issuer, database, host, port, title, invitation_file, replay=replay, dev=dev
        ),
    )


@serve.command("access")
def serve_access(
    issuer: Annotated[str, typer.Option(help="This server's identifier: https://access.example.")],
    policy_file: Annotated[
        Path, typer.Option("--policy", help="The policy: rules in .toml, Cedar in .cedar, or decide(facts) in .py.")
    ],
    database: Annotated[str, typer.Option(help="Database URL.")] = "sqlite:///access.db",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; TLS is the business of a proxy in front.")] = 8600,
    title: Annotated[str | None, typer.Option("--name", help="Display name.")] = None,
    trust: Annotated[
        list[str] | None,
        typer.Option(help="A person server known in advance, as URL or URL=tenant,tenant; repeatable."),
    ] = None,
    resource: Annotated[
        list[str] | None, typer.Option(help="A resource to decide for, repeatable. Default: any naming this server.")
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(help="Append every request to this file for `aauth policy test`; it holds identity claims."),
    ] = None,
    channels: Annotated[
        Path | None,
        typer.Option(help="TOML file of the channels approvers can be told by: e-mail, chat, phone."),
    ] = None,
    replay: Replay = None,
    dev: Dev = False,
) -> None:
    """Run an access server: an organisation's policy decides about its resources."""
    from .serve_access import serve_access_server

    screen = Screen()
    carry_out(
        screen,
        lambda: serve_access_server(
            screen,
            issuer,
            policy_file,
            database,
            host,
            port,
            title,
            trust or (),
            resource or (),
            record,
            channels=channels,
            replay=replay,
            dev=dev,
        ),
    )


@policy.command("test")
def policy_test(
    policy_file: Annotated[Path, typer.Argument(metavar="FILE", help="The policy: .toml, .cedar or .py.")],
    requests_file: Annotated[
        Path, typer.Argument(metavar="REQUEST.json", help="Recorded requests: one, a list, or one a line.")
    ],
    person: Annotated[bool, typer.Option("--person", help="It is the policy of a person server.")] = False,
    json_output: Json = False,
) -> None:
    """Say what a policy decides on recorded requests, and by which rule; fails where `expect` says otherwise."""
    from .person_policy import test_person_policy
    from .policy import test_policy

    screen = Screen(json_output=json_output)
    test = test_person_policy if person else test_policy
    carry_out(screen, lambda: test(screen, policy_file, requests_file))


@app.command()
def demo(
    yes: Annotated[bool, typer.Option("--yes", help="Unattended: a scripted person uses the real pages.")] = False,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open pages in your browser.")] = True,
    json_output: Json = False,
) -> None:
    """Start five parties on this machine and walk through a first contact."""
    from ..demo.run import run_demo

    screen = Screen(json_output=json_output)
    carry_out(screen, lambda: run_demo(screen, yes=yes, browser=browser))


@app.callback(invoke_without_command=True)
def main_options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Options of the command itself."""
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"aauth {installed('aauthlib')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
