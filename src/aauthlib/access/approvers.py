"""Whose approval a policy wants, however it is written: TOML, Cedar's annotations, Python (#approval-pending).

Names are groups; one with `@` in front is a username. A group is what administrators wrote down of an approver, never a
username, since people choose those themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ConfigurationError
from ..policies.approver_rules import APPROVER_MEMBERS, read_approvers
from ..policies.approvers import Approvers, Step
from ..policies.documents import strings
from ..store.access_approval_records import APPROVERS

__all__ = ["APPROVAL_MEMBERS", "approvers_in_words", "approvers_of_notes", "approvers_of_table", "one_step"]

#: Members of a rule in TOML: one step in short, or several in order.
APPROVAL_MEMBERS = frozenset({"by", "approvers", "needed", "deadline", *APPROVER_MEMBERS})
#: Cedar's annotations of the same.
_NOTES = ("approvers", "needed", "deadline", "four_eyes", "valid_for")
_SEPARATOR = ";"


def one_step(names: Sequence[str], needed: object, deadline: str, where: str) -> Approvers:
    """`needed` of those whom `names` name, until `deadline` (such as `4h`). Raises `ConfigurationError`."""
    return read_approvers({"step": [_step(names, needed, deadline)]}, where)


def approvers_of_table(table: Mapping[str, Any], where: str) -> Approvers:
    """The approvers of a rule in TOML: `[[rule.step]]`, or one step in short. Raises `ConfigurationError`."""
    short = {"by", "approvers", "needed", "deadline"} & table.keys()
    if "step" in table:
        if short:
            raise ConfigurationError(f"{where}: say who approves in [[rule.step]] or in {', '.join(sorted(short))}.")
        return read_approvers(table, where)
    names = strings(table.get("approvers", []), f"{where}: approvers")
    by = table.get("by", "")
    if not isinstance(by, str) or (by and names):
        raise ConfigurationError(f"{where}: by is one name, and approvers a list of names; use one of them.")
    step = _step(names or ((by,) if by else ()), table.get("needed", 1), table.get("deadline", "1d"))
    return read_approvers({**table, "step": [step]}, where)


def approvers_of_notes(notes: Mapping[str, str], where: str) -> Approvers:
    """The approvers in a Cedar policy's annotations, steps separated by `;`. Raises `ConfigurationError`."""
    steps = notes.get("approvers", notes.get("by", "")).split(_SEPARATOR)

    def of_step(name: str, default: str) -> list[str]:
        said = [part.strip() for part in notes.get(name, default).split(_SEPARATOR)]
        if len(said) not in (1, len(steps)):
            raise ConfigurationError(f"{where}: @{name} has one value, or one for each step of @approvers.")
        return said * len(steps) if len(said) == 1 else said

    needed, deadlines = of_step("needed", "1"), of_step("deadline", "1d")
    if not all(number.isascii() and number.isdigit() and len(number) < 4 for number in needed):
        raise ConfigurationError(f"{where}: @needed is a whole number.")
    four_eyes = notes.get("four_eyes", "true")
    if four_eyes not in ("true", "false"):
        raise ConfigurationError(f"{where}: @four_eyes is true or false.")
    table: dict[str, Any] = {
        "step": [
            _step([name.strip() for name in names.split(",") if name.strip()], int(number), deadline)
            for names, number, deadline in zip(steps, needed, deadlines, strict=True)
        ],
        "four_eyes": four_eyes == "true",
        "valid_for": notes.get("valid_for", "1h"),
    }
    return read_approvers(table, where)


def approvers_in_words(step: Step) -> str:
    """Such as `2 of finance, @ada`; empty for anybody who approves, alone."""
    names = [*step.groups, *(f"@{username}" for username in step.people)]
    if names == [APPROVERS]:
        return "" if step.needed == 1 else f"{step.needed} of {APPROVERS}"
    return ", ".join(names) if step.needed == 1 else f"{step.needed} of {', '.join(names)}"


def _step(names: Sequence[str], needed: object, deadline: object) -> dict[str, Any]:
    """A step as it is written; with no names anybody who approves."""
    return {
        "people": [name.removeprefix("@") for name in names if name.startswith("@")],
        "groups": [name for name in names if not name.startswith("@")] if names else [APPROVERS],
        "needed": needed,
        "deadline": deadline,
    }
