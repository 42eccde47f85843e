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


@st.composite
def requests(draw: st.DrawFn, *, query: bool = True, body: bool = True) -> Request:
    """A request with one or two header fields of its own."""
    path = "".join("/" + segment for segment in draw(st.lists(_SEGMENT, min_size=1, max_size=4)))
    # A path that begins with two slashes is taken for an authority by some parsers.
    url = f"https://{draw(st.sampled_from(HOSTS))}/{path.lstrip('/')}"
    if query and draw(st.booleans()):
        url += "?" + draw(_QUERY)
    content = draw(st.binary(min_size=1, max_size=64)) if body and draw(st.booleans()) else b""
    fields = [("x-note", draw(_VALUE))]
    if content:
        fields.append(("content-type", "application/octet-stream"))
    method = "POST" if content else draw(st.sampled_from(["GET", "DELETE", "OPTIONS"]))
    return Request(method, url, Fields(fields), content)
