"""`aauth serve`: a person server or an agent provider on SQLite (or PostgreSQL), one command."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path

from ..errors import ConfigurationError
from ..identifiers import server_identifier
from ..messages.metadata import AgentProviderMetadata
from ..notifying import read_channels
from ..person.organisation_settings import read_organisations
from ..person.policy_rules import PersonPolicyFile
from ..provider import InvitationCodes
from ..store.replays import shown_replay_url
from ..web.collapsing import AccessRole
from ..web.person import build_person_app
from ..web.provider import open_provider_app
from .screen import Screen, safe
from .serving import Running, serve_one

__all__ = ["say_stores", "serve_agent_provider", "serve_person_server"]


def serve_person_server(
    screen: Screen,
    issuer: str,
    database: str,
    host: str,
    port: int,
    title: str | None,
    *,
    organisations: Path | None,
    channels: Path | None,
    policy_file: Path | None = None,
    access: AccessRole | None = None,
    replay: str | None,
    dev: bool,
) -> int:
    """Run a person server until it is stopped; with `access` it is an access server too."""
    tenants = read_organisations(organisations, dev=dev) if organisations is not None else {}
    offered = read_channels(channels) if channels is not None else []
    rules = PersonPolicyFile(policy_file, clock=time.time) if policy_file is not None else None

    async def main() -> None:
        app = await build_person_app(
            database,
            issuer,
            dev=dev,
            name=title,
            organisations=tenants,
            channels=offered,
            replay_url=replay,
            access=access,
            policy=rules,
        )
        screen.say(f"[bold]Person server[/] {safe(issuer)}, on http://{host}:{port}")
        say_stores(screen, database, replay)
        if rules is not None:
            screen.say(f"  policy: {safe(str(policy_file))}, version {safe(rules.version)}; read again when it changes")
        if app.setup_code is not None:
            screen.say(f"  First run: make your account at {safe(issuer)}/ with this set-up code: {app.setup_code}")
        elif await app.accounts.first_run():
            screen.say(f"  First run: make your account at {safe(issuer)}/")
        for tenant, secret in app.invitations.items():
            screen.say(f"  {safe(tenant)} has no administrator yet. Who opens this first is one:")
            screen.say(f"    {safe(issuer)}/join/{secret}")
        if app.access is not None and access is not None:
            screen.say(f"  Access server too, for {safe(', '.join(access.resources))}; its pages are below /access/")
            if app.access.invitation is not None:
                screen.say("  Nobody administers it yet. Who opens this first does:")
                screen.say(f"    {safe(app.access.server.root)}/join/{app.access.invitation}")
        _proxy_hint(screen, issuer, dev)
        await serve_one(Running(app, host, port), lambda: _listening(screen))

    server_identifier(issuer, dev=dev)
    return _run(main())


def serve_agent_provider(
    screen: Screen,
    issuer: str,
    database: str,
    host: str,
    port: int,
    title: str | None,
    invitation_file: Path | None,
    *,
    replay: str | None,
    dev: bool,
) -> int:
    """Run an agent provider until it is stopped."""
    gate = None
    if invitation_file is not None:
        try:
            codes = [line.strip() for line in invitation_file.read_text().splitlines() if line.strip()]
        except OSError as error:
            raise ConfigurationError(f"{invitation_file} cannot be read: {error.strerror}.") from error
        gate = InvitationCodes(codes)

    async def main() -> None:
        app = await open_provider_app(
            database,
            issuer,
            dev=dev,
            metadata=AgentProviderMetadata(issuer=issuer, name=title),
            gate=gate,
            replay_url=replay,
        )
        screen.say(f"[bold]Agent provider[/] {safe(issuer)}, on http://{host}:{port}")
        say_stores(screen, database, replay)
        screen.say("  Enrolment needs an invitation." if gate else "  Anybody may enrol; see --invitations.")
        _proxy_hint(screen, issuer, dev)
        await serve_one(Running(app, host, port), lambda: _listening(screen))

    server_identifier(issuer, dev=dev)
    return _run(main())


def say_stores(screen: Screen, database: str, replay: str | None) -> None:
    """Say where the data are and, if elsewhere, where received requests are remembered; without passwords."""
    screen.say(f"  data: {safe(_shown(database))}")
    if replay is not None:
        screen.say(f"  received requests: {safe(shown_replay_url(replay))}")


def _shown(database: str) -> str:
    """A database URL without its password."""
    from sqlalchemy.engine import make_url

    return make_url(database).render_as_string(hide_password=True)


def _proxy_hint(screen: Screen, issuer: str, dev: bool) -> None:
    if not dev:
        screen.say(f"  Put a TLS proxy in front that serves {safe(issuer)} and passes the request target unchanged.")


def _listening(screen: Screen) -> None:
    screen.say("Listening. Ctrl-C stops it.")


def _run(main: Coroutine[None, None, None]) -> int:
    """Run a server until Ctrl-C, which is how one ends."""
    with suppress(KeyboardInterrupt):
        asyncio.run(main)
    return 0
