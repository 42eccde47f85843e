from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.messages.requirement import (
    AGENT_TOKEN,
    APPROVAL,
    AUTH_TOKEN,
    CLAIMS,
    CLARIFICATION,
    INTERACTION,
    PERSON_TOKEN,
    PSEUDONYM,
    Requirement,
    RequirementMalformed,
)
from tests.messages.test_headers import GARBAGE

VALUES = [AGENT_TOKEN, PERSON_TOKEN, AUTH_TOKEN, INTERACTION, APPROVAL, CLARIFICATION, CLAIMS]


@pytest.mark.spec("#requirement-values")
def test_the_values_are_those_of_the_specification() -> None:
    assert VALUES == [
        "agent-token", "person-token", "auth-token", "interaction", "approval", "clarification", "claims",
    ]  # fmt: skip


@pytest.mark.parametrize("value", [*VALUES, PSEUDONYM])
@pytest.mark.spec("#aauth-requirement-header-structure")
def test_a_requirement_is_read_as_it_is_written(value: str) -> None:
    written = Requirement(value, resource_token="a.b.c", url="https://a.example/i", code="A1B2-C3D4").serialize()

    assert written == (f'requirement={value};resource-token="a.b.c";url="https://a.example/i";code="A1B2-C3D4"')
    assert Requirement.parse(written) == Requirement(value, "a.b.c", "https://a.example/i", "A1B2-C3D4")


@pytest.mark.spec("#aauth-requirement-header-structure")
def test_unknown_members_and_parameters_are_ignored() -> None:
    requirement = Requirement.parse("novel=1, requirement=approval;urgency=high;level=3;when=@1800000000, other")

    assert requirement.value == APPROVAL
    assert (requirement.url, requirement.code, requirement.resource_token) == (None, None, None)


@pytest.mark.parametrize("parameter", ["url", "url=7", "url=token", "url=:YQ==:", "url=?0"])
@pytest.mark.spec("#interaction-required")
def test_a_parameter_of_another_type_is_none(parameter: str) -> None:
    assert Requirement.parse(f"requirement=interaction;{parameter}").url is None


@pytest.mark.parametrize(
    "header",
    [
        "",
        "requirement",
        'requirement="interaction"',
        "requirement=7",
        "requirement=(a)",
        "interaction",
        "a=",
        "é",
        "\x00",
    ],
)
@pytest.mark.spec("#aauth-requirement-header-structure")
def test_a_header_without_a_requirement_token_is_malformed(header: str) -> None:
    with pytest.raises(RequirementMalformed):
        Requirement.parse(header)


@given(GARBAGE | GARBAGE.map(lambda text: "requirement=interaction;" + text))
@pytest.mark.spec("#aauth-requirement-header-structure")
def test_garbage_is_malformed_or_can_be_written_again(header: str) -> None:
    try:
        requirement = Requirement.parse(header)
    except RequirementMalformed as error:
        assert len(header) < 16 or header not in str(error)
        return
    assert Requirement.parse(requirement.serialize()) == requirement


@given(
    value=st.from_regex(r"[a-z][a-z-]{0,20}", fullmatch=True),
    text=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
)
@pytest.mark.spec("#aauth-requirement-header-structure")
def test_any_printable_text_survives_the_header(value: str, text: str) -> None:
    requirement = Requirement(value, resource_token=text, url=text, code=text)

    assert Requirement.parse(requirement.serialize()) == requirement


@pytest.mark.spec("#aauth-requirement-header-structure")
def test_a_header_of_absurd_length_is_malformed() -> None:
    with pytest.raises(RequirementMalformed):
        Requirement.parse('requirement=auth-token;resource-token="' + "a" * 50_000 + '"')


def test_neither_token_nor_code_show_in_a_repr() -> None:
    shown = repr(Requirement(INTERACTION, resource_token="secret-token", code="SECRET12", other={"x": "hidden"}))

    assert "secret-token" not in shown
    assert "SECRET12" not in shown
    assert "hidden" not in shown
