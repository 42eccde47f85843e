"""How the end of access is brought about and looked at."""

from __future__ import annotations

from dataclasses import dataclass

from aauthlib.agent.credentials import Credential
from aauthlib.effects import Send
from aauthlib.http import Request
from aauthlib.httpsig import JWT, sign
from aauthlib.messages.headers import parse_signature_error
from aauthlib.store import access_tables, person_tables
from aauthlib.tokens import AuthToken, PersonToken
from aauthlib.verification import Level

from .hosts import Sender
from .ledger import rows
from .strikes import attempt
from .town import AS, DIRECT, GUARDED, MIDDLE, PS, Town

_PLACES = ((GUARDED, "/reports"), (DIRECT, "/reports"), (MIDDLE, f"/for-person/{GUARDED}"))


@dataclass(frozen=True, slots=True)
class Held:
    """A token as its agent has it, and where it was good for something."""

    host: str
    path: str
    token: AuthToken | PersonToken
    credential: Credential


async def everywhere(town: Town) -> None:
    """The agent has access to all there is."""
    for name, path in _PLACES:
        assert (await attempt(town.agent.get(town.url(name, path)))).served


def held_by(town: Town, *names: str) -> list[Held]:
    """The best token the agent holds at each place."""
    credentials, held = town.agent.context.credentials, []
    assert credentials.own is not None
    for name, path in _PLACES:
        memory = credentials.at(town.hosts[name].issuer)
        token = memory.auth_token or memory.person_tokens[None]
        level = Level.AUTHORIZED if isinstance(token, AuthToken) else Level.PERSON
        if not names or name in names:
            held.append(Held(name, path, token, Credential(level, credentials.own.key, token)))
    return held


async def refused_as_revoked(town: Town, held: list[Held]) -> list[bool]:
    """Present each token once more, as somebody would who kept a copy of it."""
    sender, refused = Sender(town.time, town.waits), []
    for each in held:
        key = each.credential.key
        assert key is not None
        request = sign(
            Request("GET", town.url(each.host, each.path)), key, JWT(each.token.raw), created=int(town.time.now)
        )
        response = await sender.send(Send(request))
        town.time.now += 1.0
        error = parse_signature_error(response.headers)
        assert response.status == 200 or error is not None, response
        refused.append(error is not None and error.code == "revoked_jwt")
    await sender.aclose()
    return refused


async def restart_everybody(town: Town) -> None:
    """Every process is killed, and another one begins on what it has written down."""
    for host in town.hosts.values():
        await host.replace_process(killed=True)


async def tell_everybody(town: Town) -> None:
    """What the servers do all the time while they run."""
    for _ in range(2):  # What a person server is told now, it tells with its next turn.
        await town.provider.tell_again()
        await town.person_server.tell_again()
        await town.access_server.tell_again()
        town.time.now += 90.0


async def nobody_is_untold(town: Town) -> bool:
    """Whether no server has anything left to tell."""
    left = [await rows(town, PS, person_tables.untold), await rows(town, AS, access_tables.untold)]
    return not any(left) and not await town.provider_store.unconfirmed(now=town.time(), limit=10)


__all__ = [
    "Held",
    "everywhere",
    "held_by",
    "nobody_is_untold",
    "refused_as_revoked",
    "restart_everybody",
    "tell_everybody",
]
