"""A request that waits for Ada, and browsers that send exactly what they are told."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlencode

import httpx2

from aauthlib.demo.browser import ScriptedPerson
from aauthlib.http import Response

from .world import (
    MAIL,
    PS,
    Agent,
    City,
    page_of,
)


async def raw(
    browser: ScriptedPerson, method: str, url: str, fields: dict[str, str] | str | None = None, **headers: str
) -> httpx2.Response:
    """One request of a browser, exactly as told."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    content = urlencode(fields) if isinstance(fields, dict) else fields
    if content is not None:
        sent.setdefault("content-type", "application/x-www-form-urlencoded")
    return await browser._client.request(method, url, content=content, headers=sent)


def csrf_of(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    return found.group(1)


#: What a browser says of a form of this site.
GOOD = {"origin": PS, "sec_fetch_site": "same-origin"}


@dataclass
class Waiting:
    """A request that waits for Ada, her page of it, and its form."""

    agent: Agent
    pending: Response
    url: str
    form: dict[str, str]

    async def still_waits(self) -> bool:
        return (await self.agent.poll(self.pending)).status == 202


async def waiting(city: City) -> Waiting:
    agent = await city.newcomer()
    pending = await agent.ask_person_token(MAIL)
    await city.ada.visit(page_of(pending))
    form = dict(city.ada.form_with("decision").fields) | {"decision": "approve"}
    return Waiting(agent, pending, city.ada.url, form)
