"""Who must agree before something is let through, and who is heard: rules of every role that asks approvers.

People are asked in steps, one after the other. A step names people and groups, says how many of them must agree and by
when, and who is asked in their place after that. Who those are just now (`Seat`) is for the role to find out. Plain
values and functions: no SQL, no clock, no page.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import msgspec

__all__ = ["Approvers", "Place", "Seat", "Step", "asked_now", "complete", "passed", "seat_for"]


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who is asked, how many of them must agree, and by when."""

    people: tuple[str, ...] = ()
    """Usernames."""
    groups: tuple[str, ...] = ()
    needed: int = 1
    deadline_s: float
    escalate: Step | None = None
    """Who is asked in their place once the deadline has passed; without, nobody has agreed then."""


class Approvers(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whose agreement something needs. Steps follow each other; one no ends it."""

    steps: tuple[Step, ...] = ()
    four_eyes: bool = True
    """Whoever it is asked for is none of its approvers."""
    valid_for_s: float = 3600.0
    """How long their yes holds for the same request made anew."""

    def step(self, stage: int, depth: int) -> Step:
        """The step of a stage after `depth` escalations. Raises `ValueError` for one that is not escalated so often."""
        found = self.steps[stage]
        for _ in range(depth):
            if found.escalate is None:
                raise ValueError("This step is not escalated that often.")
            found = found.escalate
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """Somebody who is asked, and who decides in their place while they are away."""

    person_id: str
    name: str
    delegate: str | None = None
    delegate_name: str = ""
    away_until: float | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """How far it has come: stage, escalations of it, and since when (Unix seconds)."""

    stage: int
    depth: int
    since: float


def passed(approvers: Approvers, place: Place, *, now: float) -> Iterator[tuple[float, Place | None]]:
    """Every deadline that has passed by `now`: when, and where that led; `None` where nobody is left to be asked."""
    while True:
        step = approvers.step(place.stage, place.depth)
        over = place.since + step.deadline_s
        if over > now:
            return
        if step.escalate is None:
            yield over, None
            return
        place = Place(place.stage, place.depth + 1, over)
        yield over, place


def asked_now(
    seats: Collection[Seat], *, requester: str | None, four_eyes: bool, spoken: Collection[str]
) -> list[Seat]:
    """The seats that can still be heard at a step.

    `requester` is for whom it is asked, if that is known; with four eyes they have no seat, and sit in nobody's.
    `spoken` are who has decided already, and in whose place.
    """
    found = []
    for seat in seats:
        if four_eyes and seat.person_id == requester:
            continue
        if seat.person_id not in spoken:
            found.append(seat)
    return found


def seat_for(
    asked: Collection[Seat], voter: str, *, requester: str | None, four_eyes: bool, spoken: Collection[str]
) -> str:
    """In whose place `voter` decides: their own, or that of somebody who is away. Empty when in none.

    A delegate's own delegate has no say: who was trusted to decide is the person that was named.
    """
    if voter in spoken or (four_eyes and voter == requester):
        return ""
    if any(seat.person_id == voter for seat in asked):
        return voter
    return next((seat.person_id for seat in asked if seat.delegate == voter), "")


def complete(step: Step, agreed: Collection[object]) -> bool:
    """Whether enough have agreed: `agreed` are the votes that count, one for each seat."""
    return len(agreed) >= step.needed
