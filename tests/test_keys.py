"""Keys: one algorithm each, known by the key alone; published vectors; keys that prove nothing are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.base64url import b64url_decode, b64url_encode
from aauthlib.errors import AAuthError, InvalidKey, UnknownKey, UnsupportedAlgorithm
from aauthlib.keys import ALGORITHMS, JWKS, PublicKey, SigningKey, thumbprint

VECTORS = json.loads((Path(__file__).parent / "vectors" / "jose.json").read_text())
P = 2**255 - 19


@pytest.fixture(params=["Ed25519", "ES256"])
def key(request: pytest.FixtureRequest) -> SigningKey:
    return SigningKey.generate(request.param)


def public(key: SigningKey, **changes: Any) -> dict[str, Any]:
    members: dict[str, Any] = {**key.public.to_jwk(), **changes}
    return {name: value for name, value in members.items() if value is not None}


# --------------------------------------------------------------------------- vectors


@pytest.mark.spec("signature-key#3.5")
def test_the_thumbprint_of_rfc_7638_section_3_1() -> None:
    vector = VECTORS["rfc7638-3.1"]
    assert thumbprint(vector["jwk"]) == vector["thumbprint"]


@pytest.mark.spec("#signature-algorithms")
def test_the_ed25519_key_thumbprint_and_signature_of_rfc_8037_appendix_a() -> None:
    vector = VECTORS["rfc8037-A"]
    key = SigningKey.from_jwk({**vector["private"], "alg": "Ed25519"})
    assert key.thumbprint == vector["thumbprint"]
    data, signature = vector["signing_input"].encode(), b64url_decode(vector["signature"])
    assert key.sign(data) == signature
    assert PublicKey.from_jwk(public(key)).verify(signature, data)


@pytest.mark.spec("#signature-algorithms")
def test_the_es256_signature_of_rfc_7515_appendix_a_3() -> None:
    vector = VECTORS["rfc7515-A.3"]
    key = SigningKey.from_jwk({**vector["private"], "alg": "ES256"})
    data, _, signature = vector["jws"].rpartition(".")
    assert key.public.verify(b64url_decode(signature), data.encode())
    assert key.public.verify(key.sign(data.encode()), data.encode())


# --------------------------------------------------------------------------- algorithm determination


@pytest.mark.spec("signature-key#3.3", "#signature-algorithms")
@pytest.mark.parametrize(
    "alg",
    [None, "", "EdDSA", "none", "HS256", "RS256", "ES384", "Ed448", "ed25519", "es256", 5, ["Ed25519"], "ES256\n"],
)
def test_a_key_without_a_fully_specified_algorithm_is_unsupported(key: SigningKey, alg: object) -> None:
    with pytest.raises(UnsupportedAlgorithm) as raised:
        PublicKey.from_jwk(public(key, alg=alg))
    assert raised.value.accepted == ("Ed25519", "ES256")


@pytest.mark.spec("signature-key#3.3", "#signature-algorithms")
def test_a_verifier_accepts_exactly_its_own_set(key: SigningKey) -> None:
    assert PublicKey.from_jwk(public(key), accepted=(key.alg,)) == key.public
    other = ({"Ed25519", "ES256"} - {key.alg}).pop()
    with pytest.raises(UnsupportedAlgorithm):
        PublicKey.from_jwk(public(key), accepted=(other,))
    with pytest.raises(UnsupportedAlgorithm):
        PublicKey.from_jwk(public(key, alg="SLH-DSA-SHA2-128s"), accepted=("SLH-DSA-SHA2-128s",))


@pytest.mark.spec("signature-key#3.3", "#verification")
@pytest.mark.parametrize(
    "changes", [{"kty": "RSA"}, {"kty": None}, {"kty": ["OKP"]}, {"crv": "P-384"}, {"crv": None}, {"crv": 1}]
)
def test_kty_or_crv_that_disagrees_with_alg_is_an_invalid_key(key: SigningKey, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidKey):
        PublicKey.from_jwk(public(key, **changes))


@pytest.mark.spec("signature-key#3.3")
def test_the_algorithm_of_another_key_type_is_an_invalid_key(key: SigningKey) -> None:
    other = ({"Ed25519", "ES256"} - {key.alg}).pop()
    with pytest.raises(InvalidKey):
        PublicKey.from_jwk(public(key, alg=other))


# --------------------------------------------------------------------------- key material


@pytest.mark.spec("signature-key#7.1")
@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("y", [0, 1, P - 1, P, P + 1])
def test_an_ed25519_key_of_small_order_is_refused(y: int, sign: int) -> None:
    _refused((y | sign << 255).to_bytes(32, "little"))


@pytest.mark.spec("signature-key#7.1")
@pytest.mark.parametrize("sign", [0, 1])
def test_an_ed25519_key_of_order_eight_is_refused(sign: int) -> None:
    # y of the points of order 8, from the curve equation: y^4 * d + 2 * y^2 - 1 = 0 has the roots +-y.
    d = -121665 * pow(121666, -1, P) % P
    root = _square_root((1 + d) % P)
    found = 0
    for candidate in (root, P - root):
        square = (candidate - 1) * pow(d, -1, P) % P
        try:
            y = _square_root(square)
        except ValueError:
            continue
        for value in (y, P - y):
            found += 1
            _refused((value | sign << 255).to_bytes(32, "little"))
    assert found == 2


def _square_root(square: int) -> int:
    root = pow(square, (P + 3) // 8, P)
    if root * root % P != square:
        root = root * pow(2, (P - 1) // 4, P) % P
    if root * root % P != square:
        raise ValueError("not a square")
    return root


def _refused(point: bytes) -> None:
    jwk = {"kty": "OKP", "crv": "Ed25519", "alg": "Ed25519", "x": b64url_encode(point)}
    with pytest.raises(InvalidKey, match="small order"):
        PublicKey.from_jwk(jwk)


@pytest.mark.spec("signature-key#7.1")
def test_a_point_that_is_not_on_the_curve_is_an_invalid_key() -> None:
    key = SigningKey.generate("ES256")
    for x, y in (
        (b"\0" * 32, b"\0" * 32),
        (b"\xff" * 32, b"\xff" * 32),
        (b64url_decode(key.public.jwk["x"]), b"\1" * 32),
    ):
        with pytest.raises(InvalidKey):
            PublicKey.from_jwk(public(key, x=b64url_encode(x), y=b64url_encode(y)))


@pytest.mark.spec("signature-key#7.1", "#untrusted-input")
@pytest.mark.parametrize("x", [None, "", 5, "AA", "A" * 42, "A" * 44, "A" * 42 + "B", "=" * 43, "A" * 5000, "é" * 43])
def test_coordinates_are_of_the_right_length_and_canonical(key: SigningKey, x: object) -> None:
    with pytest.raises(InvalidKey):
        PublicKey.from_jwk(public(key, x=x))


@pytest.mark.spec("signature-key#7.1")
def test_a_key_that_comes_with_its_private_part_is_refused(key: SigningKey) -> None:
    with pytest.raises(InvalidKey, match="private"):
        PublicKey.from_jwk(key.to_private_jwk())


@pytest.mark.spec("signature-key#3.3")
def test_unknown_members_are_ignored_and_not_passed_on(key: SigningKey) -> None:
    read = PublicKey.from_jwk(public(key, use="sig", x5c=["..."], extra={"a": 1}, kid=["no string"]))
    assert read == key.public
    assert read.to_jwk() == key.public.to_jwk()


# --------------------------------------------------------------------------- signing and verifying


@given(st.sampled_from(["Ed25519", "ES256"]), st.binary(max_size=200), st.data())
def test_one_changed_bit_of_data_or_signature_fails(alg: str, message: bytes, data: st.DataObject) -> None:
    key = SigningKey.generate(alg)
    signature = key.sign(message)
    assert len(signature) == 64
    assert key.public.verify(signature, message)
    bit = data.draw(st.integers(0, len(signature) * 8 - 1))
    changed = (int.from_bytes(signature, "big") ^ 1 << bit).to_bytes(64, "big")
    assert not key.public.verify(changed, message)
    assert not key.public.verify(signature, message + b"\0")
    assert not SigningKey.generate(alg).public.verify(signature, message)


@given(st.sampled_from(["Ed25519", "ES256"]), st.binary(max_size=130))
def test_no_bytes_are_a_signature_and_none_make_verification_fail(alg: str, signature: bytes) -> None:
    assert not SigningKey.generate(alg).public.verify(signature, b"data")


def test_a_key_survives_being_written_and_read(key: SigningKey) -> None:
    read = SigningKey.from_jwk(json.loads(json.dumps(key.to_private_jwk())))
    assert read.public == key.public
    assert read.kid == key.kid == key.thumbprint
    assert key.public.verify(read.sign(b"x"), b"x")


def test_the_kid_it_was_made_with_is_kept() -> None:
    key = SigningKey.generate(kid="2026-11")
    assert key.kid == SigningKey.from_jwk(key.to_private_jwk()).kid == "2026-11"
    assert key.thumbprint == thumbprint(key.public.jwk)


def test_a_private_key_beside_another_public_key_is_refused(key: SigningKey) -> None:
    other = SigningKey.generate(key.alg)
    with pytest.raises(InvalidKey, match="does not belong"):
        SigningKey.from_jwk({**key.to_private_jwk(), "x": other.public.jwk["x"]})


def test_a_private_key_that_is_none_is_refused(key: SigningKey) -> None:
    for d in (None, "", "AA", b64url_encode(b"\xff" * 31), 7):
        with pytest.raises(InvalidKey):
            SigningKey.from_jwk({**key.to_private_jwk(), "d": d})
    zero = {**SigningKey.generate("ES256").to_private_jwk(), "d": b64url_encode(bytes(32))}
    with pytest.raises(InvalidKey):
        SigningKey.from_jwk(zero)


def test_a_key_is_made_only_for_algorithms_that_exist_here() -> None:
    with pytest.raises(UnsupportedAlgorithm) as raised:
        SigningKey.generate("EdDSA")
    assert raised.value.accepted == tuple(ALGORITHMS)


def test_showing_a_key_shows_nothing_private(key: SigningKey) -> None:
    assert key.to_private_jwk()["d"] not in repr(key) + str(key) + repr(key.public)


# --------------------------------------------------------------------------- thumbprints


@pytest.mark.spec("signature-key#3.5")
@pytest.mark.parametrize(
    "jwk",
    [{}, {"kty": "oct", "k": "AA"}, {"kty": "OKP", "crv": "Ed25519"}, {"kty": []}, {"kty": "RSA", "n": 1, "e": "AQAB"}],
)
def test_an_incomplete_key_has_no_thumbprint(jwk: dict[str, Any]) -> None:
    with pytest.raises(InvalidKey):
        thumbprint(jwk)


def test_keys_are_equal_when_their_thumbprints_are(key: SigningKey) -> None:
    with_kid = PublicKey.from_jwk(public(key, kid="other"))
    assert with_kid == key.public
    assert not with_kid != key.public  # noqa: SIM202
    assert hash(with_kid) == hash(key.public)
    assert key.public != SigningKey.generate(key.alg).public


# --------------------------------------------------------------------------- key sets


@pytest.mark.spec("#jwks-discovery", "signature-key#3.3")
def test_only_the_selected_member_of_a_set_has_to_be_usable(key: SigningKey) -> None:
    unusable = [{"kty": "AKP", "alg": "ML-DSA-44", "kid": "pq"}, {"kid": "broken"}, {}, {"kty": "RSA", "kid": None}]
    key_set = JWKS.parse({"keys": [*unusable, "text", 7, public(key, kid="mine")]})
    assert key_set.find("mine") == key.public
    with pytest.raises(UnsupportedAlgorithm):
        key_set.find("pq")
    with pytest.raises(UnknownKey):
        key_set.find("absent")


@pytest.mark.spec("#jwks-discovery")
@pytest.mark.parametrize("document", [None, [], {}, {"keys": {}}, {"keys": None}, "keys", 5])
def test_what_is_not_a_set_is_refused(document: object) -> None:
    with pytest.raises(InvalidKey):
        JWKS.parse(document)


@pytest.mark.spec("#jwks-discovery")
def test_a_set_is_held_up_to_a_hundred_members(key: SigningKey) -> None:
    key_set = JWKS.parse({"keys": [public(key, kid=str(n)) for n in range(150)]})
    assert key_set.find("99") == key.public
    with pytest.raises(UnknownKey):
        key_set.find("100")


@pytest.mark.spec("#jwks-discovery")
def test_a_published_set_carries_kid_and_alg_and_nothing_private(key: SigningKey) -> None:
    (member,) = JWKS.of(key).to_document()["keys"]
    assert member == {**key.public.jwk, "kid": key.thumbprint}
    assert JWKS.parse(JWKS.of(key).to_document()).find(key.kid) == key.public


@pytest.mark.spec("#untrusted-input")
@given(
    st.dictionaries(
        st.sampled_from(["kty", "crv", "x", "y", "alg", "d", "kid", "n"]),
        st.sampled_from(["OKP", "EC", "Ed25519", "P-256", "ES256", "A" * 43])
        | st.text(max_size=50)
        | st.integers()
        | st.none()
        | st.lists(st.text(max_size=2), max_size=2),
    )
)
def test_no_jwk_makes_reading_fail_otherwise_than_with_an_error_of_ours(jwk: dict[str, Any]) -> None:
    for read in (PublicKey.from_jwk, SigningKey.from_jwk, thumbprint):
        try:
            read(jwk)
        except AAuthError as error:
            assert error.detail
