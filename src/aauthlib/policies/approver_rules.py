"""How approvers are written in a policy in TOML, the same at every role.

four_eyes = true
valid_for = "1h"
[[rule.step]]
people = ["ada"]
groups = ["finance"]
needed = 2
deadline = "4h"
escalate = { groups = ["administrators"], deadline = "1d" }
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import ConfigurationError
from .approvers import Approvers, Step
from .conditions import boolean
from .documents import refuse_others, strings

__all__ = ["APPROVER_MEMBERS", "duration", "groups_of", "read_approvers"]

#: The members of a rule that say who approves.
APPROVER_MEMBERS = frozenset({"step", "four_eyes", "valid_for"})

_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])\Z")
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DEADLINE_S, _MAX_DEADLINE_S = 86_400.0, 30 * 86_400.0
_MAX_VALID_S = 366 * 86_400.0
_MAX_STEPS, _MAX_NAMED, _MAX_NAME, _MAX_DEPTH = 8, 100, 64, 3


def read_approvers(table: Mapping[str, Any], where: str) -> Approvers:
    """The approvers of a rule. `where` names it in errors. Raises `ConfigurationError`."""
    steps = table.get("step")
    if not isinstance(steps, list) or not 0 < len(steps) <= _MAX_STEPS:
        raise ConfigurationError(f"{where} needs a [[rule.step]], and takes {_MAX_STEPS}.")
    return Approvers(
        four_eyes=boolean(table.get("four_eyes", True), f"{where}: four_eyes"),
        valid_for_s=duration(table.get("valid_for", "1h"), f"{where}: valid_for", most_s=_MAX_VALID_S),
        steps=tuple(_step(step, f"{where}, step {number}") for number, step in enumerate(steps, start=1)),
    )


def _step(step: object, where: str, *, depth: int = 0) -> Step:
    if not isinstance(step, Mapping):
        raise ConfigurationError(f"{where} is not a table.")
    refuse_others(step, {"people", "groups", "needed", "deadline", "escalate"}, where)
    people = strings(step.get("people", []), f"{where}: people")
    groups = strings(step.get("groups", []), f"{where}: groups")
    needed, escalate = step.get("needed", 1), step.get("escalate")
    if not people and not groups:
        raise ConfigurationError(f"{where} names nobody: it needs people or groups.")
    short = all(0 < len(name) <= _MAX_NAME for name in (*people, *groups))
    if len(people) > _MAX_NAMED or len(groups) > _MAX_NAMED or not short:
        raise ConfigurationError(
            f"{where} names at most {_MAX_NAMED} people and groups, of at most {_MAX_NAME} characters."
        )
    if type(needed) is not int or not 0 < needed <= _MAX_NAMED:
        raise ConfigurationError(f"{where}: needed is a whole number from 1 on.")
    if not groups and needed > len(set(people)):
        raise ConfigurationError(f"{where} needs {needed} of {len(set(people))} people.")
    if escalate is not None and depth >= _MAX_DEPTH:
        raise ConfigurationError(f"{where} is escalated more than {_MAX_DEPTH} times.")
    return Step(
        people=people,
        groups=groups,
        needed=needed,
        deadline_s=duration(step["deadline"], f"{where}: deadline", most_s=_MAX_DEADLINE_S)
        if "deadline" in step
        else _DEADLINE_S,
        escalate=_step(escalate, f"{where}: escalate", depth=depth + 1) if escalate is not None else None,
    )


def duration(value: object, what: str, *, most_s: float) -> float:
    """Seconds of a text such as `4h`, at most `most_s`. `what` names it in errors. Raises `ConfigurationError`."""
    found = _DURATION.match(value) if isinstance(value, str) else None
    seconds = int(found[1]) * _UNITS_S[found[2]] if found is not None else 0
    if not 0 < seconds <= most_s:
        raise ConfigurationError(f"{what} looks like 30m, 4h or 2d, and is at most {int(most_s // 86_400)}d.")
    return float(seconds)


def groups_of(steps: Iterable[Step]) -> frozenset[str]:
    """Every group that these steps name, or what they are escalated to."""
    found, left = set[str](), list(steps)
    while left:
        step = left.pop()
        found.update(step.groups)
        if step.escalate is not None:
            left.append(step.escalate)
    return frozenset(found)
