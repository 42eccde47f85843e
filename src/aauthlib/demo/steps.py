"""The steps of the demo: what is called, what must happen, and a sentence for whoever watches.

Each step talks to real servers and judges the real outcome; the demo succeeds only if every step did.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass

import httpx2

from ..cli.exchanges import Exchange
from ..effects import Flow, Send
from ..errors import AAuthError, Denied
from ..http import Fields, Request, Response
from ..httpsig import JWT, sign
from ..jws import parse as parse_jws
from ..keys import SigningKey
from ..tokens import AuthToken
from .parties import AGENT, CALENDAR, HOTELS, TRIPS, Parties

__all__ = ["STEPS", "Outcome", "Step"]

_EVENT = {"date": "2026-12-24", "title": "Wrap the presents"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step came out."""

    ok: bool
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `decision` is what the scripted person answers if asked: allow or deny."""

    title: str
    run: Callable[[Parties], Coroutine[None, None, Outcome]]
    decision: str = "approve"
    asks_person: bool = False


def _outcome(response: httpx2.Response, wanted: int) -> Outcome:
    shown = response.text if len(response.text) <= 160 else response.text[:157] + "..."
    return Outcome(response.status_code == wanted, f"{response.status_code} {shown}".strip())


async def _anonymous(parties: Parties) -> Outcome:
    return _outcome(await parties.agent.get(f"{parties.calendar}/holidays"), 200)


async def _pseudonym(parties: Parties) -> Outcome:
    response = await parties.agent.get(f"{parties.calendar}/holidays")
    for _ in range(4):
        response = await parties.agent.get(f"{parties.calendar}/holidays")
    statuses = [
        entry.response.status
        for entry in parties.exchanges.entries
        if isinstance(entry, Exchange) and entry.response is not None and entry.request.path == "/holidays"
    ]
    outcome = _outcome(response, 200)
    return Outcome(outcome.ok and 429 in statuses, outcome.text)


async def _identified(parties: Parties) -> Outcome:
    return _outcome(await parties.agent.get(f"{parties.calendar}/agent"), 200)


async def _person(parties: Parties) -> Outcome:
    return _outcome(await parties.agent.get(f"{parties.calendar}/me"), 200)


async def _read(parties: Parties) -> Outcome:
    return _outcome(await parties.agent.get(f"{parties.calendar}/events"), 200)


async def _write(parties: Parties) -> Outcome:
    return _outcome(await parties.agent.post(f"{parties.calendar}/events", json=_EVENT), 201)


async def _held(parties: Parties) -> Outcome:
    response = await parties.agent.post(f"{parties.calendar}/invitations", json={**_EVENT, "title": "Tea at four"})
    return _outcome(response, 201)


async def _denied(parties: Parties) -> Outcome:
    try:
        response = await parties.agent.delete(f"{parties.calendar}/events/1")
    except Denied as error:
        return Outcome(True, f"denied: {error.detail}")
    return Outcome(False, f"{response.status_code} although the person said no")


async def _four_parties(parties: Parties) -> Outcome:
    return _outcome(await parties.agent.get(f"{parties.expenses}/reports"), 200)


async def _refused_by_policy(parties: Parties) -> Outcome:
    try:
        response = await parties.agent.get(f"{parties.expenses}/salaries")
    except Denied as error:
        return Outcome(True, f"denied: {error.detail}")
    return Outcome(False, f"{response.status_code} although the organisation's rules say no")


async def _chain(parties: Parties) -> Outcome:
    """Each of the three is called in its own name, and each knows the person by another identifier."""
    response = await parties.agent.get(f"{parties.trips}/plan")
    outcome = _outcome(response, 200)
    called = {
        (entry.sender, entry.receiver)
        for entry in parties.exchanges.entries
        if isinstance(entry, Exchange) and entry.response is not None and entry.response.status == 200
    }
    links = {(AGENT, TRIPS), (TRIPS, HOTELS), (HOTELS, CALENDAR)}
    return Outcome(outcome.ok and links <= called, outcome.text)


async def _sub_agent(parties: Parties) -> Outcome:
    """The person's consent covers the agent's helper; a helper of a helper there is none."""
    helper = parties.agent.spawn("search1")
    response = await helper.get(f"{parties.calendar}/events")
    outcome = _outcome(response, 200)
    try:
        await helper.spawn("deeper").get(f"{parties.calendar}/events")
    except AAuthError:
        return outcome
    return Outcome(False, "a sub-agent of a sub-agent got in")


async def _stolen(parties: Parties) -> Outcome:
    """Take the last auth token out of what was recorded, as a leaked log would hold it, and try it in three ways."""
    token, captured = _last_auth_token(parties)
    if token is None or captured is None:
        return Outcome(False, "no auth token was seen on the wire")
    url = f"{parties.calendar}/events"
    thief = SigningKey.generate()
    now = int(parties.exchanges.clock())
    attempts = {
        "signed by another key": sign(Request("GET", url), thief, JWT(token), created=now),
        "as a bearer token": Request("GET", url, Fields({"authorization": f"Bearer {token}"})),
        "the captured request, replayed with another method": Request("DELETE", f"{url}/2", captured.headers),
    }
    answers = {}
    for name, request in attempts.items():
        response = await parties.thief.run(_send(request))
        answers[name] = response.status
    return Outcome(
        all(status == 401 for status in answers.values()),
        "; ".join(f"{name}: {status}" for name, status in answers.items()),
    )


def _send(request: Request) -> Flow[Response]:
    response: Response = yield Send(request)
    return response


def _last_auth_token(parties: Parties) -> tuple[str | None, Request | None]:
    for entry in reversed(parties.exchanges.entries):
        if not isinstance(entry, Exchange) or entry.request.origin != parties.calendar:
            continue
        header = entry.request.headers.get("signature-key") or ""
        _, marker, rest = header.partition('jwt;jwt="')
        token = rest.partition('"')[0]
        if marker and parse_jws(token).header.get("typ") == AuthToken.typ and entry.request.method == "GET":
            return token, entry.request
    return None, None


STEPS = (
    Step("Anonymous: a public read, nothing presented", _anonymous),
    Step("Pseudonym: the limit is reached, a bare key gets its own", _pseudonym),
    Step("Agent identity: the calendar asks which agent this is", _identified),
    Step("Person identity: for whom does it act?", _person, asks_person=True),
    Step("Consent for calendar.read", _read, asks_person=True),
    Step("Step-up to calendar.write", _write, asks_person=True),
    Step("Held: the calendar keeps the call, and executes it once it is allowed", _held, asks_person=True),
    Step("A request for calendar.delete, which the person denies", _denied, decision="deny", asks_person=True),
    Step(
        "Four parties: the person consents, the organisation's access server decides", _four_parties, asks_person=True
    ),
    Step("The person would allow it, the organisation's rules do not", _refused_by_policy, asks_person=True),
    Step("A chain: trips asks hotels, hotels asks the calendar, all for the same person", _chain, asks_person=True),
    Step("A sub-agent, for which its parent asks", _sub_agent, asks_person=True),
    Step("A stolen token, tried by somebody else", _stolen),
)
