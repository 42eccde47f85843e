"""The suite itself: every process that runs a part of it must find the same tests under the same names."""

from __future__ import annotations

import pytest


def test_no_test_is_named_after_something_random(request: pytest.FixtureRequest) -> None:
    names = [item.nodeid for item in request.session.items]
    assert [name for name in names if " object at 0x" in name] == []
