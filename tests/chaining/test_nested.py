"""Two intermediaries in one chain, and a person who is taken down it and up again (#interaction-chaining)."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from aauthlib.demo.parties import loopback_client
from aauthlib.effects import Direct
from aauthlib.http import Fields, Request
from aauthlib.messages.requirement import Requirement

from .parties import Parties
from .test_attacks import sent, signed

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.spec("#interaction-chaining", "#user-interaction"),
]


async def test_the_person_is_led_through_both_and_back_to_the_first(parties: Parties) -> None:
    assert (await parties.agent.get(f"{parties.url['a']}/me")).status_code == 200
    parties.directed.clear()
    response = await parties.agent.get(f"{parties.url['a']}/both")
    assert response.json() == [200, 200], response.text
    await asyncio.gather(*parties.tasks)
    assert len(parties.directed) == 1, "the agent sent them once, for what B needed and what A needed after it"
    assert parties.ada.url.startswith(f"{parties.url['a']}/aauth/onward/")
    assert "Done" in parties.ada.text


async def test_a_no_below_is_a_no_above_and_the_person_ends_where_they_began(parties: Parties) -> None:
    assert (await parties.agent.get(f"{parties.url['a']}/me", params={"to": "b"})).status_code == 200
    parties.decide = parties.deny
    response = await parties.agent.get(f"{parties.url['a']}/me", params={"to": "b,c"})
    assert response.status_code == 502, "B's no is what A made of it"
    assert response.json()["said"]["error"] == "denied"
    await asyncio.gather(*parties.tasks)
    assert parties.ada.url.startswith(f"{parties.url['a']}/aauth/onward/")


async def opened_at(parties: Parties, name: str) -> tuple[str, str, str]:
    """A call through a service to C that waits for Ada: its pending URL, and our page with its code."""
    assert (await parties.agent.get(f"{parties.url[name]}/me")).status_code == 200
    parties.decide = None
    own = await parties.agent.person_token(parties.url[name])
    request = Request("GET", f"{parties.url[name]}/me?to=c", Fields({"aauth-capabilities": "interaction"}))
    response = await sent(parties, signed(parties, request, own))
    requirement = Requirement.parse(response.headers.get("aauth-requirement") or "")
    return response.headers.get("location") or "", requirement.url or "", requirement.code or ""


async def withdraw(parties: Parties, name: str, location: str) -> None:
    own = await parties.agent.person_token(parties.url[name])
    assert (await sent(parties, signed(parties, Request("DELETE", location), own))).status == 204


async def test_a_callback_that_an_agent_provider_publishes_is_where_the_person_goes_in_the_end(
    parties: Parties,
) -> None:
    location, url, code = await opened_at(parties, "b")
    callback = f"{parties.url['a']}/aauth/onward/x.y.1"
    async with loopback_client() as browser:
        arrived = await browser.get(url, params={"code": code, "callback": callback})
        assert arrived.status_code == 303
        back = parse_qs(urlsplit(arrived.headers["location"]).query)["callback"][0]
        assert back.startswith(f"{parties.url['b']}/aauth/onward/")
        await withdraw(parties, "b", location)
        ended = await browser.get(back)
    assert (ended.status_code, ended.headers["refresh"]) == (200, f"0;url={callback}?error=server_error")
    assert f'href="{callback}?error=server_error"' in ended.text, "also for who does not like pages that move"


@pytest.mark.spec("#interaction-callback-errors")
@pytest.mark.parametrize(
    "callback",
    [
        "https://elsewhere.example/",
        "http://c.localhost:1/aauth/onward/x.y.1",
        "{a}/anything",
        "{a}/aauth/onward/../../x",
        "javascript:alert(1)",
    ],
    ids=["unknown", "nobody there", "beside", "dots", "no URL"],
)
async def test_nobody_is_sent_where_no_agent_provider_wants_them(parties: Parties, callback: str) -> None:
    location, url, code = await opened_at(parties, "b")
    where = callback.replace("{a}", parties.url["a"])
    async with loopback_client() as browser:
        arrived = await browser.get(url, params={"code": code, "callback": where}, timeout=30)
        back = parse_qs(urlsplit(arrived.headers["location"]).query)["callback"][0]
        await withdraw(parties, "b", location)
        ended = await browser.get(back)
    assert ended.status_code == 410
    assert "location" not in ended.headers and "refresh" not in ended.headers


@pytest.mark.spec("#interaction-callback-errors", "#interaction-code-format")
async def test_who_comes_too_late_goes_back_with_the_reason_if_their_code_is_right(parties: Parties) -> None:
    location, url, code = await opened_at(parties, "b")
    await withdraw(parties, "b", location)
    callback = f"{parties.url['a']}/aauth/onward/x.y.1"
    async with loopback_client() as browser:
        known = len(parties.carried)
        guessed = await browser.get(url, params={"code": "0000-0000", "callback": callback})
        assert guessed.status_code == 403
        assert len(parties.carried) == known, "a guess makes us look nothing up"
        late = await browser.get(url, params={"code": code, "callback": callback})
        assert (late.status_code, late.headers["location"]) == (303, f"{callback}?error=server_error")
        alone = await browser.get(url, params={"code": code})
        assert alone.status_code == 410


@pytest.mark.spec("#interaction-code-format")
async def test_a_browser_that_loads_ahead_does_not_use_the_code_up(parties: Parties) -> None:
    location, url, code = await opened_at(parties, "b")
    async with loopback_client() as browser:
        ahead = await browser.get(url, params={"code": code}, headers={"sec-purpose": "prefetch;prerender"})
        assert ahead.status_code == 200 and f'value="{code}"' in ahead.text
        assert (await browser.get(url, params={"code": code})).status_code == 303
    await withdraw(parties, "b", location)
    parties.decide = parties.approve


async def test_a_person_who_left_between_two_questions_is_sent_for_again(parties: Parties) -> None:
    """They close the window after the first of two; the caller, which still polls, gets another code for them."""
    assert (await parties.agent.get(f"{parties.url['a']}/me")).status_code == 200
    parties.directed.clear()

    async def leave(direct: Direct) -> None:
        if len(parties.directed) > 1:
            await parties.visit(direct.person_url, "approve")
            return
        await parties.visit(direct.person_url, "")
        form = parties.ada.form_with("decision")
        data = urlencode([*form.fields, ("decision", "approve")])
        origin = {"origin": parties.url["person"], "content-type": "application/x-www-form-urlencoded"}
        answered = await parties.browser.post(parties.ada.url, content=data, headers=origin)
        assert answered.headers["location"].startswith(parties.url["a"]), "where nobody goes now"
        await parties.until(lambda: any(q.origin == parties.url["b"] and r.status == 202 for q, r in parties.carried))
        parties.clock.ahead_s += 25

    parties.decide = leave
    response = await parties.agent.get(f"{parties.url['a']}/me", params={"to": "b,c"})
    assert response.status_code == 200, response.text
    first, second = parties.directed
    assert first.url == second.url and first.code != second.code
