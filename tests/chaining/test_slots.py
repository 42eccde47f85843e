from __future__ import annotations

import pytest

from aauthlib import errors
from aauthlib.chaining.slots import Slots


def test_calls_for_one_person_are_bounded_and_the_bound_is_given_back() -> None:
    slots = Slots(1)
    with slots.take(("ps", "ada")), slots.take(("ps", "bob")), pytest.raises(errors.RateLimited, match="circle"):
        slots.take(("ps", "ada")).__enter__()
    with slots.take(("ps", "ada")):
        pass
