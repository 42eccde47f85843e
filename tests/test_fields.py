"""Structured fields with bounds and one failure."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.fields import (
    MAX_FIELD_LENGTH,
    DuplicateKey,
    FieldError,
    Token,
    parse_dictionary,
    parse_list,
    serialize,
)

KEY = st.from_regex(r"[a-z*][a-z0-9_\-.*]{0,10}", fullmatch=True)
STRING = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
ITEM = (
    STRING
    | st.binary(max_size=12)
    | st.booleans()
    | st.integers(-(10**15) + 1, 10**15 - 1)
    | st.from_regex(r"[A-Za-z*][A-Za-z0-9!#$%&'*+\-.^_`|~:/]{0,10}", fullmatch=True).map(Token)
)
PARAMETERS = st.dictionaries(KEY, ITEM, max_size=3)
MEMBER = st.tuples(ITEM, PARAMETERS)
INNER = st.tuples(st.lists(MEMBER, max_size=3), PARAMETERS)


@pytest.mark.spec("#aauth-requirement-header-structure", "signature-key#3")
@given(st.dictionaries(KEY, MEMBER | INNER, min_size=1, max_size=4))
def test_a_dictionary_reads_as_it_was_written(value: dict[str, Any]) -> None:
    assert parse_dictionary(serialize(value)) == value


@pytest.mark.spec("#aauth-capabilities")
@given(st.lists(MEMBER | INNER, min_size=1, max_size=4))
def test_a_list_reads_as_it_was_written(value: list[Any]) -> None:
    assert parse_list(serialize(value)) == value


@pytest.mark.parametrize("value", [{}, []])
def test_an_empty_field_is_left_out_and_not_written(value: Any) -> None:
    with pytest.raises(ValueError):
        serialize(value)


def test_types_are_told_apart() -> None:
    members = parse_dictionary('t=tok, s="str", b=:AAE=:, i=7, y, n=?0, l=("a" b);x')
    assert members["t"][0] == Token("tok") and isinstance(members["t"][0], Token)
    assert not isinstance(members["t"][0], str)
    assert members["s"] == ("str", {})
    assert members["b"] == (b"\0\x01", {})
    assert members["i"] == (7, {})
    assert (members["y"], members["n"]) == ((True, {}), (False, {}))
    assert members["l"] == ([("a", {}), (Token("b"), {})], {"x": True})


def test_of_a_key_given_twice_the_last_counts() -> None:
    assert parse_dictionary('a=1, b=2, a="x"') == {"b": (2, {}), "a": ("x", {})}


@pytest.mark.parametrize("value", ["a=1, a=2", "a, b, a", "a=1;x, b=2;x, a=1;x", "a=(1 2),a=(1 2)"])
def test_where_a_dictionary_must_have_unique_keys_two_of_one_are_refused(value: str) -> None:
    with pytest.raises(DuplicateKey):
        parse_dictionary(value, unique=True)
    assert parse_dictionary(value)["a"]


def test_unique_keys_are_those_of_members_and_not_of_parameters() -> None:
    assert parse_dictionary("a=1;x=1;x=2, b=(1;x=1;x=2);y;y=3", unique=True) == {
        "a": (1, {"x": 2}),
        "b": ([(1, {"x": 2})], {"y": 3}),
    }
    with pytest.raises(FieldError):
        parse_dictionary("a=1, b=", unique=True)


@pytest.mark.spec("#untrusted-input")
@pytest.mark.parametrize(
    "value", ["a=", "a=1,", "a=1 b=2", '="x"', 'a="', "a=:AA", "A=1", "a=é", "a=\x00", "a=(", "a=1;B=2"]
)
def test_what_is_malformed_is_a_field_error(value: str) -> None:
    with pytest.raises(FieldError):
        parse_dictionary(value)


@pytest.mark.spec("#untrusted-input")
def test_the_length_is_bounded() -> None:
    assert parse_dictionary(f'a="{"x" * (MAX_FIELD_LENGTH - 4)}"')
    with pytest.raises(FieldError, match="long"):
        parse_dictionary(f'a="{"x" * (MAX_FIELD_LENGTH - 3)}"')


@pytest.mark.spec("#untrusted-input")
@given(st.text(max_size=40) | st.text(alphabet='ab=(),;:"?@%\\ \t019.-*_/', max_size=30))
def test_no_text_makes_parsing_fail_otherwise(value: str) -> None:
    for parse in (parse_dictionary, parse_list):
        try:
            parse(value)
        except FieldError:
            continue
