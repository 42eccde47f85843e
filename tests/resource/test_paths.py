"""Targets that two readers could read in two ways."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from aauthlib.errors import InvalidRequest
from aauthlib.resource.paths import METHOD_OVERRIDES, check_unambiguous, route_path


@pytest.mark.spec("#covered-components", "#untrusted-input")
@pytest.mark.parametrize(
    "raw",
    [
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a\\b",
        "//a",
        "/a//b",
        "/./a",
        "/a/../b",
        "/a/..",
        "/a/%2e%2e/b",
        "/a/%2e/b",
        "/a%00b",
        "/a%0d%0ab",
        "/a%7f",
        "/a%c2%85",
        "/a%e2%80%a8",
        "/a%ff",
        "/a%252fb",
        "/a/%252e%252e/b",
        "a",
        "*",
        "/" + "a" * 9000,
    ],
)
def test_an_ambiguous_path_is_refused(raw: str) -> None:
    with pytest.raises(InvalidRequest):
        check_unambiguous("GET", raw, unquote(raw, errors="replace"), [])


@pytest.mark.parametrize(
    "raw", ["/", "/a", "/a/", "/a.b/..c", "/caf%c3%a9", "/50%25", "/a%20b", "/a;v=1", "/~me", "/a:b@c"]
)
def test_an_ordinary_path_passes(raw: str) -> None:
    check_unambiguous("GET", raw, unquote(raw), ["host"])


@pytest.mark.parametrize("method", ["get", "Get", "", "GE T", "GET\n", "DELETE,"])
def test_a_method_is_a_token_in_upper_case(method: str) -> None:
    with pytest.raises(InvalidRequest):
        check_unambiguous(method, "/", "/", [])


@pytest.mark.parametrize("name", sorted(METHOD_OVERRIDES))
def test_a_method_override_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest):
        check_unambiguous("POST", "/", "/", [name])


def test_the_mount_point_is_not_part_of_a_route() -> None:
    assert route_path("/api/events", "/api") == "/events"
    assert route_path("/api", "/api") == "/"
    assert route_path("/apiary", "/api") == "/apiary"
    assert route_path("/events", "") == "/events"
