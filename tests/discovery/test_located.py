from __future__ import annotations

from typing import Any

import pytest

from aauthlib.discovery import Directory, StaticDirectory, TransportError
from aauthlib.effects import FindCertificates, FindKey, FindKeyAt
from aauthlib.errors import InvalidKey, UnknownKey
from aauthlib.keys import JWKS, SigningKey

from .conftest import DWK, ISSUER, KEYS, Net

URL = "https://client.example/keys.jwks"
PEM = "https://client.example/chain.pem"


@pytest.fixture
def directory(net: Net) -> Directory:
    return Directory(clock=lambda: net.now)


def find(net: Net, directory: Directory, kid: str = "one", url: str = URL, **options: Any) -> object:
    effect = FindKeyAt(url, kid, **options)
    at_hand = directory.cached(effect)
    return at_hand if at_hand is not None else net.drive(directory.find_key_at(effect))


def chain(net: Net, directory: Directory, url: str = PEM, **options: Any) -> object:
    effect = FindCertificates(url, **options)
    at_hand = directory.cached(effect)
    return at_hand if at_hand is not None else net.drive(directory.find_certificates(effect))


@pytest.mark.spec("signature-key#3.7", "signature-key#7.2")
def test_a_key_set_is_fetched_once_and_kept_by_its_url(net: Net, directory: Directory, key: SigningKey) -> None:
    net.serve(URL, JWKS.of(key).to_document(), headers={"cache-control": "max-age=600"})
    assert find(net, directory) == find(net, directory) == key.public
    assert net.fetched == [URL]
    net.now += 600
    assert find(net, directory) == key.public
    assert net.fetched == [URL, URL]


@pytest.mark.spec("signature-key#3.7")
def test_two_spellings_of_a_url_are_two_key_sets(net: Net, directory: Directory, key: SigningKey) -> None:
    net.serve(URL, JWKS.of(key).to_document())
    net.serve(URL + "?", JWKS.of(SigningKey.generate(kid="one")).to_document())
    assert find(net, directory) == key.public
    assert find(net, directory, url=URL + "?") != key.public
    assert net.fetched == [URL, URL + "?"]


@pytest.mark.spec("signature-key#7.2")
def test_a_missing_kid_and_a_second_look_respect_the_floor(net: Net, directory: Directory, key: SigningKey) -> None:
    net.serve(URL, JWKS.of(key).to_document())
    find(net, directory)
    for _ in range(3):
        with pytest.raises(UnknownKey):
            find(net, directory, "two")
        find(net, directory, changed_since_use=True)
    assert net.count(URL) == 1
    net.now += 60
    other = SigningKey.generate(kid="two")
    net.serve(URL, JWKS.of(key, other).to_document())
    assert find(net, directory, "two") == other.public
    assert net.count(URL) == 2


@pytest.mark.spec("signature-key#7.2")
def test_a_copy_is_used_while_no_newer_one_can_be_had_but_not_for_ever(
    net: Net, directory: Directory, key: SigningKey
) -> None:
    net.serve(URL, JWKS.of(key).to_document(), headers={"cache-control": "max-age=60"})
    find(net, directory)
    net.answers[URL] = TransportError("gone")
    net.now += 3600
    assert find(net, directory) == key.public
    net.now += 86_400
    with pytest.raises(UnknownKey, match="gone"):
        find(net, directory)


@pytest.mark.spec("signature-key#7.3")
@pytest.mark.parametrize(
    "url", ["http://client.example/k", "https://127.0.0.1/k", "https://localhost/k", "ftp://x", ""]
)
def test_nothing_is_fetched_from_where_nothing_may_be(net: Net, directory: Directory, url: str) -> None:
    with pytest.raises(UnknownKey):
        find(net, directory, url=url)
    with pytest.raises(UnknownKey):
        chain(net, directory, url=url)
    assert net.fetched == []
    assert len(directory) == 0


@pytest.mark.parametrize("document", [b"no json", {"keys": 1}, [], {}])
def test_what_is_no_key_set_is_an_unknown_key_and_not_tried_again_at_once(
    net: Net, directory: Directory, document: object
) -> None:
    net.serve(URL, document)
    for _ in range(2):
        with pytest.raises(UnknownKey):
            find(net, directory)
    assert net.count(URL) == 1


@pytest.mark.parametrize("status", [301, 404, 500])
def test_only_a_plain_answer_counts(net: Net, directory: Directory, key: SigningKey, status: int) -> None:
    net.serve(URL, JWKS.of(key).to_document(), status=status)
    with pytest.raises(UnknownKey):
        find(net, directory)


@pytest.mark.parametrize("kid", ["", "k" * 513])
def test_a_kid_that_is_none_is_not_looked_for(net: Net, directory: Directory, kid: str) -> None:
    with pytest.raises(UnknownKey):
        find(net, directory, kid)
    assert net.fetched == []


def test_a_key_set_found_by_its_url_is_none_of_an_issuers(net: Net, directory: Directory, key: SigningKey) -> None:
    net.publish(key)
    assert find(net, directory, url=KEYS) == key.public
    assert net.fetched == [KEYS]
    assert net.find(directory, "one") == key.public
    assert directory.lock_key(FindKeyAt(ISSUER, "one")) != directory.lock_key(FindKey(ISSUER, DWK, "one"))
    assert len(directory) == 2


@pytest.mark.spec("signature-key#3.10")
def test_a_chain_is_handed_on_as_it_came_and_kept(net: Net, directory: Directory) -> None:
    net.serve(PEM, b"one")
    assert chain(net, directory) == chain(net, directory) == b"one"
    net.serve(PEM, b"two")
    assert chain(net, directory, changed_since_use=True) == b"one"
    net.now += 60
    assert chain(net, directory, changed_since_use=True) == b"two"
    assert net.count(PEM) == 2


@pytest.mark.spec("signature-key#7.2")
def test_documents_count_towards_the_bounds_of_the_whole(net: Net) -> None:
    directory = Directory(clock=lambda: net.now, max_entries=2, max_document_bytes=1000)
    for n in range(5):
        net.serve(f"{PEM}{n}", b"x" * 100)
        chain(net, directory, url=f"{PEM}{n}")
    assert len(directory) == 2
    net.serve(PEM, b"x" * 1001)
    with pytest.raises(UnknownKey, match="1000 bytes"):
        chain(net, directory)


def test_a_static_directory_is_told_what_stands_where(key: SigningKey) -> None:
    directory = StaticDirectory(located={URL: JWKS.of(key).to_document(), PEM: b"chain"})
    assert directory.cached(FindKeyAt(URL, "one")) == key.public
    assert directory.cached(FindCertificates(PEM)) == b"chain"
    for effect in (FindKeyAt(PEM, "one"), FindCertificates(URL), FindKeyAt(URL, "two"), FindCertificates("x")):
        with pytest.raises(UnknownKey):
            directory.cached(effect)
    with pytest.raises(InvalidKey):
        StaticDirectory(located={URL: {}})
