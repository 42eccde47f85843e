"""`aauth missions`: what an agent is allowed to work on, proposed and followed from a shell."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..agent import Agent, Mission, Tool
from ..agent.mission_files import KeptMission, MissionFiles
from ..errors import ConfigurationError
from .calling import Calling, in_mission, open_agent
from .exits import Exit
from .screen import Screen, safe

__all__ = ["audit", "complete", "list_missions", "permission", "propose", "show", "update"]

_SHORT = 12


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the command line proposes."""

    description: str
    tools: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()


def propose(screen: Screen, calling: Calling, proposal: Proposal) -> int:
    """Propose a mission, wait for the person, and keep what they approved."""
    with open_agent(screen, calling) as agent:
        mission = agent.missions.propose(
            _text(proposal.description),
            tools=[_tool(text) for text in proposal.tools],
            resources=proposal.resources,
        )
        ps = agent.agent_token().ps or ""
    MissionFiles(calling.name).keep(KeptMission(mission.approved, ps))
    if screen.json_output:
        screen.document(
            {"event": "mission", "s256": mission.s256, "changed": sorted(mission.changed), **_terms(mission)}
        )
        return Exit.OK
    screen.say(f"[bold green]Approved[/]: {mission.s256}")
    if mission.changed:
        screen.say(f"The person changed: {', '.join(sorted(mission.changed))}.")
    screen.out.print(mission.terms.description, markup=False)
    return Exit.OK


def list_missions(screen: Screen, name: str) -> int:
    """The missions kept for an identity. Nothing is asked: the person server has nothing that lists them."""
    kept = MissionFiles(name).all()
    now = time.time()
    if screen.json_output:
        for each in kept:
            screen.document(
                {"s256": each.mission.s256, "ps": each.ps, "state": each.state(now), **_terms(each.mission)}
            )
        return Exit.OK
    if not kept:
        screen.say("No mission yet. `aauth missions propose` asks the person for one.")
    for each in kept:
        title = each.mission.terms.description.strip().splitlines()[0].lstrip("# ")
        screen.out.print(f"{each.mission.s256[:_SHORT]}  {each.state(now):<14}  {safe(title)}")
    return Exit.OK


def show(screen: Screen, name: str, s256: str) -> int:
    """One mission: what was agreed, which is the mission and every accepted update."""
    kept = MissionFiles(name).find(s256)
    state = kept.state(time.time())
    if screen.json_output:
        updates = [{"description": each.description, "s256": each.s256} for each in kept.updates]
        screen.document(
            {"s256": kept.mission.s256, "ps": kept.ps, "state": state, **_terms(kept.mission), "updates": updates}
        )
        return Exit.OK
    screen.out.print(f"{kept.mission.s256}  {state}", markup=False)
    screen.out.print(safe(kept.mission.terms.description))
    terms = kept.mission.terms
    for what, names in (
        ("Tools", [tool.name for tool in terms.approved_tools]),
        ("Resources", terms.approved_resources),
    ):
        if names:
            screen.out.print(f"{what}: {safe(', '.join(names))}")
    for each in kept.updates:
        screen.out.print(f"Update {each.s256[:_SHORT]}: {safe(each.description)}")
    return Exit.OK


def update(screen: Screen, calling: Calling, s256: str, description: str) -> int:
    """Record a change in the work."""
    kept = MissionFiles(calling.name).find(s256)
    text = _text(description)
    accepted = in_mission(screen, calling, kept.mission.s256, lambda mission: mission.update(text))
    MissionFiles(calling.name).updated(kept, accepted)
    _say(screen, {"event": "update", "s256": accepted.s256}, "The person accepted the change.")
    return Exit.OK


def complete(screen: Screen, calling: Calling, s256: str, summary: str) -> int:
    """Propose that the mission is finished."""
    kept = MissionFiles(calling.name).find(s256)
    text = _text(summary)
    in_mission(screen, calling, kept.mission.s256, lambda mission: mission.complete(text))
    MissionFiles(calling.name).ended(kept, "completed")
    _say(screen, {"event": "completed", "s256": kept.mission.s256}, "The person agrees: the mission is complete.")
    return Exit.OK


def permission(
    screen: Screen, calling: Calling, action: str, s256: str | None, description: str | None, parameters: str | None
) -> int:
    """Ask whether an action may be done; the exit code says what came of it."""
    values = _object(parameters, "--parameters")

    def ask(agent: Agent) -> Any:
        return agent.permission(action, description=description, parameters=values)

    if s256 is not None:
        answer = in_mission(screen, calling, s256, ask)
    else:
        with open_agent(screen, calling) as agent:
            answer = ask(agent)
    said = {"event": "permission", "action": action, "permission": "granted" if answer else "denied"}
    reason = f" {safe(answer.reason)}" if answer.reason else ""
    _say(
        screen,
        {**said, **({"reason": answer.reason} if answer.reason else {})},
        "Granted." if answer else f"Denied.{reason}",
    )
    return Exit.OK if answer else Exit.DENIED


def audit(
    screen: Screen,
    calling: Calling,
    s256: str,
    action: str,
    description: str | None,
    parameters: str | None,
    result: str | None,
) -> int:
    """Report an action that was done."""
    given, came = _object(parameters, "--parameters"), _object(result, "--result")

    def report(mission: Mission) -> None:
        mission.audit(action, description=description, parameters=given, result=came).result()

    in_mission(screen, calling, s256, report)
    _say(screen, {"event": "recorded", "action": action}, "Recorded.")
    return Exit.OK


def _say(screen: Screen, document: dict[str, Any], text: str) -> None:
    if screen.json_output:
        screen.document(document)
    else:
        screen.say(text)


def _terms(mission: Any) -> dict[str, Any]:
    terms = mission.terms
    return {
        "description": terms.description,
        "approved_at": terms.approved_at.isoformat(),
        "expires_at": terms.expires_at.isoformat() if terms.expires_at is not None else None,
        "approved_tools": [tool.name for tool in terms.approved_tools],
        "approved_resources": list(terms.approved_resources),
    }


def _tool(text: str) -> Tool:
    """`Name` or `Name=what it does`."""
    name, _, description = text.partition("=")
    return Tool(name=name.strip(), description=description.strip())


def _text(text: str) -> str:
    """The text itself, or with `@` that of a file."""
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The text cannot be read from {text[1:]}.") from error


def _object(text: str | None, option: str) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ConfigurationError(f"{option} takes a JSON object.")
    return value
