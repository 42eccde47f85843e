"""`aauth policy test`: what a policy would decide on recorded requests, and by which rule."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ..access import Facts, NeedApproval, Policy, Verdict, load_policy
from ..access.decisions import name_of
from ..access.guarding import guarded
from ..errors import ConfigurationError
from .exits import Exit
from .screen import Screen, safe

__all__ = ["read_recorded", "test_policy"]

_F = TypeVar("_F")
_EXPECT = "expect"
_MAX_BYTES = 16_777_216


def test_policy(screen: Screen, policy_file: Path, requests_file: Path) -> int:
    """Decide each recorded request; `Exit.INVALID` when one is not decided as its `expect` says.

    Raises `ConfigurationError` when a file cannot be read as what it should be.
    """
    policy = load_policy(policy_file)
    recorded = read_recorded(requests_file, Facts.read)
    verdicts = asyncio.run(_decide(policy, [facts for facts, _ in recorded]))
    wrong = 0
    for number, ((facts, expected), verdict) in enumerate(zip(recorded, verdicts, strict=True), start=1):
        if isinstance(verdict, Exception):
            wrong += 1
            _failed(screen, number, verdict)
            continue
        found = name_of(verdict.decision)
        as_expected = expected is None or expected == found
        wrong += not as_expected
        if screen.json_output:
            screen.document(_document(number, verdict, expected))
            continue
        mark = "[red]✗[/]" if not as_expected else "[green]✓[/]" if expected is not None else "·"
        note = "" if as_expected else f" [red](expected {safe(expected or '')})[/]"
        asked = safe(f"{' '.join(facts.scope)} at {facts.resource} for {facts.agent} of {facts.person_server}")
        screen.say(f"{mark} {number}. [bold]{found}[/]{note} by {safe(verdict.rule)}")
        screen.say(f"     {asked}")
        if details := _details(verdict):
            screen.say(f"     {safe(details)}")
    if not screen.json_output:
        screen.say(f"{len(recorded)} decided by policy version {safe(policy.version)}, {wrong} not as expected.")
    return Exit.INVALID if wrong else Exit.OK


async def _decide(policy: Policy, recorded: list[Facts]) -> list[Verdict | Exception]:
    """What a server makes of what the policy says, or how the policy fails."""

    async def decide(facts: Facts) -> Verdict | Exception:
        try:
            return guarded(facts, await policy.decide(facts))
        except Exception as error:  # Of the policy's own code, whatever that does.
            return error

    return [await decide(facts) for facts in recorded]


def _failed(screen: Screen, number: int, error: Exception) -> None:
    said = f"{type(error).__name__}: {error}"
    if screen.json_output:
        screen.document({"request": number, "failed": said})
    else:
        screen.say(f"[red]✗[/] {number}. [bold]the policy failed[/], which is a server error: {safe(said)}")


def read_recorded(path: Path, read: Callable[[dict[str, Any]], _F]) -> list[tuple[_F, str | None]]:
    """Recorded requests, each with what is expected: one JSON object, a list of them, or one a line.

    `read` makes facts of one. Raises `ConfigurationError`.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
    if len(content) > _MAX_BYTES:
        raise ConfigurationError(f"{path} is larger than {_MAX_BYTES} bytes.")
    try:
        document: Any = msgspec.json.decode(content)
        documents = document if isinstance(document, list) else [document]
    except msgspec.DecodeError:
        try:
            documents = [msgspec.json.decode(line) for line in content.splitlines() if line.strip()]
        except msgspec.DecodeError as error:
            raise ConfigurationError(f"{path} is neither JSON nor JSON lines.") from error
    found = []
    for number, entry in enumerate(documents, start=1):
        if not isinstance(entry, dict):
            raise ConfigurationError(f"{path}, request {number}: a recorded request is a JSON object.")
        expected = entry.pop(_EXPECT, None)
        if expected is not None and not isinstance(expected, str):
            raise ConfigurationError(f"{path}, request {number}: expect is the name of a decision.")
        try:
            found.append((read(entry), expected))
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}, request {number}: {error.detail}") from error
    return found


def _document(number: int, verdict: Verdict, expected: str | None) -> dict[str, object]:
    document: dict[str, object] = {
        "request": number,
        "decision": name_of(verdict.decision),
        "details": _members(verdict),
        "rule": verdict.rule,
        "version": verdict.version,
    }
    if expected is not None:
        document["expected"] = expected
    return document


def _members(verdict: Verdict) -> dict[str, Any]:
    decision = verdict.decision
    if isinstance(decision, NeedApproval):
        return {"by": decision.said, "approvers": msgspec.to_builtins(decision.asked)}
    return {name: getattr(decision, name) for name in decision.__dataclass_fields__}


def _details(verdict: Verdict) -> str:
    if isinstance(verdict.decision, NeedApproval):
        return verdict.decision.said
    shown = (" ".join(value) if isinstance(value, tuple) else str(value) for value in _members(verdict).values())
    return ", ".join(filter(None, shown))
