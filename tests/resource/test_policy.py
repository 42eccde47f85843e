"""Routes and what they ask for."""

from __future__ import annotations

import pytest

from aauthlib.errors import ConfigurationError
from aauthlib.resource import Policy, Route, anonymous, authorized, deny, identified, managed, person, pseudonym
from aauthlib.verification import Level


def test_a_parameter_matches_one_segment_and_a_star_the_rest() -> None:
    policy = Policy([Route("GET", "/c/{cal}/e/{event_id}", person()), Route("GET", "/files/*", pseudonym())])
    assert policy.match("GET", "/c/work/e/7").parameters == {"cal": "work", "event_id": "7"}
    assert policy.match("GET", "/c/work/e/7/8").rule.denied
    assert policy.match("GET", "/c//e/7").rule.denied
    for path in ("/files", "/files/", "/files/a", "/files/a/b.txt"):
        assert policy.match("GET", path).rule.level is Level.PSEUDONYM
    assert policy.match("GET", "/filesystem").rule.denied


def test_a_dot_in_a_path_is_a_dot() -> None:
    policy = Policy([Route("GET", "/a.json", person())])
    assert policy.match("GET", "/aXjson").rule.denied


def test_a_trailing_slash_makes_no_difference() -> None:
    policy = Policy([Route("GET", "/events", person()), Route("GET", "/", pseudonym())], default=anonymous())
    assert policy.match("GET", "/events/").rule.level is Level.PERSON
    assert policy.match("GET", "/").rule.level is Level.PSEUDONYM


def test_another_spelling_of_a_route_does_not_fall_to_a_permissive_default() -> None:
    policy = Policy([Route("POST", "/Admin/{x}", person())], default=anonymous())
    assert policy.match("POST", "/admin/Y").rule.denied
    assert policy.match("GET", "/admin/Y").rule.level is Level.ANONYMOUS
    assert policy.match("POST", "/other").rule.level is Level.ANONYMOUS


def test_the_first_route_that_matches_counts() -> None:
    policy = Policy([Route("GET", "/a/b", person()), Route("*", "/a/*", anonymous())])
    assert policy.match("GET", "/a/b").rule.level is Level.PERSON
    assert policy.match("POST", "/a/b").rule.level is Level.ANONYMOUS


def test_get_includes_head_and_methods_can_be_listed() -> None:
    policy = Policy([Route("GET|PUT", "/a", person())])
    assert all(not policy.match(method, "/a").rule.denied for method in ("GET", "HEAD", "PUT"))
    refused = policy.match("POST", "/a")
    assert refused.rule.denied
    assert refused.allow == ("GET", "HEAD", "PUT")


def test_what_is_not_in_the_policy_is_denied_unless_told_otherwise() -> None:
    assert Policy([]).match("GET", "/").rule.denied
    assert Policy([], default=person()).match("GET", "/").rule.level is Level.PERSON


def test_growing_from_pseudonym_to_auth_token_is_one_changed_line() -> None:
    before = Policy([Route("GET", "/events", pseudonym())]).match("GET", "/events").rule
    after = Policy([Route("GET", "/events", authorized("calendar.read"))]).match("GET", "/events").rule
    assert (before.level, after.level, after.scopes) == (Level.PSEUDONYM, Level.AUTHORIZED, ("calendar.read",))


def test_a_signed_caller_has_a_higher_limit_than_an_anonymous_one() -> None:
    rule = anonymous(limit="3/minute")
    assert rule.limit is not None
    assert rule.anonymous_limit is not None
    assert (rule.anonymous_limit.count, rule.limit.count) == (3, 30)
    own = anonymous(limit="3/minute", signed_limit="5/second").limit
    assert own is not None
    assert own.count == 5


@pytest.mark.parametrize(
    "make",
    [
        lambda: authorized(),
        lambda: managed(),
        lambda: authorized("two words"),
        lambda: authorized('quo"te'),
        lambda: authorized("a", delivery="200"),  # type: ignore[arg-type]
        lambda: identified(allow="aauth:a@b.example"),
        lambda: person(limit="many"),
        lambda: Route("get", "/", person()),
        lambda: Route("GET", "events", person()),
        lambda: Route("GET", "/a*", person()),
        lambda: Route("GET", "/a/*/b", person()),
        lambda: Route("GET", "/a//b", person()),
        lambda: Route("GET", "/{Name}", person()),
        lambda: Route("GET", "/{a}/{a}", person()),
        lambda: Route("GET", "/{a", person()),
        lambda: Route("GET", "/{a}", authorized("s", account="b")),
        lambda: Policy([Route("GET", "/a", person()), Route("GET|POST", "/a", deny())]),
        lambda: Policy([], default=authorized("s", account="b")),
    ],
)
def test_a_rule_or_route_that_cannot_be_meant_is_refused(make: object) -> None:
    with pytest.raises(ConfigurationError):
        make()  # type: ignore[operator]
