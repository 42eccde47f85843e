"""Content-Digest: published values, and every way a body can differ from one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.errors import InvalidSignature
from aauthlib.httpsig import content_digest, verify_content_digest

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "digests.json").read_text())


@pytest.mark.spec("#covered-components")
@pytest.mark.parametrize("vector", VECTORS, ids=[vector["source"][:8] for vector in VECTORS])
def test_the_published_digests(vector: dict[str, str]) -> None:
    body, header = vector["body"].encode(), vector["header"]
    assert content_digest(body, header.partition("=")[0]) == header
    verify_content_digest(header, body)


@pytest.mark.spec("#covered-components")
@given(st.binary(max_size=100), st.sampled_from(["sha-256", "sha-512"]), st.data())
def test_a_changed_body_is_noticed(body: bytes, algorithm: str, data: st.DataObject) -> None:
    header = content_digest(body, algorithm)
    verify_content_digest(header, body)
    other = data.draw(st.binary(max_size=100).filter(lambda b: b != body))
    with pytest.raises(InvalidSignature, match="does not match"):
        verify_content_digest(header, other)


@pytest.mark.spec("#covered-components")
def test_every_digest_that_is_known_must_match() -> None:
    right, wrong = content_digest(b"a"), content_digest(b"b", "sha-512")
    with pytest.raises(InvalidSignature):
        verify_content_digest(f"{right}, {wrong}", b"a")
    verify_content_digest(f"{right}, {content_digest(b'a', 'sha-512')}", b"a")


@pytest.mark.spec("#covered-components")
def test_an_unknown_algorithm_beside_a_known_one_is_ignored_and_alone_it_is_refused() -> None:
    verify_content_digest(f"{content_digest(b'a')}, new-hash=:AAAA:", b"a")
    with pytest.raises(InvalidSignature, match="no sha-256"):
        verify_content_digest("new-hash=:AAAA:", b"a")


@pytest.mark.spec("#untrusted-input")
@pytest.mark.parametrize(
    "header",
    ["", "sha-256", 'sha-256="x"', "sha-256=::", "sha-256=(:AAAA:)", "sha-256=1", "=:AA:", "sha-256=:AAAA", "é"],
)
def test_a_malformed_header_is_refused(header: str) -> None:
    with pytest.raises(InvalidSignature):
        verify_content_digest(header, b"")
