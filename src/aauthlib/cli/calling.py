"""The agent that a command speaks as: its identity, its wire, what is told of it, how long it waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from ..agent import (
    Agent,
    FileKeystore,
    GrantPreferences,
    Identity,
    KeyringKeystore,
    Keystore,
    Mission,
    load_identity,
    source_of,
)
from ..agent.mission_files import MissionFiles
from ..deferred.polling import PollPolicy
from ..discovery import Directory
from ..errors import ConfigurationError, MissionTerminated
from ..keys import SigningKey
from ..transport import SyncTransport, Wire
from .exchanges import Exchange, Exchanges, Recorder
from .narrate import credential, explain, first_line
from .screen import Screen, safe
from .waiting import Waiting

__all__ = ["Calling", "find_identity", "in_mission", "open_agent"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Calling:
    """What the command line said about the agent and the person."""

    name: str = "default"
    browser: bool = False
    wait_s: int = 600
    """Each time the person is needed."""
    questions: bool | None = None
    """Whether questions of the person's are answered here; by default where there is a terminal."""
    verbose: bool = False
    dev: bool = False
    headless: bool = False
    """Nobody is near: the person server tells the person."""
    keeps: bool = False
    """Whether what waits is kept when the command ends."""
    preferences: GrantPreferences = field(default_factory=lambda: GrantPreferences(platform="desktop"))


@contextmanager
def open_agent(screen: Screen, calling: Calling, exchanges: Exchanges | None = None) -> Iterator[Agent]:
    """The agent, until the block ends; what it exchanges meanwhile is kept in `exchanges`."""
    identity, key, _ = find_identity(calling.name)
    dev = calling.dev or identity.dev
    exchanges = exchanges if exchanges is not None else Exchanges(time.time)
    exchanges.names.update(_names(identity.issuer, identity.ps))
    waiting = Waiting(
        screen, wait_s=calling.wait_s, browser=calling.browser, questions=calling.questions, keeps=calling.keeps
    )
    if calling.verbose and not screen.json_output:
        exchanges.on_exchange = lambda exchange: _tell(screen, exchange)
    wire = Wire(Recorder(SyncTransport(dev=dev), exchanges, "agent"), Directory(clock=time.time, dev=dev))
    agent = Agent(
        source_of(identity, key, clock=time.time),
        wire=wire,
        dev=dev,
        on_interaction=waiting.direct if not calling.headless else None,
        on_clarification=waiting.clarify if waiting.takes_questions else None,
        on_report=waiting.report,
        preferences=calling.preferences,
        poll=PollPolicy(deadline_s=float(calling.wait_s)),
    )
    try:
        with waiting:
            yield agent
    finally:
        wire.close()


def in_mission(
    screen: Screen, calling: Calling, s256: str, work: Callable[[Mission], _T], exchanges: Exchanges | None = None
) -> _T:
    """Do `work` as the agent in one of its missions, named by `s256` or its beginning; that it is over is kept."""
    files = MissionFiles(calling.name)
    kept = files.find(s256)
    if kept.ended is not None:
        raise MissionTerminated("This mission has ended, so nothing more is done in it.", reason=kept.ended)
    with open_agent(screen, calling, exchanges) as agent:
        try:
            return work(agent.missions.resume(kept.mission.blob, capabilities=kept.mission.capabilities))
        except MissionTerminated as error:
            files.ended(kept, error.reason or "terminated")
            raise


def find_identity(name: str) -> tuple[Identity, SigningKey, Keystore]:
    """The identity, its key, and where that is kept: in a file or, where there is none, in the keychain.

    Raises `ConfigurationError` when there is no such identity.
    """
    files = FileKeystore()
    try:
        return *load_identity(name, keystore=files), files
    except ConfigurationError as error:
        try:
            keychain = KeyringKeystore()
            return *load_identity(name, keystore=keychain), keychain
        except ConfigurationError:
            raise error from None


def _names(issuer: str, ps: str | None) -> dict[str, str]:
    names = {issuer: "the agent provider"}
    if ps is not None:
        names[ps] = "the person server"
    return names


def _tell(screen: Screen, exchange: Exchange) -> None:
    """One exchange, as two or three lines on standard error."""
    style = "dim" if exchange.discovery else "bold"
    screen.say(f"[{style}]agent → {safe(exchange.receiver)}[/]  {safe(first_line(exchange))}")
    if exchange.discovery:
        return
    screen.say(f"  [dim]{safe(credential(exchange.request))}[/]")
    for sentence in explain(exchange):
        screen.say(f"  {safe(sentence)}")
