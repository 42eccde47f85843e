"""The conversation with an agent in a real browser: on a phone, clicked twice, gone back from."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.web.person_pages.parties import page_url

from .conftest import World

pytestmark = pytest.mark.browser


@pytest.mark.spec("#clarification-chat", "#consent-presentation")
def test_a_person_asks_on_a_phone_and_sees_the_question_stay(ana: Page, world: World) -> None:
    answer = world.ask_auth_token(ana, justification="Lunch.", capabilities=["interaction", "clarification"])
    ana.set_viewport_size({"width": 360, "height": 740})
    ana.goto(page_url(answer))
    ana.get_by_label("Ask the agent something").fill("Why do you need to **write**?")
    ana.get_by_role("button", name="Ask", exact=True).dblclick()
    conversation = ana.get_by_role("region", name="Questions and answers")
    expect(conversation).to_contain_text("You asked")
    expect(conversation.locator("strong")).to_have_text("write")
    assert not ana.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    polled = world.poll(answer)
    assert polled.json()["clarification"] == "Why do you need to **write**?"
    # The page is not kept by the browser: going back shows how things stand, with nothing to send a second time.
    ana.go_back()
    expect(conversation.get_by_text("You asked")).to_have_count(1)
    expect(ana.get_by_role("button", name="Ask", exact=True)).to_have_count(0)
    # Asking decided nothing, and a decision need not wait for the answer.
    ana.get_by_role("button", name="Allow", exact=True).click()
    expect(ana.get_by_role("heading", level=1)).to_have_text("Allowed")
    expect(conversation).to_contain_text("Why do you need to write?")
