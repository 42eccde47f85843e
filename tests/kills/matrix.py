"""Every step of a flow: the server is killed there, starts again, and the books end as if nothing had happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from .scene import Scene
from .town import PS, Books, Town
from .victim import Moment

__all__ = ["survives"]

Flow: TypeAlias = Callable[[Scene], Awaitable[None]]
_MOST_STEPS = 40
#: A token whose answer was lost, and what is written down of it.
_OF_TOKENS = frozenset({"tokens", "at access server"})


@dataclass(frozen=True, slots=True)
class Kill:
    """Who dies, and when."""

    at: str
    number: int
    moment: Moment
    telling: bool


async def survives(
    town: Town,
    flow: Flow,
    *,
    prepare: Flow | None = None,
    at: str = PS,
    telling: bool = False,
    repeated: frozenset[tuple[str, Any]] = frozenset(),
    optional: frozenset[tuple[str, Any]] = frozenset(),
) -> None:
    """Kill the server `at` at the first, second, ... transaction of the flow, before and after it is committed.

    The flow is first seen undisturbed; what it leaves in the books is what every disturbed one must leave. One token
    more of the same kind is no harm: its answer was lost, and it was asked for again. `repeated` is what agents may
    report a second time, since nobody told them that it had arrived. `optional` is what an agent does only where
    its answer was not lost. With `telling` the server is killed while it tells Ada.
    """
    calm, _ = await _perform(town, flow, prepare, None)
    for moment in Moment:
        for number in range(1, _MOST_STEPS):
            found, killed = await _perform(town, flow, prepare, Kill(at, number, moment, telling))
            if not killed:
                break
            _compare(calm, found, repeated, optional, f"{at} killed {moment.name} commit {number}, of {killed}")
        else:
            raise AssertionError("this flow does not end")
        assert number > 1, f"{at} was never killed"


async def _perform(town: Town, flow: Flow, prepare: Flow | None, kill: Kill | None) -> tuple[Books, str]:
    """Act a scene. Returns the books afterwards, and what was being written when the server died."""
    scene = Scene(town)
    if prepare is not None:
        await prepare(scene)
    scene.died = False
    killed = ""
    if kill is not None:
        fuse = town.fuses[kill.at]
        fuse.light(kill.number, kill.moment, telling=kill.telling)
        scene.revive = _telling(scene, lambda: fuse.burnt, heard := [])  # type: ignore[method-assign]
        try:
            await flow(scene)
        except BaseException as error:
            written = "".join(heard) or fuse.burnt or "none yet"
            error.add_note(f"{kill.at} killed {kill.moment.name} commit {kill.number}, of {written}")
            raise
        scene.revive()
        killed = "".join(heard)
        fuse.put_out()
    else:
        await flow(scene)
    return await town.books(scene.provider), killed


def _telling(scene: Scene, burnt: Callable[[], str], heard: list[str]) -> Callable[[], bool]:
    def revive() -> bool:
        heard.append(burnt())
        return Scene.revive(scene)

    return revive


def _compare(
    calm: Books,
    found: Books,
    repeated: frozenset[tuple[str, Any]],
    optional: frozenset[tuple[str, Any]],
    when: str,
) -> None:
    for kind, expected in calm.items():
        more, less = found[kind] - expected, expected - found[kind]
        less -= Counter(thing for thing in expected if (kind, thing) in optional)
        assert not less, f"{when}: lost {dict(less)} of {kind}"
        allowed = Counter(thing for thing in more if _harmless(kind, thing) or (kind, thing) in repeated)
        assert not more - allowed, f"{when}: {dict(more)} of {kind} more than once"


def _harmless(kind: str, thing: Any) -> bool:
    return kind in _OF_TOKENS or (kind == "audit" and thing[0].startswith(("issue ", "hand out ")))
