"""Component values that take more than looking them up."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.errors import InvalidSignature
from aauthlib.fields import parse_list
from aauthlib.http import Fields
from aauthlib.httpsig.values import (
    STRUCTURED_FIELDS,
    FieldType,
    combined,
    dictionary_member,
    query_param,
    strict,
    unfold,
    wrapped,
)


@pytest.mark.spec("rfc9421#2.1")
@pytest.mark.parametrize("value", ["a\nb", "a\r\nb", "a\rb", "a\n b", "\n", "a\r\n"])
def test_a_line_break_that_is_no_fold_is_left_for_the_base_to_refuse(value: str) -> None:
    assert unfold(value) == value


@pytest.mark.spec("rfc9421#2.1")
def test_lines_are_stripped_and_unfolded_each_for_itself() -> None:
    assert combined(Fields([("x-a", "\r\n a "), ("x-a", ""), ("x-b", "b")]), "x-a") == "a, "
    assert combined(Fields([("x-a", "a\r\n"), ("x-a", " b")]), "x-a") == "a\r\n, b"
    assert combined(Fields([("x-a", " ")]), "x-a") == ""
    assert combined(Fields(), "x-a") is None


@pytest.mark.spec("rfc9421#2.1", "#untrusted-input")
def test_unfolding_takes_time_in_proportion_to_the_value() -> None:
    white = " " * 1_000_000
    assert unfold(f"a{white}\n{white}b") == f"a{white}\n{white}b"
    assert unfold(f"a{white}\r\n{white}b") == "a b"
    assert unfold("a\r\n b" * 1_000).count("b") == 1_000


@pytest.mark.spec("rfc9421#2.1.1")
@pytest.mark.parametrize(
    ("value", "kind", "written"),
    [
        ("a=1,    b=2;x=1;y=2,   c=(a   b   c)", "dictionary", "a=1, b=2;x=1;y=2, c=(a b c)"),
        ("a=1, b, a=2", "dictionary", "a=2, b"),
        ("1.50,   tok;a=?1", "list", "1.5, tok;a"),
        ('  "x";   y=1', "item", '"x";y=1'),
        ("", "list", ""),
        ("", "dictionary", ""),
    ],
)
def test_a_field_is_serialised_strictly(value: str, kind: FieldType, written: str) -> None:
    assert strict(value, kind) == written


@pytest.mark.spec("rfc9421#2.1.1", "rfc9421#2.1.2")
@pytest.mark.parametrize("value", ["=", "a=1,", 'a="', "é"])
def test_a_malformed_field_cannot_be_covered_strictly(value: str) -> None:
    for kind in set(STRUCTURED_FIELDS.values()):
        with pytest.raises(InvalidSignature, match="well-formed"):
            strict(value, kind)
    with pytest.raises(InvalidSignature, match="well-formed"):
        dictionary_member(value, "a")


@pytest.mark.spec("rfc9421#2.1.2")
def test_a_dictionary_member_that_is_absent_cannot_be_covered() -> None:
    assert dictionary_member("a, b=(x  y);z, c=tok;q", "b") == "(x y);z"
    assert dictionary_member("a, b=1", "a") == "?1"
    assert dictionary_member("a;q, b=1", "a") == "?1;q"
    with pytest.raises(InvalidSignature, match="does not have"):
        dictionary_member("a=1", "b")


@pytest.mark.spec("rfc9421#2.1.3")
@given(st.lists(st.text(st.characters(max_codepoint=0xFF, exclude_characters="\r\n \t")), min_size=1, max_size=4))
def test_wrapped_lines_are_told_apart(lines: list[str]) -> None:
    value = wrapped(Fields([("x-a", f" {line}\t") for line in lines]), "x-a")
    assert parse_list(value) == [(line.encode("latin-1"), {}) for line in lines]


@pytest.mark.spec("rfc9421#2.1.3")
def test_a_character_that_no_header_line_carries_cannot_be_wrapped() -> None:
    with pytest.raises(InvalidSignature):
        wrapped(Fields([("x-a", "\u20ac")]), "x-a")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@pytest.mark.spec("rfc9421#2.2.8")
@given(st.dictionaries(TEXT, TEXT, min_size=1, max_size=4))
def test_each_parameter_of_a_form_query_is_found_by_its_encoded_name(parameters: dict[str, str]) -> None:
    query = urlencode(parameters)
    for name, value in parameters.items():
        encoded = [quote(text, safe="*").replace("~", "%7E") for text in (name, value)]
        assert query_param(query, encoded[0]) == encoded[1]


@pytest.mark.spec("rfc9421#2.2.8")
@pytest.mark.parametrize(
    ("query", "name", "value"),
    [
        ("a=1&&b=2", "b", "2"),
        ("a", "a", ""),
        ("=x", "", "x"),
        ("a=b=c", "a", "b%3Dc"),
        ("a=~!'()*-._", "a", "%7E%21%27%28%29*-._"),
        ("a=%zz%4", "a", "%25zz%254"),
        ("%61=1", "a", "1"),
        ("a+b=c+d", "a%20b", "c%20d"),
    ],
)
def test_a_query_is_read_as_browsers_read_a_form(query: str, name: str, value: str) -> None:
    assert query_param(query, name) == value


@pytest.mark.spec("rfc9421#2.2.8", "#untrusted-input")
@pytest.mark.parametrize(
    ("query", "name"),
    [
        (None, "a"),
        ("", ""),
        ("b=1", "a"),
        ("a=1&a=1", "a"),
        ("a=1&%61=2", "a"),
        ("a%20b=1", "a b"),
        ("a=%FF", "a"),
        ("%FF=1", "%FF"),
        ("%FF=1", "%EF%BF%BD"),
    ],
)
def test_a_query_parameter_that_is_absent_repeated_or_no_utf_8_cannot_be_covered(query: str | None, name: str) -> None:
    with pytest.raises(InvalidSignature):
        query_param(query, name)


def test_structured_fields_are_listed_in_lowercase_and_order() -> None:
    assert list(STRUCTURED_FIELDS) == sorted(STRUCTURED_FIELDS) == [name.lower() for name in STRUCTURED_FIELDS]
