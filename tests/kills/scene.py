"""One agent and Ada, who do not give up when a server dies: they do again what was not answered.

What each of them does is what a sensible client or person does. The agent signs anew, and follows the answers it gets;
Ada reloads the page and does what it still asks for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx2

from aauthlib.deferred.pending import id_digest
from aauthlib.demo.browser import Form, PageError
from aauthlib.http import Fields, Request, Response
from aauthlib.messages.requirement import Requirement
from aauthlib.store.notification_tables import notification_outbox
from aauthlib.tokens import AuthToken, PersonToken, VerificationPolicy, verify
from aauthlib.transport import AsyncWire
from tests.person.parties import Agent, resource_token, server_signed

from .town import AS, PS, Town

__all__ = ["REPORTS", "Scene"]

REPORTS = "reports"
_T = TypeVar("_T")
_TRIES = 5


class Scene:
    """A new agent of a new provider."""

    def __init__(self, town: Town) -> None:
        town.scenes += 1
        self.town = town
        self.provider = town.issuer(f"ap{town.scenes}")
        self.agent = Agent(
            town.world,  # type: ignore[arg-type]
            f"aauth:helper@ap{town.scenes}.localhost",
            iss=self.provider,
            ps=town.issuer(PS),
        )
        self.died = False
        """Whether a server was killed since the scene began."""
        self.kept: dict[str, Any] = {}
        """What the scene was prepared with."""

    # ------------------------------------------------------------------ whatever dies meanwhile

    async def again(self, act: Callable[[], Awaitable[_T]]) -> _T:
        """Do it until it is answered."""
        for _ in range(_TRIES):
            try:
                done = await act()
            except httpx2.TransportError:
                assert self.revive(), "a server went away by itself"
                continue
            # A server behind the one that answered may have died of the question.
            self.revive()
            return done
        raise AssertionError("nothing is answered any more")

    def revive(self) -> bool:
        revived = self.town.revive()
        self.died |= revived
        return revived

    async def send(self, make: Callable[[], Request]) -> Response:
        """Send what `make` signs, anew for each attempt."""

        async def act() -> Response:
            request = make()
            answer = await self.town.client.request(
                request.method, request.url, headers=list(request.headers), content=request.body, timeout=30
            )
            return Response(answer.status_code, Fields(list(answer.headers.multi_items())), answer.content)

        answer = await self.again(act)
        assert answer.status != 500, answer.body
        return answer

    async def call(self, path: str, body: Any, method: str = "POST") -> Response:
        """The agent calls an endpoint of the person server."""
        url = path if path.startswith("http") else self.town.issuer(PS) + path
        return await self.send(lambda: self.agent.signed(method, url, body))

    async def server_call(self, issuer: str, dwk: str, url: str, body: Any) -> Response:
        """A server calls in its own right."""
        world: Any = self.town.world
        return await self.send(lambda: server_signed(world, issuer, dwk, url, body))

    # ------------------------------------------------------------------ the agent

    async def poll(self, location: str, *, wait_s: int = 0) -> Response:
        """Poll once."""
        return await self.send(lambda: self.agent.signed("GET", location, prefer=f"wait={wait_s}"))

    async def follow(self, answer: Response) -> Response:
        """Poll until there is a final answer."""
        location = answer.headers.get("location")
        assert location is not None
        for _ in range(15):
            answer = await self.poll(location, wait_s=2)
            if answer.status != 202:
                return answer
            if answer.headers.get("retry-after") != "0":
                # Whoever died had taken the turn, for less than this.
                await asyncio.sleep(0.1)
        raise AssertionError("this poll does not end")

    async def finish(self, answer: Response) -> dict[str, Any] | None:
        """Poll to the end of what Ada agreed to. `None` where the answer was lost with the server: it is given once."""
        answer = await self.follow(answer)
        if answer.status == 410:
            assert self.died
            return None
        assert answer.status == 200, (answer.status, answer.body)
        document: dict[str, Any] = answer.json()
        return document

    async def obtain(self, ask: Callable[[], Awaitable[Response]], *, remembered: bool = True) -> dict[str, Any]:
        """Ask, have Ada say yes where she is asked, and return what was granted.

        An answer that was lost with the server is asked for again; where the yes is `remembered` nobody is asked.
        """
        answer = await ask()
        if answer.status == 202:
            await self.decide(answer)
            answer = await self.follow(answer)
        if answer.status in (410, 502):
            assert self.died, answer.body
            answer = await ask()
            if answer.status == 202 and (not remembered or not self.asks_ada(answer)):
                if self.asks_ada(answer):
                    await self.decide(answer)
                answer = await self.follow(answer)
        assert answer.status == 200, (answer.status, answer.body, "what she allowed is not given")
        document: dict[str, Any] = answer.json()
        return document

    @staticmethod
    def asks_ada(answer: Response) -> bool:
        return Requirement.parse(answer.headers.get("aauth-requirement") or "none").value == "interaction"

    async def ask_person_token(self, resource: str = REPORTS, **body: Any) -> Response:
        document = {"resource": self.town.issuer(resource), "capabilities": ["interaction"], **body}
        return await self.call("/person-token", document)

    async def person_token(self, resource: str = REPORTS, **body: Any) -> PersonToken:
        granted = await self.obtain(lambda: self.ask_person_token(resource, **body))
        return await self.verified(granted["person_token"], PersonToken)

    async def ask_auth_token(
        self,
        presented: PersonToken | AuthToken,
        scope: str,
        *,
        guarded: bool = False,
        capabilities: tuple[str, ...] = ("interaction",),
        **body: Any,
    ) -> Response:
        """`guarded`: the access server decides."""
        document = {
            "resource_token": self.resource_token(presented, scope, guarded=guarded),
            "presented_token": presented.raw,
            "capabilities": list(capabilities),
            **body,
        }
        return await self.call("/auth-token", document)

    def resource_token(self, presented: PersonToken | AuthToken, scope: str, *, guarded: bool = False) -> str:
        access_server = self.town.issuer(AS) if guarded else None
        world: Any = self.town.world
        return resource_token(world, presented, scope=scope, access_server=access_server)

    async def auth_token(self, presented: PersonToken | AuthToken, scope: str, **options: Any) -> AuthToken:
        granted = await self.obtain(lambda: self.ask_auth_token(presented, scope, **options))
        return await self.verified(granted["auth_token"], AuthToken)

    async def verified(self, text: str, kind: type[_T], *, by: AsyncWire | None = None) -> _T:
        """A token, as a resource verifies it."""
        flow: Any = verify(text, kind, now=self.town.world.clock(), policy=VerificationPolicy(dev=True))
        token: _T = await (by or self.town.known).run(flow)
        return token

    # ------------------------------------------------------------------ Ada

    async def untold(self, digest: str) -> int:
        """How many messages about a request are still to be sent."""
        return len(await self.town.rows(PS, notification_outbox, notification_outbox.c.digest == digest))

    def page_of(self, answer: Response) -> str:
        """Where she decides: at the address the agent shows her, or from her inbox."""
        asked = Requirement.parse(answer.headers.get("aauth-requirement") or "none")
        if asked.url is not None:
            return f"{asked.url}?code={asked.code}"
        location = answer.headers.get("location") or ""
        return f"{self.town.issuer(PS)}/requests/{id_digest(location.rpartition('/')[2])}"

    async def visit(self, url: str) -> None:
        """She opens a page; what dies meanwhile she reloads.

        A code works once. If the page that it led to was lost with the server, her inbox has the request.
        """
        ada = self.town.ada
        await self.again(lambda: ada.visit(url))
        if ada.status == 400 and "used already" in ada.text:
            inbox, handle = self.town.issuer(PS), url.rpartition("/")[2].partition("?")[0]
            digest = await self.town.digest_of(handle)
            await self.again(lambda: ada.visit(f"{inbox}/requests/{digest}"))
        assert ada.status == 200, (url, ada.status, ada.text)

    async def decide(self, asked: Response, decision: str = "approve", /, **values: str) -> None:
        """She decides on the page of a request, once."""
        await self.fill_in(self.page_of(asked), "decision", values, ("decision", decision))

    async def ask(self, answer: Response, question: str) -> None:
        """She asks the agent something, unless the page shows that she did."""
        await self.fill_in(
            self.page_of(answer), "question", {"question": question}, None, done=lambda page: question in page
        )

    async def fill_in(
        self,
        url: str,
        field: str,
        values: dict[str, str],
        button: tuple[str, str] | None,
        *,
        done: Callable[[str], bool] = lambda page: False,
        action: str | None = None,
    ) -> None:
        """She fills in a form. When nothing comes back she reloads, and does it again unless the page says it is `done`
        or asks no more."""
        ada = self.town.ada
        for attempt in range(_TRIES):
            await self.visit(url)
            url = ada.url
            form = _form(ada, field)
            if attempt and (form is None or done(ada.text)):
                return
            assert form is not None, ada.text
            form.action = action or form.action
            try:
                await ada.submit(form, values, button=button)
            except httpx2.TransportError:
                assert self.revive(), "a server went away by itself"
                continue
            self.revive()
            assert ada.status == 200, (ada.status, ada.text)
            return
        raise AssertionError("she cannot decide")


def _form(ada: Any, field: str) -> Form | None:
    try:
        found: Form = ada.form_with(field)
    except PageError:
        return None
    return found
