"""Pages on which a person is asked to go somewhere, or something (#interaction-endpoint, #consent-presentation)."""

from __future__ import annotations

from typing import Any

import pytest

from aauthlib.errors import Denied
from aauthlib.http import Response
from aauthlib.store.notification_records import WEB_PUSH, Subscription
from aauthlib.transport import AsyncTransport

from .conftest import Browser, MakeSite, Site
from .parties import page_url
from .test_missions import approved

RELAY: dict[str, Any] = {
    "type": "interaction",
    "description": "Confirm <script>alert(1)</script> **now**.",
    "url": "https://booking.example/confirm",
    "code": "X7K2-M9P4",
}


@pytest.fixture
async def site(make_site: MakeSite) -> Site:
    """A person server for whom every name stands for a public address."""
    return await make_site(sender=AsyncTransport(resolver=lambda host, port: ["93.184.216.34"]))


@pytest.fixture
async def known(site: Site, browser: Browser) -> Browser:
    """Ana's browser; she knows the agent and can be told."""
    await site.person_token()
    place = Subscription(
        id="phone",
        person_id=await site.person_id(),
        channel=WEB_PUSH,
        target={"endpoint": "https://push.example/x", "p256dh": "k", "auth": "a"},
        name="A phone",
        created_at=0.0,
        confirmed=True,
    )
    await site.app.server.store.subscribe(place)  # type: ignore[attr-defined]
    return browser


async def ask(site: Site, **body: Any) -> Response:
    request = site.parties.signed("POST", f"{site.parties.ps}/interaction", body)
    return await site.app.server.interaction(request)


async def found_at_home(browser: Browser) -> str:
    """The page of what waits, as the home page links it."""
    await browser.get("/")
    return "/requests/" + browser.page.partition('href="/requests/')[2].partition('"')[0]


@pytest.mark.spec("#interaction-relay", "#consent-presentation", "#untrusted-input")
async def test_the_page_says_where_it_leads_and_whose_word_that_is(site: Site, known: Browser) -> None:
    await ask(site, **RELAY)
    await known.get("/")
    assert "asks you to go to booking.example" in known.text
    path = await found_at_home(known)
    await known.get(path)
    claims = known.page.partition('class="panel claims" aria-labelledby="page"')[2].partition("</section>")[0]
    assert "Not verified" in claims and "booking.example" in claims and "X7K2-M9P4" in claims
    assert "<strong>now</strong>" in claims and "<script>" not in known.page
    assert "Verified: assistant.example vouches for this agent" in known.text


@pytest.mark.spec("#interaction-response-poll-authority", "#interaction-relay")
async def test_who_goes_there_takes_the_code_along_and_the_agent_hears_each_step(site: Site, known: Browser) -> None:
    answer = await ask(site, **RELAY)
    path = await found_at_home(known)
    assert (await site.poll(answer)).json() == {"status": "pending"}
    await known.get(path)
    assert (await site.poll(answer)).json() == {"status": "interacting"}
    gone = await known.submit(path, decision="approve")
    assert gone.status_code == 200
    url = "https://booking.example/confirm?code=X7K2-M9P4"
    assert f'content="0; url={url}"' in known.page and f'href="{url}" rel="noreferrer"' in known.page
    assert (await site.poll(answer)).json() == {"engaged": True}
    # Coming back shows the link again and leads nowhere by itself.
    again = await known.get(path)
    assert again.status_code == 200 and "refresh" not in known.page and url in known.page


@pytest.mark.spec("#interaction-response-poll-authority")
async def test_a_second_click_sends_nobody_anywhere_new(site: Site, known: Browser) -> None:
    answer = await ask(site, **RELAY)
    path = await found_at_home(known)
    await known.get(path)
    fields = known.form(path)
    await known.submit(path, decision="deny")
    second = await known.post(path, {**fields, "decision": "approve"})
    assert second.status_code == 303 and "booking.example" not in second.headers["location"]
    with pytest.raises(Denied):
        await site.poll(answer)


@pytest.mark.spec("#interaction-endpoint")
async def test_a_payment_is_named_one(site: Site, known: Browser) -> None:
    await ask(site, **{**RELAY, "type": "payment"})
    await known.get(await found_at_home(known))
    assert "Look at a payment at booking.example ?" in known.text
    assert "What you pay there is between you and booking.example" in known.text


@pytest.mark.spec("#interaction-response-poll-authority", "#untrusted-input")
async def test_a_question_is_answered_in_words_and_an_empty_answer_is_none(site: Site, known: Browser) -> None:
    answer = await ask(site, type="question", question="The *refundable* one?", capabilities=["interaction"])
    path = await found_at_home(known)
    await known.get(path)
    assert "<em>refundable</em>" in known.page
    assert (await known.submit(path, decision="approve", answer="  ")).status_code == 400
    assert "The answer is Markdown text" in known.text
    assert (await known.submit(path, decision="approve", answer="Yes.\r\nGo ahead.")).status_code == 303
    assert (await site.poll(answer)).json() == {"answer": "Yes.\nGo ahead."}
    await known.get(path)
    assert "The agent has your answer." in known.text


@pytest.mark.spec("#interaction-response-poll-authority")
async def test_a_relay_to_a_page_of_this_server_leads_to_that_page(site: Site, known: Browser) -> None:
    original = await site.ask_person_token(resource="https://mail.example")
    url, _, code = page_url(original).partition("?code=")
    relay = await ask(site, type="interaction", url=url, code=code)
    (view,) = await site.app.server.pending_for(await site.person_id())
    pending = await site.app.server.store.get_pending(view.digest)
    assert pending is not None
    requests = await site.app.server.store.requests_for(await site.person_id(), now=site.clock())
    relayed = next(each.pending.digest for each in requests if each.pending.digest != view.digest)
    assert (await known.get(f"/requests/{relayed}")).headers["location"] == f"/requests/{view.digest}"
    await known.get(f"/requests/{view.digest}")
    await known.submit(f"/requests/{view.digest}", decision="approve")
    assert (await site.poll(relay)).json() == {"engaged": True}


@pytest.mark.spec("#mission-log")
async def test_the_log_of_a_mission_tells_it_in_words(site: Site, known: Browser) -> None:
    mission = await approved(site, known)
    await ask(site, **RELAY, mission_s256=mission["s256"])
    path = await found_at_home(known)
    await known.get(path)
    await known.submit(path, decision="approve")
    await ask(site, type="question", question="Which one?", mission_s256=mission["s256"])
    path = await found_at_home(known)
    await known.get(path)
    await known.submit(path, decision="approve", answer="The first.")
    await known.get(f"/missions/{mission['s256']}")
    for words in ("wanted you at a page", "https://booking.example/confirm", "You went there"):
        assert words in known.text
    for words in ("had a question", "Which one?", "You answered", "The first."):
        assert words in known.text
    assert "X7K2-M9P4" not in known.page
