"""The directory that is told everything beforehand."""

from __future__ import annotations

import pytest

from aauthlib.discovery import DocumentUnusable, StaticDirectory
from aauthlib.effects import FindKey, FindMetadata, Flow
from aauthlib.errors import IssuerMismatch, IssuerMissing, UnknownKey
from aauthlib.keys import JWKS, SigningKey

from .conftest import DWK, ISSUER, T


def result(flow: Flow[T]) -> T:
    with pytest.raises(StopIteration) as end:
        next(flow)
    value: T = end.value.value
    return value


@pytest.mark.spec("#jwks-discovery")
def test_keys_and_metadata_are_found_without_any_effect(key: SigningKey) -> None:
    document = {"issuer": ISSUER, "name": "An agent"}
    directory = StaticDirectory(metadata={ISSUER: document}, keys={ISSUER: JWKS.of(key)})
    assert result(directory.find_key(FindKey(ISSUER, DWK, "one"))) == key.public
    assert result(directory.find_metadata(FindMetadata(ISSUER, DWK))) == document
    assert directory.cached(FindKey(ISSUER, DWK, "one")) == key.public


@pytest.mark.spec("#metadata-documents")
def test_documents_may_be_given_by_name(key: SigningKey) -> None:
    directory = StaticDirectory(metadata={ISSUER: {DWK: {"issuer": ISSUER}}}, keys={ISSUER: JWKS.of(key).to_document()})
    assert result(directory.find_metadata(FindMetadata(ISSUER, DWK))) == {"issuer": ISSUER}
    assert result(directory.find_key(FindKey(ISSUER, DWK, "one"))) == key.public


@pytest.mark.spec("#metadata-documents")
def test_the_issuer_is_checked_here_too(key: SigningKey) -> None:
    wrong = StaticDirectory(metadata={ISSUER: {"issuer": "https://evil.example"}}, keys={ISSUER: JWKS.of(key)})
    with pytest.raises(IssuerMismatch):
        wrong.cached(FindKey(ISSUER, DWK, "one"))
    with pytest.raises(IssuerMissing):
        StaticDirectory(metadata={ISSUER: {"name": "x"}}).cached(FindMetadata(ISSUER, DWK))


def test_what_was_not_told_is_not_known(key: SigningKey) -> None:
    directory = StaticDirectory(keys={ISSUER: JWKS.of(key)})
    for unknown in (FindKey("https://other.example", DWK, "one"), FindKey(ISSUER, DWK, "two")):
        with pytest.raises(UnknownKey):
            directory.cached(unknown)
    with pytest.raises(DocumentUnusable):
        directory.cached(FindMetadata(ISSUER, DWK))


def test_a_key_set_can_be_replaced(key: SigningKey) -> None:
    directory = StaticDirectory(keys={ISSUER: JWKS.of(key)})
    new = SigningKey.generate(kid="one")
    directory.publish(ISSUER, JWKS.of(new))
    assert directory.cached(FindKey(ISSUER, DWK, "one")) == new.public
