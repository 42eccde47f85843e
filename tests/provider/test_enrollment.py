"""Invitation codes and the person servers one may name."""

from __future__ import annotations

import pytest

from aauthlib.errors import ConfigurationError, InvalidRequest
from aauthlib.keys import SigningKey
from aauthlib.provider import EnrollmentRefused, EnrollmentRequest, InvitationCodes
from aauthlib.provider.enrollment import checked_ps


@pytest.mark.parametrize("codes", [[], [""], ["good", ""]])
def test_a_gate_that_would_admit_everybody_cannot_be_built(codes: list[str]) -> None:
    with pytest.raises(ConfigurationError):
        InvitationCodes(codes)


@pytest.mark.spec("#untrusted-input")
async def test_a_code_that_is_no_text_is_refused_and_not_an_error() -> None:
    gate = InvitationCodes(["good"])
    with pytest.raises(EnrollmentRefused):
        await gate.admit(EnrollmentRequest(invitation="\ud800"), SigningKey.generate().public)
    await gate.admit(EnrollmentRequest(invitation="good"), SigningKey.generate().public)


def test_the_gate_does_not_keep_or_show_the_codes() -> None:
    assert "hunter2" not in repr(vars(InvitationCodes(["hunter2"])))


@pytest.mark.spec("#server-identifiers")
def test_a_person_server_is_a_server_identifier() -> None:
    assert checked_ps(None, allowed=frozenset(), dev=False) is None
    assert checked_ps("https://ps.example", allowed=None, dev=False) == "https://ps.example"
    with pytest.raises(InvalidRequest):
        checked_ps("http://ps.localhost:4000", allowed=None, dev=False)
    assert checked_ps("http://ps.localhost:4000", allowed=None, dev=True) == "http://ps.localhost:4000"
