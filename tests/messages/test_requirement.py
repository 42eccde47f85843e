"""AAuth-Requirement, written and read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.errors import AAuthError
from aauthlib.messages.requirement import (
    AGENT_TOKEN,
    APPROVAL,
    AUTH_TOKEN,
    CLAIMS,
    CLARIFICATION,
    INTERACTION,
    PERSON_TOKEN,
    Requirement,
    RequirementMalformed,
)

TEXT = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
VALUE = st.from_regex(r"[a-z][a-z\-]{0,15}", fullmatch=True)
OTHER = st.dictionaries(
    st.from_regex(r"x[a-z0-9\-]{0,6}", fullmatch=True),
    TEXT | st.integers(-99, 99) | st.booleans() | st.binary(max_size=4),
    max_size=2,
)


@pytest.mark.spec("#aauth-requirement-header-structure")
@given(VALUE, st.none() | TEXT, st.none() | TEXT, st.none() | TEXT, OTHER)
def test_a_requirement_reads_as_it_was_written(
    value: str, token: str | None, url: str | None, code: str | None, other: dict[str, Any]
) -> None:
    requirement = Requirement(value, token, url, code, other)
    assert Requirement.parse(requirement.serialize()) == requirement


@pytest.mark.spec("#requirement-values")
def test_the_values_of_the_specification() -> None:
    assert [AGENT_TOKEN, PERSON_TOKEN, AUTH_TOKEN, INTERACTION, APPROVAL, CLARIFICATION, CLAIMS] == [
        "agent-token", "person-token", "auth-token", "interaction", "approval", "clarification", "claims",
    ]  # fmt: skip


@pytest.mark.spec("#aauth-requirement-header-structure", "#interaction-required", "#requirement-auth-token")
def test_the_examples_of_the_specification() -> None:
    interaction = Requirement.parse('requirement=interaction; url="https://example.com/interact"; code="A1B2-C3D4"')
    assert (interaction.value, interaction.url, interaction.code) == (
        "interaction", "https://example.com/interact", "A1B2-C3D4",
    )  # fmt: skip
    auth = Requirement.parse('requirement=auth-token; resource-token="eyJ..."')
    assert (auth.value, auth.resource_token) == ("auth-token", "eyJ...")
    assert Requirement("approval").serialize() == "requirement=approval"


@pytest.mark.spec("#aauth-requirement-header-structure")
def test_unknown_parameters_and_members_are_ignored() -> None:
    requirement = Requirement.parse('future=1, requirement=approval;new="x";url=token, other=(a b)')
    assert (requirement.value, requirement.url) == ("approval", None)
    assert requirement.other == {"new": "x"}


@pytest.mark.spec("#requirement-values")
def test_an_unknown_value_is_kept_for_the_error_that_names_it() -> None:
    assert Requirement.parse("requirement=retina-scan").value == "retina-scan"


@pytest.mark.spec("#aauth-requirement-header-structure", "#untrusted-input")
@pytest.mark.parametrize(
    "header",
    [
        "",
        "requirement",
        'requirement="interaction"',
        "requirement=1",
        "requirement=(a)",
        "x=y",
        "requirement=",
        "é",
    ],
)
def test_a_header_without_a_requirement_token_is_malformed(header: str) -> None:
    with pytest.raises(RequirementMalformed):
        Requirement.parse(header)


def test_showing_a_requirement_shows_neither_code_nor_token() -> None:
    shown = repr(Requirement("interaction", resource_token="secret-token", url="https://a.example/i", code="A1B2-C3D4"))
    assert "secret-token" not in shown
    assert "A1B2" not in shown


@pytest.mark.spec("#untrusted-input")
@given(st.text(max_size=40) | st.text(alphabet='requirement=;"() x', max_size=40))
def test_no_header_makes_reading_fail_otherwise(header: str) -> None:
    try:
        Requirement.parse(header)
    except AAuthError as error:
        assert error.detail
