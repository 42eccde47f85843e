"""A look is no visit: whoever loads a page before somebody asked for it uses no code up.

Scanners of links, previews and prefetching browsers open what agents send to people. A code is used up once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from aauthlib.access import NeedInteraction
from aauthlib.demo.browser import ScriptedPerson
from aauthlib.http import Response

from .engines import Databases
from .house import OFFICE, exactly, open_house
from .realm import CALENDAR, PS, RELAY, VAULT, Realm
from .world import page_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.spec("#interaction-code-format")]

Looks = list[tuple[str, dict[str, str]]]
LOOKS: Looks = [
    ("HEAD", {}),
    ("GET", {"sec_purpose": "prefetch"}),
    ("GET", {"sec_purpose": "prefetch;prerender"}),
    ("GET", {"purpose": "prefetch"}),
    ("GET", {"x_moz": "prefetch"}),
]


async def look(browser: ScriptedPerson, url: str) -> None:
    for method, headers in LOOKS:
        answer = await exactly(browser, method, url, **headers)
        assert answer.status_code == 200, (method, headers)
        assert "location" not in answer.headers


Finish = Callable[[], Awaitable[Response]]


async def test_a_look_by_the_persons_own_browser_leaves_the_code_at_the_person_server(realm: Realm) -> None:
    agent, ada = await realm.city.newcomer(), realm.city.ada
    pending = await agent.ask_person_token(CALENDAR)
    await look(ada, page_of(pending))
    await ada.visit(page_of(pending))
    await ada.submit(ada.form_with("decision"), {}, button=("decision", "approve"))
    assert (await agent.poll(pending)).status == 200


async def test_a_look_leaves_the_code_at_an_access_server(realm: Realm, databases: Databases) -> None:
    house = await open_house(realm, databases)
    agent = await realm.city.newcomer()
    presented = await agent.person_token(VAULT)
    house.decision = NeedInteraction()
    token = realm.vault_resource_token(presented, access_server=OFFICE)
    body = {"presented_token": presented, "agent_token": agent.token, "resource_token": token}
    waiting = await realm.send(realm.as_server(PS, "aauth-person.json", "POST", f"{OFFICE}/auth-token", body))
    ann = await house.signed_in(OFFICE, "ann")
    await look(ann, page_of(waiting))
    await ann.visit(page_of(waiting))
    assert ann.form_with("decision")


async def test_a_look_leaves_the_code_at_a_service_that_calls_on(realm: Realm) -> None:
    agent = await realm.city.newcomer()
    token = await agent.person_token(RELAY)
    url, headers = f"{RELAY}/me?to={VAULT}/me", [("aauth-capabilities", "interaction")]
    waiting = await agent.call("GET", url, shown=token, headers=headers)
    await look(realm.city.browser(), page_of(waiting))
    answer = await exactly(realm.city.browser(), "GET", page_of(waiting))
    assert (answer.status_code, answer.headers["location"].partition("/interaction")[0]) == (303, PS)
    again = await exactly(realm.city.browser(), "GET", page_of(waiting))
    assert again.status_code == 403, "used up by whoever came"
    await agent.call("DELETE", waiting.headers.get("location") or "", shown=token)
