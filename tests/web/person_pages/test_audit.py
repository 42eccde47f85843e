"""The audit log page: search, pages, files, and nothing of anybody else."""

from __future__ import annotations

import csv
import io
import json
from typing import Any
from urllib.parse import quote

import pytest

from aauthlib.store.person_records import AuditRecord

from .conftest import Browser, Site

pytestmark = pytest.mark.spec("#ps-approval-endpoint-auth")

AGENT = ("https://assistant.example", "aauth:helper@assistant.example")


async def note(site: Site, action: str, *, person_id: str | None = None, at: float = 0, **values: Any) -> None:
    person_id = person_id or await site.person_id()
    record = AuditRecord(at=site.clock.now + at, person_id=person_id, action=action, agent=AGENT, **values)
    await site.app.server.store.note(record)


async def test_what_is_searched_for_is_found_and_nothing_else(site: Site, browser: Browser) -> None:
    await note(site, "first thing", details={"scope": "mail.read"})
    await note(site, "second thing", resource="https://files.example")
    answer = await browser.get("/log?words=MAIL.read")
    assert answer.status_code == 200, answer.headers
    assert "First thing" in browser.text
    assert "Second thing" not in browser.text
    await browser.get("/log?resource=files&from=2027-01-15&to=2027-01-15")
    assert "Second thing" in browser.text
    await browser.get("/log?to=2027-01-14")
    assert "Nothing was found" in browser.text


async def test_older_entries_are_one_link_away(site: Site, browser: Browser) -> None:
    for number in range(52):
        await note(site, f"step {number:02}")
    await browser.get("/log?action=step")
    assert "Step 02" in browser.text
    assert "Step 01" not in browser.text
    link = browser.page.partition('href="/log?action=step')[2].partition('"')[0].replace("&amp;", "&")
    await browser.get("/log?action=step" + link)
    assert "Step 01" in browser.text
    assert "Step 02" not in browser.text
    assert "Older entries" not in browser.text


async def test_entries_of_somebody_else_are_never_found(site: Site, browser: Browser) -> None:
    await note(site, "secret plan", person_id="mallory", details={"word": "hidden"})
    for path in ("/log?", "/log?words=hidden&", "/log?person_id=mallory&", "/log/export?format=jsonl&"):
        answer = await browser.get(path + "action=secret")
        assert answer.status_code == 200
        assert "ecret plan" not in answer.text


async def test_a_file_holds_every_entry_that_is_found(site: Site, browser: Browser) -> None:
    for number in range(501):
        await note(site, f"step {number}", details={"number": number})
    answer = await browser.get("/log/export?format=jsonl&action=step")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["details"]["number"] for line in lines] == list(range(500, -1, -1))
    assert answer.headers["content-disposition"] == 'attachment; filename="log.jsonl"'
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", " =", "\uff1d"], ids=ascii)
async def test_no_cell_is_a_formula(site: Site, browser: Browser, start: str) -> None:
    text = f'{start}HYPERLINK("https://evil.example","x")'
    await note(site, "ask", resource=text, result=text)
    answer = await browser.get("/log/export?format=csv&action=ask")
    head, row = csv.reader(io.StringIO(answer.text, newline=""))
    assert row[head.index("resource")] == row[head.index("result")] == f"'{text}"


async def test_what_is_typed_and_what_is_logged_is_text(site: Site, browser: Browser) -> None:
    script = '"><script>alert(1)</script>'
    await note(site, "ask", resource=script, details={script: script})
    for name in ("agent", "resource", "action", "from", "to", "words"):
        answer = await browser.get(f"/log?{name}={quote(script)}")
        assert "<script>alert" not in answer.text


@pytest.mark.parametrize(
    "query", ["from=yesterday", "to=2027-02-30", "words=%00", "before=x", "before=2147483648", "before=%C2%B2"]
)
async def test_what_cannot_be_searched_for_is_refused(browser: Browser, query: str) -> None:
    assert (await browser.get(f"/log?{query}")).status_code == 400
    if not query.startswith("before"):
        assert (await browser.get(f"/log/export?format=csv&{query}")).status_code == 400


async def test_an_unknown_format_is_refused(browser: Browser) -> None:
    assert (await browser.get("/log/export?format=xlsx")).status_code == 400


@pytest.mark.parametrize("path", ["/log", "/log/export?format=csv"])
async def test_nobody_reads_it_without_a_session(site: Site, browser: Browser, path: str) -> None:
    answer = await site.browser().get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in")
