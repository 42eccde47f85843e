"""`aauth whoami`: which agent this machine speaks as, and with `--check` whether it can."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from ..agent import KeyringKeystore, aauth_home, identities, source_of
from ..errors import AAuthError
from ..provider.selfpublished import check_published
from ..tokens import AgentToken
from ..transport import Wire
from .calling import find_identity
from .exits import Exit
from .screen import Screen, safe

__all__ = ["who_am_i"]

_MODES = {
    "self-issued": "published by itself",
    "two-key": "enrolled at its provider",
    "single-key": "enrolled at its provider, one key for everything",
}


def who_am_i(screen: Screen, name: str, *, check: bool, dev: bool) -> int:
    """Say who the identity `name` is. With `check`, get an agent token and see what is published.

    Returns `Exit.INVALID` when the check finds what does not hold. Raises `ConfigurationError` for no such identity.
    """
    identity, key, keystore = find_identity(name)
    keychain = isinstance(keystore, KeyringKeystore)
    document: dict[str, Any] = {
        "name": name,
        "agent": identity.agent,
        "issuer": identity.issuer,
        "mode": identity.mode,
        "person_server": identity.ps,
        "key": {"alg": key.alg, "thumbprint": key.thumbprint, "kept_in": "keychain" if keychain else "file"},
        "dev": identity.dev,
    }
    others = [other for other in identities() if other != name]
    screen.say(f"[bold]{safe(identity.agent)}[/]")
    screen.say(f"  provider       {safe(identity.issuer)} ({_MODES[identity.mode]})")
    screen.say(f"  person server  {safe(identity.ps) if identity.ps else 'none: it cannot act for a person'}")
    screen.say(f"  key            {key.alg}, thumbprint {key.thumbprint}")
    screen.say(f"  kept           {'in the keychain' if keychain else safe(str(aauth_home()))}, as {safe(name)}")
    if others:
        screen.say(f"  also here      {safe(', '.join(others))} (--name)")
    problems: list[str] = []
    if check:
        problems = _problems(document, name, dev=dev or identity.dev)
        for problem in problems:
            screen.say(f"[bold red]✗[/] {safe(problem)}")
        if not problems:
            until = datetime.fromtimestamp(document["agent_token_expires"], UTC)
            screen.say(f"[green]✓[/] It has an agent token, good until {until:%Y-%m-%d %H:%M} UTC.")
        document["problems"] = problems
    if screen.json_output:
        screen.document(document)
    return Exit.INVALID if problems else Exit.OK


def _problems(document: dict[str, Any], name: str, *, dev: bool) -> list[str]:
    """What keeps the agent from being believed; puts the token's end into `document`."""
    identity, key, _ = find_identity(name)
    with Wire.open(dev=dev) as wire:
        try:
            own = wire.run(source_of(identity, key, clock=time.time).obtain())
        except AAuthError as error:
            return [error.detail or type(error).__name__]
        if isinstance(own.token, AgentToken):
            document["agent_token_expires"] = own.token.exp
        if identity.mode != "self-issued":
            return []
        return list(wire.run(check_published(identity.issuer, key, dev=dev)).problems)
