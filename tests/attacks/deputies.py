"""Confused deputies, pair by pair: who holds what, on whom they try it, and what refuses it by which section.

A row is one attempt. The tables of the modules beside this one have a row for every ordered pair of parties, those of
the same kind included; `test_pairs.py` carries them out, and docs/attacks.md is written from them
(`scripts/attacks.py`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from aauthlib.errors import AAuthError
from aauthlib.fields import parse_dictionary
from aauthlib.http import Response
from aauthlib.messages.requirement import Requirement

from .realm import CALENDAR, MAIL, RELAY, VAULT, Agent, City, Realm
from .world import AgentToken

PARTIES = ("agent", "agent provider", "resource", "intermediary", "person server", "access server")


@dataclass(repr=False)
class Scene:
    """The realm, an honest agent of Ada's with what it was issued, and another agent, which is the attacker's."""

    realm: Realm
    victim: Agent
    mallory: Agent
    persons: dict[str, str]
    """The victim's person token by resource."""
    auths: dict[str, str]
    """The victim's auth token by resource."""
    mallorys: dict[str, str]
    """The other agent's person token by resource."""

    @property
    def city(self) -> City:
        return self.realm.city

    def sub_of(self, agent: Agent) -> str:
        return str(self.city.read(agent.token, AgentToken).sub)

    def thief(self, token: str = "") -> Agent:
        """Whoever holds a token without its key."""
        return Agent(self.city, self.city.thief, token or self.victim.token)


async def set_the_scene(realm: Realm) -> Scene:
    victim, mallory = await realm.city.newcomer(), await realm.city.newcomer()
    places = (CALENDAR, MAIL, VAULT, RELAY)
    persons = {place: await victim.person_token(place) for place in places}
    mallorys = {place: await mallory.person_token(place) for place in places}
    auths = {CALENDAR: await victim.auth_token(persons[CALENDAR], "calendar.read")}
    answer = await realm.vault_token(victim, persons[VAULT])
    auths[VAULT] = answer.json()["auth_token"]
    await mallory.auth_token(mallorys[CALENDAR], "calendar.read")
    return Scene(realm, victim, mallory, persons, auths, mallorys)


Try = Callable[[Scene], Awaitable[Response]]


@dataclass(frozen=True)
class Attempt:
    """One row."""

    holder: str
    at: str
    holds: str
    tries: str
    refused: str
    """Status and code, or the error of an agent."""
    sections: tuple[str, ...]
    run: Try = field(compare=False)

    @property
    def name(self) -> str:
        return f"{self.holder} at {self.at}: {self.tries}"


TABLE: list[Attempt] = []


def attempt(holder: str, at: str, *sections: str, holds: str, tries: str, refused: str) -> Callable[[Try], Try]:
    """Add a row whose attempt is the decorated function."""
    assert holder in PARTIES
    assert at in PARTIES
    assert sections

    def add(run: Try) -> Try:
        TABLE.append(Attempt(holder, at, holds, tries, refused, sections, run))
        return run

    return add


async def verdict(scene: Scene, row: Attempt) -> str:
    """What came of an attempt: status and code, or what an agent said of it."""
    try:
        response = await row.run(scene)
    except AAuthError as error:
        return type(error).__name__
    return f"{response.status} {_code(response)}".strip()


def _code(response: Response) -> str:
    signature = response.headers.get("signature-error")
    if signature is not None:
        return str(parse_dictionary(signature)["error"][0])
    asked = response.headers.get("aauth-requirement")
    if asked is not None:
        return str(Requirement.parse(asked).value)
    try:
        body = response.json()
    except ValueError:
        return ""
    return str(body.get("error", "")) if isinstance(body, dict) else ""


def missing_pairs(rows: Iterable[Attempt]) -> list[tuple[str, str]]:
    """Ordered pairs of kinds without a row."""
    have = {(row.holder, row.at) for row in rows}
    return [(holder, at) for holder in PARTIES for at in PARTIES if (holder, at) not in have]


def document(rows: Iterable[Attempt]) -> str:
    """docs/attacks.md."""
    rows = list(rows)
    lines = [HEAD]
    for holder in PARTIES:
        lines.append(f"\n## What {_article(holder)} {holder} holds\n")
        lines.append("| Used on | Holds | Tries | Refused by | Section |\n|---|---|---|---|---|")
        for at in PARTIES:
            for row in (row for row in rows if (row.holder, row.at) == (holder, at)):
                where = f"another {at}" if at == holder else at
                sections = ", ".join(f"`{section}`" for section in row.sections)
                lines.append(f"| {where} | {row.holds} | {row.tries} | `{row.refused}` | {sections} |")
    return "\n".join(lines) + "\n"


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


HEAD = """# Confused deputies, pair by pair

Written by `make docs` from the tables in `tests/attacks/`; do not edit. Each row is a test: one party uses what it
came by, in the way of its own role, on every other kind of party and on another of its own. *Holds* is what it really
has in an exchange, or can make as whoever it is; *refused by* is the answer, or the error of this library's agent. The
section is the one that demands the refusal. What somebody does who is trusted with just that is left out: a provider
can always impersonate its own agents, and a person server its own people.

The tests of other attacks are beside them: `test_missions.py` (missions left out or exchanged on the way),
`test_scopes.py` (scope that grows on the way), `test_namespaces.py` (one person server speaking for another's people),
`test_revoking.py` (who revokes whose token) and `test_revocation_flood.py`."""
