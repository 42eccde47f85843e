"""`aauth init`: make an agent identity, self-published or enrolled at a provider."""

from __future__ import annotations

import time
from pathlib import Path

from ..agent import FileKeystore, Identity, KeyringKeystore, Keystore, aauth_home, enroll, identities, save_identity
from ..errors import ConfigurationError
from ..identifiers import AgentIdentifier, server_identifier
from ..keys import SigningKey
from ..provider.selfpublished import check_published, publish
from ..transport import Wire
from .exits import Exit
from .publishing import PUBLISH_DIRECTORY
from .screen import Screen, safe

__all__ = ["init_identity"]


def init_identity(
    screen: Screen,
    *,
    issuer: str | None,
    provider: str | None,
    ps: str | None,
    name: str,
    local: str,
    alg: str,
    out: Path | None,
    invitation: str | None,
    keychain: bool,
    dev: bool,
) -> int:
    """Make the identity `name`. Raises `ConfigurationError` when it exists or the options contradict each other."""
    if (issuer is None) == (provider is None):
        raise ConfigurationError(
            "Say where the identity comes from: --issuer https://your.domain to publish it yourself, or "
            "--provider https://provider.example to enrol at an agent provider."
        )
    if name.endswith(".next"):
        raise ConfigurationError("A name that ends in .next is kept for the next key of another identity.")
    if name in identities():
        raise ConfigurationError(
            f"The identity {name} exists already in {aauth_home()}. Choose another --name, or remove its files first."
        )
    if ps is not None:
        server_identifier(ps, dev=dev)
    keystore: Keystore = KeyringKeystore() if keychain else FileKeystore()
    key = SigningKey.generate(alg)
    if issuer is not None:
        return _self_published(screen, issuer, ps, name, local, key, out, keystore, dev)
    return _enrolled(screen, provider or "", ps, name, key, invitation, keystore, dev)


def _self_published(
    screen: Screen,
    issuer: str,
    ps: str | None,
    name: str,
    local: str,
    key: SigningKey,
    out: Path | None,
    keystore: Keystore,
    dev: bool,
) -> int:
    server_identifier(issuer, dev=dev)
    agent = str(AgentIdentifier.parse(f"aauth:{local}@{issuer.partition('://')[2]}", dev=dev))
    identity = Identity(agent=agent, issuer=issuer, mode="self-issued", ps=ps, alg=key.alg, kid=key.kid, dev=dev)
    identity.check()
    directory = out if out is not None else PUBLISH_DIRECTORY
    document, key_set = publish(directory, issuer, [key], localhost_callback_allowed=True, dev=dev)
    path = save_identity(identity, key, name=name, keystore=keystore)
    if screen.json_output:
        screen.document({"agent": agent, "identity": str(path), "publish": [str(document), str(key_set)]})
        return Exit.OK
    screen.say(f"[green]✓[/] This agent is [bold]{safe(agent)}[/].")
    screen.say(f"  Its private key stays here: {safe(str(path.parent))}")
    screen.say(f"\nPublish these two files at {safe(issuer)}/, on any static host:")
    for file in (document, key_set):
        screen.say(f"  {safe(str(file))}  →  {safe(issuer)}/{safe(file.relative_to(directory).as_posix())}")
    with Wire.open(dev=dev) as wire:
        published = wire.run(check_published(issuer, key, dev=dev))
    if published.ok:
        screen.say("\n[green]✓[/] They are published already, and they are right. Try: [bold]aauth fetch URL -v[/]")
    else:
        screen.say(f"\nNot there yet: {safe(published.problems[0])}")
        screen.say(
            "[bold]aauth publish[/] looks again, and with --for github-pages, s3 or nginx says how to get them there."
        )
    if ps is None:
        screen.say("\nThis agent names no person server, so it cannot act for a person. Add one with --ps.")
    return Exit.OK


def _enrolled(
    screen: Screen,
    provider: str,
    ps: str | None,
    name: str,
    key: SigningKey,
    invitation: str | None,
    keystore: Keystore,
    dev: bool,
) -> int:
    server_identifier(provider, dev=dev)
    with Wire.open(dev=dev) as wire:
        source, _ = wire.run(enroll(provider, key, clock=time.time, ps=ps, invitation=invitation, dev=dev))
    identity = Identity(
        agent=source.agent or "", issuer=provider, mode="two-key", ps=ps, alg=key.alg, kid=key.kid, dev=dev
    )
    path = save_identity(identity, key, name=name, keystore=keystore)
    if screen.json_output:
        screen.document({"agent": identity.agent, "identity": str(path), "provider": provider})
        return Exit.OK
    screen.say(f"[green]✓[/] Enrolled: this agent is [bold]{safe(identity.agent)}[/].")
    screen.say(
        f"  Its durable key stays here: {safe(str(path.parent))}. It signs nothing but the refresh of the token."
    )
    screen.say("\nTry: [bold]aauth fetch URL -v[/]")
    return Exit.OK
