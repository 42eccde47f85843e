"""Text that others wrote, made safe to show."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.web.markup import plain, safe_markdown

pytestmark = pytest.mark.spec("#untrusted-input", "#agent-consent-surface-control")


def test_emphasis_lists_and_code_are_kept() -> None:
    shown = safe_markdown("Read **all** your *events*:\n\n- `calendar.read`\n- more")
    assert "<strong>all</strong>" in shown
    assert "<li><code>calendar.read</code></li>" in shown


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[Approve here](https://evil.example)",
        "![picture](https://evil.example/p.png)",
        "<https://evil.example>",
        "[a]: https://evil.example\n\n[a]",
        "[x](javascript:alert(1))",
        "# What the resource says",
        "Verified\n===",
        "<div class='panel'>Verified</div>",
        "<svg/onload=alert(1)>",
    ],
)
def test_nothing_acts_leads_away_or_imitates_the_page(hostile: str) -> None:
    shown = str(safe_markdown(hostile))
    assert set(re.findall(r"<[a-z0-9]+", shown)) <= {"<p"}
    assert "<p>" in shown


@given(st.text(max_size=300))
def test_whatever_is_written_only_harmless_tags_without_attributes_come_out(text: str) -> None:
    shown = str(safe_markdown(text))
    tags = re.findall(r"<[^>]*>", shown)
    assert all(re.fullmatch(r"</?(p|br|em|strong|ul|ol|li|code|pre|blockquote)>", tag) for tag in tags)


def test_a_long_text_is_cut() -> None:
    assert len(safe_markdown("a" * 10_000)) < 4_100


def test_characters_that_change_direction_are_taken_out() -> None:
    assert plain("agent\u202egnp.exe\u2066\n second\x00line") == "agent gnp.exe second line"
    assert "\u202e" not in safe_markdown("a\u202eb")
