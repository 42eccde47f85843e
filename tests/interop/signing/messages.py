"""Random requests for the differential tests: what an HTTP client can send and every peer's URL parser takes."""

from __future__ import annotations

from hypothesis import strategies as st

from aauthlib.http import Fields, Request

_UNRESERVED = "ABCXYZabcxyz0189-._~"


def _joined(pieces: list[str], *, min_size: int = 0, max_size: int) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(pieces), min_size=min_size, max_size=max_size).map("".join)


# Dot segments are left out: a client removes them before it sends or signs anything (RFC 3986, Section 5.2.4).
_SEGMENT = _joined([*_UNRESERVED, *"!$&'*+,=:@", "%20", "%2F", "%C3%A9"], max_size=8).filter(
    lambda segment: segment not in {".", ".."}
)
_QUERY = _joined([*_UNRESERVED, *"&=+/?", "%20", "%26"], min_size=1, max_size=16)
_VALUE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40).map(str.strip)
HOSTS = ("resource.example", "a.b.example", "xn--bcher-kva.example", "resource.example:8443")
AS_WRITTEN = (*HOSTS, "Resource.Example", "resource.example:443")
"""Hosts also as people write them, which `@authority` does not keep (RFC 9421, Section 2.2.3)."""


@st.composite
def requests(draw: st.DrawFn, *, hosts: tuple[str, ...] = HOSTS) -> Request:
    """A request with a header field of its own, `x-note`, or without."""
    path = "".join("/" + segment for segment in draw(st.lists(_SEGMENT, min_size=1, max_size=4)))
    # A path that begins with two slashes is taken for an authority by some parsers.
    url = f"https://{draw(st.sampled_from(hosts))}/{path.lstrip('/')}"
    if draw(st.booleans()):
        url += "?" + draw(_QUERY)
    content = draw(st.binary(min_size=1, max_size=64)) if draw(st.booleans()) else b""
    fields = [("x-note", draw(_VALUE))] if draw(st.booleans()) else []
    if content:
        fields.append(("content-type", "application/octet-stream"))
    method = "POST" if content else draw(st.sampled_from(["GET", "DELETE", "OPTIONS"]))
    return Request(method, url, Fields(fields), content)


def beyond_the_profile(request: Request, *, query: bool = True) -> tuple[str, ...]:
    """What such a request has to be covered beside what always is: its own field, and its query."""
    return (*(["x-note"] if "x-note" in request.headers else []), *(["@query"] if query and request.query else []))


_MEMBER = st.sampled_from(["a", "b=1", "c=2.50;p", 'a="x,  y"', "d=(a   b);q", "b=?0", "e=:AAE=:", "c=tok"])
_WHITE = st.sampled_from(["", " ", "\t", "  "])
NAMES = ("a", "b", "a%20b", "%C3%A9", "q~", "", "*")
"""Names of query parameters, in the encoding of a form or in another that means the same."""


@st.composite
def rich_requests(draw: st.DrawFn) -> Request:
    """A request with repeated, folded, empty and structured fields, and a query of a form."""
    pairs = draw(
        st.lists(st.tuples(st.sampled_from(NAMES), _QUERY.map(lambda text: text.replace("&", ""))), max_size=4)
    )
    query = "&".join(f"{name}={value}" if value else name for name, value in pairs)
    fields = [("x-empty", draw(_WHITE))]
    for _ in range(draw(st.integers(0, 3))):
        value = draw(_VALUE) + draw(st.sampled_from(["", " \r\n \t folded", "\r\n\tfolded"]))
        fields.append(("x-many", draw(_WHITE) + value + draw(_WHITE)))
    for name in ("priority", "cdn-cache-control"):
        for _ in range(draw(st.integers(0, 2))):
            fields.append((name, (",".join(draw(st.lists(_MEMBER, min_size=1, max_size=3))))))
    path = draw(st.sampled_from(["", "/", "/a%2Fb", "/a//b"]))
    url = f"https://{draw(st.sampled_from(HOSTS))}{path}" + (f"?{query}" if pairs else "")
    return Request(draw(st.sampled_from(["GET", "PUT"])), url, Fields(draw(st.permutations(fields))))


def identifiers(*, response: bool = False) -> st.SearchStrategy[list[str]]:
    """Component identifiers of such a request, or of the response to one."""
    fields = ["x-many", "x-empty", '"x-many";bs', '"x-empty";bs', '"priority";sf', '"cdn-cache-control";sf', "x-absent"]
    fields += [f'"{name}";key="{key}"' for name in ("priority", "cdn-cache-control") for key in ("a", "b", "c", "d")]
    derived = ["@method", "@authority", "@path", "@query", "@scheme", "@target-uri", "@request-target"]
    derived += [f'"@query-param";name="{name}"' for name in ("a", "b", "a%20b", "%C3%A9", "q%7E", "", "*")]
    of_request = [name if name.startswith('"') else f'"{name}"' for name in (*fields, *derived)]
    known = ["@status", *fields, *[f"{name};req" for name in of_request]] if response else fields + derived
    return st.lists(st.sampled_from(known), unique=True, max_size=8)
