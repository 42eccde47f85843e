"""`aauth serve access`: an access server on SQLite (or PostgreSQL), with its policy in a file."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from ..access import Facts, PolicyFile, Trust, Verdict
from ..access.decisions import name_of
from ..errors import ConfigurationError
from ..identifiers import server_identifier
from ..notifying import read_channels
from ..web.access import build_access_app
from ..web.collapsing import AccessRole
from .screen import Screen, safe
from .serve import say_stores
from .serving import Running, serve_one

__all__ = ["parse_trust", "read_access_role", "serve_access_server"]


def serve_access_server(
    screen: Screen,
    issuer: str,
    policy_file: Path,
    database: str,
    host: str,
    port: int,
    title: str | None,
    trusted: Sequence[str],
    resources: Sequence[str],
    record: Path | None,
    *,
    channels: Path | None = None,
    replay: str | None,
    dev: bool,
) -> int:
    """Run an access server until it is stopped."""
    server_identifier(issuer, dev=dev)
    trust = parse_trust(trusted, dev=dev)
    guarded = [server_identifier(resource, dev=dev) for resource in resources]
    policy = PolicyFile(policy_file, clock=time.time)

    async def main() -> None:
        app = await build_access_app(
            database,
            issuer,
            policy,
            dev=dev,
            name=title,
            accounts=True,
            trust=trust,
            resources=guarded or None,
            on_decision=_recorder(record) if record is not None else None,
            channels=read_channels(channels) if channels is not None else (),
            replay_url=replay,
        )
        screen.say(f"[bold]Access server[/] {safe(issuer)}, on http://{host}:{port}")
        say_stores(screen, database, replay)
        screen.say(f"  policy: {safe(str(policy_file))}, version {safe(policy.version)}; read again when it changes")
        known = ", ".join(trust.person_servers) or "none; every one is met as a stranger"
        screen.say(f"  person servers known in advance: {safe(known)}")
        screen.say(f"  decides for: {safe(', '.join(guarded) or 'every resource that names this server')}")
        if app.setup_code is not None:
            screen.say(f"  First run: make the administrator's account at {safe(issuer)}/ with this set-up code:")
            screen.say(f"    {app.setup_code}")
        elif app.accounts is not None and await app.accounts.first_run():
            screen.say(f"  First run: make the administrator's account at {safe(issuer)}/")
        if app.invitation is not None:
            screen.say("  Nobody administers this server yet. Who opens this first does:")
            screen.say(f"    {safe(issuer)}/join/{app.invitation}")
        if not dev:
            screen.say(
                f"  Put a TLS proxy in front that serves {safe(issuer)} and passes the request target unchanged."
            )
        await serve_one(Running(app, host, port), lambda: screen.say("Listening. Ctrl-C stops it."))

    with suppress(KeyboardInterrupt):
        asyncio.run(main())
    return 0


def read_access_role(
    policy_file: Path | None, resources: Sequence[str], trusted: Sequence[str], *, dev: bool
) -> AccessRole | None:
    """How a person server is an access server too; `None` without a policy.

    Raises `ConfigurationError` or `InvalidIdentifier`.
    """
    if policy_file is None:
        if resources or trusted:
            raise ConfigurationError("--access-resource and --access-trust go with --access-policy.")
        return None
    role = AccessRole(
        policy=PolicyFile(policy_file, clock=time.time),
        resources=[server_identifier(resource, dev=dev) for resource in resources],
        settings={"trust": parse_trust(trusted, dev=dev)},
    )
    role.check(dev=dev)
    return role


def parse_trust(values: Sequence[str], *, dev: bool = False) -> Trust:
    """`https://ps.example` trusts it for everybody, `https://ps.example=corp,lab` for two of its organisations.

    Raises `InvalidIdentifier` or `ConfigurationError`.
    """
    servers: dict[str, frozenset[str] | None] = {}
    for value in values:
        issuer, separator, tenants = value.partition("=")
        names = frozenset(name.strip() for name in tenants.split(",") if name.strip())
        if separator and not names:
            raise ConfigurationError(f"--trust {value}: name at least one tenant after the =, or leave it out.")
        servers[server_identifier(issuer, dev=dev)] = names if separator else None
    return Trust(servers)


def _recorder(path: Path) -> Callable[[Facts, Verdict], None]:
    """Appends each request and its decision to a file that only its owner reads, for `aauth policy test`."""

    def write(facts: Facts, verdict: Verdict) -> None:
        line = msgspec.json.encode({**facts.document(), "expect": name_of(verdict.decision)}) + b"\n"
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    return write
