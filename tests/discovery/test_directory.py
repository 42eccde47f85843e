"""Discovery of metadata and keys, with the clock in the test's hand."""

from __future__ import annotations

import itertools

import pytest

from aauthlib.discovery import Directory, DocumentUnusable, TransportError
from aauthlib.effects import FindKey, FindMetadata
from aauthlib.errors import InvalidKey, IssuerMismatch, IssuerMissing, UnknownKey, UnsupportedAlgorithm
from aauthlib.keys import JWKS, SigningKey

from .conftest import DWK, ISSUER, KEYS, METADATA, Net


@pytest.fixture
def directory(net: Net) -> Directory:
    return Directory(clock=lambda: net.now)


@pytest.mark.spec("signature-key#3.6", "#jwks-discovery")
def test_a_key_is_found_through_the_issuers_metadata(net: Net, directory: Directory, key: SigningKey) -> None:
    net.publish(key)
    found = net.find(directory, "one")
    assert found == key.public
    assert found.kid == "one"
    assert net.fetched == [METADATA, KEYS]


@pytest.mark.spec("#jwks-discovery")
def test_a_key_at_hand_is_not_fetched_again(net: Net, directory: Directory, key: SigningKey) -> None:
    net.publish(key)
    for _ in range(3):
        assert net.find(directory, "one") == key.public
    assert net.fetched == [METADATA, KEYS]


@pytest.mark.spec("#metadata-documents")
@pytest.mark.parametrize("other", ["https://agent.example/", "https://Agent.example", "https://evil.example", 7, None])
def test_metadata_of_another_issuer_is_refused_byte_for_byte(
    net: Net, directory: Directory, key: SigningKey, other: object
) -> None:
    net.publish(key)
    net.serve(METADATA, {"issuer": other, "jwks_uri": KEYS})
    with pytest.raises(IssuerMismatch):
        net.find(directory, "one")
    assert net.fetched == [METADATA]


@pytest.mark.spec("#metadata-documents")
def test_metadata_without_an_issuer_is_refused(net: Net, directory: Directory) -> None:
    net.serve(METADATA, {"jwks_uri": KEYS})
    with pytest.raises(IssuerMissing):
        net.find(directory, "one")
    with pytest.raises(IssuerMissing):
        net.drive(directory.find_metadata(FindMetadata(ISSUER, DWK)))
    assert net.fetched == [METADATA]


@pytest.mark.spec("#metadata-documents")
def test_a_host_that_starts_to_name_another_issuer_is_no_longer_believed(
    net: Net, directory: Directory, key: SigningKey
) -> None:
    net.publish(key)
    net.find(directory, "one")
    net.serve(METADATA, {"issuer": "https://evil.example", "jwks_uri": KEYS})
    net.now += 2 * 3600
    for _ in range(2):
        with pytest.raises(IssuerMismatch):
            net.find(directory, "one")


@pytest.mark.spec("#metadata-documents")
def test_metadata_is_returned_as_a_copy(net: Net, directory: Directory, key: SigningKey) -> None:
    net.publish(key)
    effect = FindMetadata(ISSUER, DWK)
    document = net.drive(directory.find_metadata(effect))
    document["issuer"] = "https://evil.example"
    cached = directory.cached(effect)
    assert isinstance(cached, dict)
    assert cached["issuer"] == ISSUER
    assert net.fetched == [METADATA]


@pytest.mark.spec("#jwks-discovery")
def test_an_unknown_kid_causes_one_fetch_a_minute_at_most(net: Net, directory: Directory, key: SigningKey) -> None:
    net.publish(key)
    net.find(directory, "one")
    for second in range(600):
        net.now += 1
        with pytest.raises(UnknownKey):
            net.find(directory, f"guess-{second}")
    assert net.count(KEYS) == 1 + 10


@pytest.mark.spec("#jwks-discovery")
def test_a_new_kid_is_found_once_the_floor_allows(net: Net, directory: Directory, key: SigningKey) -> None:
    new = SigningKey.generate(kid="two")
    net.publish(key)
    net.find(directory, "one")
    net.publish(key, new)
    net.now += 59
    with pytest.raises(UnknownKey):
        net.find(directory, "two")
    net.now += 1
    assert net.find(directory, "two") == new.public


@pytest.mark.spec("#jwks-discovery")
def test_a_new_kid_is_found_at_a_jwks_uri_that_moved(net: Net, directory: Directory, key: SigningKey) -> None:
    new = SigningKey.generate(kid="two")
    net.publish(key)
    net.find(directory, "one")
    moved = f"{ISSUER}/new-keys.json"
    net.serve(METADATA, {"issuer": ISSUER, "jwks_uri": moved})
    net.serve(moved, JWKS.of(new).to_document())
    net.now += 61
    assert net.find(directory, "two") == new.public


@pytest.mark.spec("#jwks-discovery")
def test_a_key_replaced_under_its_kid_is_found_when_the_old_one_failed(
    net: Net, directory: Directory, key: SigningKey
) -> None:
    new = SigningKey.generate(kid="one")
    net.publish(key)
    net.find(directory, "one")
    net.publish(new)
    net.now += 61
    assert net.find(directory, "one") == key.public
    assert net.find(directory, "one", changed_since_use=True) == new.public
    assert net.find(directory, "one") == new.public


@pytest.mark.spec("#jwks-discovery")
def test_a_failed_signature_does_not_lift_the_floor(net: Net, directory: Directory, key: SigningKey) -> None:
    net.publish(key)
    net.find(directory, "one")
    for _ in range(59):
        net.now += 1
        assert net.find(directory, "one", changed_since_use=True) == key.public
    assert net.count(KEYS) == 1


@pytest.mark.spec("#jwks-discovery")
def test_an_attempt_that_failed_counts_for_the_floor(net: Net, directory: Directory, key: SigningKey) -> None:
    net.publish(key)
    del net.answers[KEYS]
    for _ in range(59):
        with pytest.raises(UnknownKey, match="unreachable"):
            net.find(directory, "one")
        net.now += 1
    assert net.count(KEYS) == 1
    net.publish(key)
    net.now += 1
    assert net.find(directory, "one") == key.public


@pytest.mark.spec("#jwks-discovery")
def test_failures_in_a_row_are_retried_ever_more_slowly(net: Net, directory: Directory, key: SigningKey) -> None:
    net.publish(key)
    net.find(directory, "one")
    del net.answers[KEYS]
    tried: list[float] = []
    for _ in range(0, 20_000, 10):
        net.now += 10
        before = net.count(KEYS)
        with pytest.raises(UnknownKey):
            net.find(directory, "two")
        if net.count(KEYS) > before:
            tried.append(net.now)
    gaps = [round(later - earlier) for earlier, later in itertools.pairwise(tried)]
    assert gaps == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]


@pytest.mark.spec("#jwks-discovery")
def test_the_set_held_is_used_when_a_fetch_fails(net: Net, directory: Directory, key: SigningKey) -> None:
    net.publish(key)
    net.find(directory, "one")
    net.answers.clear()
    net.now += 5 * 3600
    assert net.find(directory, "one") == key.public
    assert net.count(KEYS) == 2


@pytest.mark.spec("#jwks-discovery")
@pytest.mark.parametrize("headers", [{}, {"cache-control": "max-age=31536000, immutable"}])
def test_a_set_is_discarded_after_24_hours_whatever_its_headers_say(
    net: Net, directory: Directory, key: SigningKey, headers: dict[str, str]
) -> None:
    net.publish(key, headers=headers)
    net.find(directory, "one")
    net.answers.clear()
    net.now += 86_399
    assert net.find(directory, "one") == key.public
    net.now += 1
    with pytest.raises(UnknownKey):
        net.find(directory, "one")


@pytest.mark.spec("#jwks-discovery")
def test_cache_headers_of_the_key_set_are_respected(net: Net, directory: Directory, key: SigningKey) -> None:
    net.publish(key, headers={"cache-control": "max-age=300"})
    net.find(directory, "one")
    net.now += 299
    net.find(directory, "one")
    assert net.count(KEYS) == 1
    net.now += 1
    net.find(directory, "one")
    assert net.count(KEYS) == 2


@pytest.mark.spec("#jwks-discovery")
def test_a_set_that_must_not_be_stored_is_still_fetched_once_a_minute(
    net: Net, directory: Directory, key: SigningKey
) -> None:
    net.publish(key, headers={"cache-control": "no-store"})
    for _ in range(60):
        net.find(directory, "one")
        net.now += 1
    assert net.count(KEYS) == 1
    net.find(directory, "one")
    assert net.count(KEYS) == 2


@pytest.mark.spec("#jwks-discovery")
def test_an_issuer_of_two_roles_is_asked_once_for_its_one_key_set(
    net: Net, directory: Directory, key: SigningKey
) -> None:
    net.publish(key)
    net.serve(f"{ISSUER}/.well-known/aauth-resource.json", {"issuer": ISSUER, "jwks_uri": KEYS})
    net.find(directory, "one")
    net.find(directory, "one", dwk="aauth-resource.json")
    assert net.count(KEYS) == 1


@pytest.mark.spec("#jwks-discovery", "signature-key#7.4")
def test_members_of_the_set_that_cannot_be_used_do_no_harm(net: Net, directory: Directory, key: SigningKey) -> None:
    net.publish(key)
    future = {"kid": "pq", "kty": "AKP", "alg": "SLH-DSA-SHA2-128s", "pub": "AAAA"}
    bare = {"kid": "bare", "kty": "OKP", "crv": "Ed25519", "x": key.public.jwk["x"]}
    broken = {"kid": "broken", "kty": "OKP", "crv": "Ed25519", "x": "AA", "alg": "Ed25519"}
    usable = key.public.to_jwk(kid="one")
    net.serve(KEYS, {"keys": [future, bare, broken, 7, {"kid": 7}, usable]})
    assert net.find(directory, "one") == key.public
    for kid, error in (("pq", UnsupportedAlgorithm), ("bare", UnsupportedAlgorithm), ("broken", InvalidKey)):
        with pytest.raises(error):
            net.find(directory, kid)
    assert net.count(KEYS) == 1


@pytest.mark.spec("signature-key#7.3")
def test_a_key_set_on_another_host_is_refused(net: Net, directory: Directory, key: SigningKey) -> None:
    elsewhere = "https://keys.example/jwks.json"
    net.serve(METADATA, {"issuer": ISSUER, "jwks_uri": elsewhere})
    net.serve(elsewhere, JWKS.of(key).to_document())
    with pytest.raises(UnknownKey, match=r"keys\.example"):
        net.find(directory, "one")
    assert net.fetched == [METADATA]


@pytest.mark.spec("signature-key#7.3")
@pytest.mark.parametrize("admitted", [True, ["keys.example"]])
def test_a_key_set_on_another_host_is_accepted_where_the_deployment_admits_it(
    net: Net, key: SigningKey, admitted: list[str] | bool
) -> None:
    elsewhere = "https://keys.example/jwks.json"
    net.serve(METADATA, {"issuer": ISSUER, "jwks_uri": elsewhere})
    net.serve(elsewhere, JWKS.of(key).to_document())
    directory = Directory(clock=lambda: net.now, allow_cross_origin_jwks=True if admitted is True else ["keys.example"])
    assert net.find(directory, "one") == key.public


@pytest.mark.spec("#endpoint-and-other-urls", "signature-key#7.3")
@pytest.mark.parametrize(
    "jwks_uri",
    [
        "http://agent.example/jwks.json",
        "https://127.0.0.1/jwks.json",
        "file:///etc/passwd",
        "https://u@agent.example",
        7,
    ],
)
def test_a_jwks_uri_that_is_not_https_is_not_fetched(net: Net, directory: Directory, jwks_uri: object) -> None:
    net.serve(METADATA, {"issuer": ISSUER, "jwks_uri": jwks_uri})
    with pytest.raises(UnknownKey, match="jwks_uri"):
        net.find(directory, "one")
    assert net.fetched == [METADATA]


@pytest.mark.spec("#server-identifiers", "signature-key#7.3")
@pytest.mark.parametrize(
    "issuer",
    ["http://agent.example", "https://127.0.0.1", "https://agent.example:8443", "https://localhost", "", "x" * 9999],
)
def test_an_issuer_that_is_no_server_identifier_is_not_asked_and_not_remembered(
    net: Net, directory: Directory, issuer: str
) -> None:
    with pytest.raises(UnknownKey):
        net.find(directory, "one", issuer=issuer)
    assert net.fetched == []
    assert len(directory) == 0


@pytest.mark.spec("#metadata-documents", "signature-key#7.3")
@pytest.mark.parametrize("dwk", ["../secrets", "aauth-agent.json?x", "openid-configuration", ""])
def test_a_document_that_is_no_aauth_metadata_is_not_asked_for(net: Net, directory: Directory, dwk: str) -> None:
    with pytest.raises(UnknownKey):
        net.find(directory, "one", dwk=dwk)
    assert net.fetched == []


@pytest.mark.spec("signature-key#7.3")
@pytest.mark.parametrize("status", [301, 302, 307, 308, 404, 500, 204])
def test_only_status_200_is_a_document(net: Net, directory: Directory, key: SigningKey, status: int) -> None:
    net.publish(key)
    net.serve(METADATA, {"issuer": ISSUER, "jwks_uri": KEYS}, status=status, headers={"location": METADATA})
    with pytest.raises(DocumentUnusable):
        net.drive(directory.find_metadata(FindMetadata(ISSUER, DWK)))
    with pytest.raises(UnknownKey):
        net.find(directory, "one")
    assert net.fetched == [METADATA]


@pytest.mark.spec("signature-key#7.1")
@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"keys":7}', b'{"keys":{}}', b"1e999"],
)
def test_a_key_set_that_is_none_is_refused(net: Net, directory: Directory, key: SigningKey, body: bytes) -> None:
    net.publish(key)
    net.serve(KEYS, body)
    with pytest.raises(UnknownKey):
        net.find(directory, "one")


@pytest.mark.spec("#metadata-documents")
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"\xff", b"[" * 100_000])
def test_metadata_that_is_none_is_refused(net: Net, directory: Directory, body: bytes) -> None:
    net.serve(METADATA, body)
    with pytest.raises(DocumentUnusable):
        net.drive(directory.find_metadata(FindMetadata(ISSUER, DWK)))


@pytest.mark.spec("signature-key#7.3")
def test_a_document_over_the_size_bound_is_refused(net: Net, key: SigningKey) -> None:
    net.publish(key)
    net.serve(METADATA, {"issuer": ISSUER, "jwks_uri": KEYS, "name": "x" * 1000})
    directory = Directory(clock=lambda: net.now, max_document_bytes=1000)
    with pytest.raises(DocumentUnusable, match="1000 bytes"):
        net.drive(directory.find_metadata(FindMetadata(ISSUER, DWK)))


@pytest.mark.spec("#metadata-documents")
def test_unreachable_metadata_is_a_transport_error(net: Net, directory: Directory) -> None:
    for _ in range(2):
        with pytest.raises(TransportError, match="unreachable"):
            net.drive(directory.find_metadata(FindMetadata(ISSUER, DWK)))
    assert net.fetched == [METADATA]


@pytest.mark.spec("#metadata-documents")
def test_metadata_without_keys_can_be_found_but_no_key_in_it(net: Net, directory: Directory) -> None:
    net.serve(METADATA, {"issuer": ISSUER})
    assert net.drive(directory.find_metadata(FindMetadata(ISSUER, DWK))) == {"issuer": ISSUER}
    with pytest.raises(UnknownKey, match="jwks_uri"):
        net.find(directory, "one")


@pytest.mark.spec("signature-key#7.2")
def test_the_cache_holds_a_bounded_number_of_issuers_and_forgets_the_longest_unused(net: Net, key: SigningKey) -> None:
    directory = Directory(clock=lambda: net.now, max_entries=3)
    issuers = [f"https://a{number}.example" for number in range(4)]
    for issuer in issuers:
        net.serve(f"{issuer}/.well-known/{DWK}", {"issuer": issuer, "jwks_uri": f"{issuer}/jwks.json"})
        net.serve(f"{issuer}/jwks.json", JWKS.of(key).to_document())
    for issuer in (*issuers[:3], issuers[0], issuers[3]):
        net.find(directory, "one", issuer=issuer)
    assert len(directory) == 3
    asked = [directory.cached(FindKey(issuer, DWK, "one")) is not None for issuer in issuers]
    assert asked == [True, False, True, True]


@pytest.mark.spec("signature-key#7.2")
def test_the_cache_holds_a_bounded_number_of_bytes(net: Net, key: SigningKey) -> None:
    directory = Directory(clock=lambda: net.now, max_bytes=50_000)
    for number in range(20):
        issuer = f"https://a{number}.example"
        document = {"issuer": issuer, "jwks_uri": f"{issuer}/jwks.json", "name": "x" * 9000}
        net.serve(f"{issuer}/.well-known/{DWK}", document)
        net.serve(f"{issuer}/jwks.json", JWKS.of(key).to_document())
        assert net.find(directory, "one", issuer=issuer) == key.public
    assert len(directory) == 5


@pytest.mark.spec("#server-identifiers")
def test_the_development_profile_finds_issuers_on_this_machine(net: Net, key: SigningKey) -> None:
    issuer = "http://agent.localhost:8001"
    net.serve(f"{issuer}/.well-known/{DWK}", {"issuer": issuer, "jwks_uri": f"{issuer}/jwks.json"})
    net.serve(f"{issuer}/jwks.json", JWKS.of(key).to_document())
    assert net.find(Directory(clock=lambda: net.now, dev=True), "one", issuer=issuer) == key.public
    with pytest.raises(UnknownKey):
        net.find(Directory(clock=lambda: net.now), "one", issuer=issuer)


def test_a_clock_that_is_set_back_does_not_lock_an_issuer_out(net: Net, directory: Directory, key: SigningKey) -> None:
    net.publish(key)
    net.find(directory, "one")
    net.now -= 10 * 86_400
    assert net.find(directory, "one") == key.public


def test_a_small_step_back_of_the_clock_keeps_the_floor(net: Net, directory: Directory, key: SigningKey) -> None:
    net.publish(key)
    net.find(directory, "one")
    net.now -= 2
    assert net.find(directory, "one") == key.public
    assert net.count(KEYS) == 1
