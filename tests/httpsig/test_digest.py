"""Content-Digest: published values, and every way a body can differ from one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.errors import InvalidSignature
from aauthlib.httpsig import DigestVerifier, content_digest, verify_content_digest

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


CHUNKS = st.lists(st.binary(max_size=20), max_size=6)


@pytest.mark.spec("rfc9530#2")
@given(CHUNKS, st.lists(st.sampled_from(["sha-256", "sha-512"]), unique=True), st.data())
def test_a_body_that_streams_is_judged_as_the_whole_body_is(
    chunks: list[bytes], algorithms: list[str], data: st.DataObject
) -> None:
    body = b"".join(chunks)
    verifier = DigestVerifier(content_digest(body, *algorithms))
    for chunk in chunks:
        verifier.feed(chunk)
    verifier.finish()
    other = data.draw(CHUNKS.filter(lambda other: b"".join(other) != body))
    altered = DigestVerifier(content_digest(body, *algorithms))
    for chunk in other:
        altered.feed(chunk)
    with pytest.raises(InvalidSignature, match="does not match"):
        altered.finish()


@pytest.mark.spec("rfc9530#2")
def test_several_digests_are_written_in_the_order_asked_for() -> None:
    both = content_digest(b"a", "sha-512", "sha-256")
    assert both == f"{content_digest(b'a', 'sha-512')}, {content_digest(b'a')}"
    with pytest.raises(KeyError):
        content_digest(b"a", "md5")


@pytest.mark.spec("rfc9530#2", "#untrusted-input")
@pytest.mark.parametrize("header", ["", "sha-256=:AAAA", "md5=:AAAA:", "SHA-256=:AAAA:"])
def test_a_digest_that_cannot_be_checked_is_refused_before_the_body_is_read(header: str) -> None:
    with pytest.raises(InvalidSignature):
        DigestVerifier(header)
