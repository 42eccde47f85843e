from __future__ import annotations

from aauthlib.resource import Grant
from aauthlib.verification import Level


def test_a_grant_that_is_logged_shows_no_token() -> None:
    assert "presented" not in repr(Grant(level=Level.PERSON))
