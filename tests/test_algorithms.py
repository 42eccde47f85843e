"""Every algorithm: published vectors, one spelling of each key, sizes held, and nothing that proves nothing."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from aauthlib.algorithms import ALGORITHMS, PRIVATE_MEMBERS
from aauthlib.base64url import b64url_decode, b64url_encode
from aauthlib.errors import InvalidKey, UnsupportedAlgorithm
from aauthlib.keys import DEFAULT_ALGORITHMS, JWKS, PublicKey, SigningKey

VECTORS = json.loads((Path(__file__).parent / "vectors" / "jose.json").read_text())
SIGNATURE_BYTES = {
    "Ed25519": 64,
    "Ed448": 114,
    "ES256": 64,
    "ES384": 96,
    "ES512": 132,
    "RS256": 384,
    "RS384": 384,
    "RS512": 384,
    "PS256": 384,
    "PS384": 384,
    "PS512": 384,
    "ML-DSA-44": 2420,
    "ML-DSA-65": 3309,
    "ML-DSA-87": 4627,
}
POST_QUANTUM = ("ML-DSA-44", "ML-DSA-65", "ML-DSA-87")
RSA_FAMILY = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
ALL = pytest.mark.parametrize("alg", SIGNATURE_BYTES)
needs_mldsa = pytest.mark.skipif("ML-DSA-44" not in ALGORITHMS, reason="this cryptography has no ML-DSA")

_RSA_KEY, _OTHER_RSA_KEY = (SigningKey.generate("RS256").to_private_jwk() for _ in range(2))


@lru_cache
def key_of(alg: str) -> SigningKey:
    """A key for `alg`, always the same; the RSA family shares one, since it is slow to make."""
    if alg in POST_QUANTUM and alg not in ALGORITHMS:
        pytest.skip("this cryptography has no ML-DSA")
    return SigningKey.from_jwk({**_RSA_KEY, "alg": alg}) if alg in RSA_FAMILY else SigningKey.generate(alg)


def load(jwk: dict[str, Any]) -> PublicKey:
    return PublicKey.from_jwk(jwk, accepted=ALGORITHMS)


def number(value: int) -> str:
    return b64url_encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))


# --------------------------------------------------------------------------- all of them


def test_every_algorithm_is_tested_here() -> None:
    assert set(ALGORITHMS) | set(POST_QUANTUM) == set(SIGNATURE_BYTES)


@pytest.mark.spec("#signature-algorithms")
def test_what_is_accepted_without_configuration_has_not_grown() -> None:
    assert DEFAULT_ALGORITHMS == ("Ed25519", "ES256")


@ALL
@pytest.mark.spec("#signature-algorithms")
def test_a_signature_verifies_and_a_changed_one_does_not(alg: str) -> None:
    key = key_of(alg)
    signature = key.sign(b"data")
    assert len(signature) == SIGNATURE_BYTES[alg]
    assert key.public.verify(signature, b"data")
    assert not key.public.verify(signature, b"other")
    for wrong in (b"", signature[:-1], signature + b"\0", bytes(len(signature)), signature[:-1] + b"\xff"):
        assert wrong == signature or not key.public.verify(wrong, b"data")


@ALL
@pytest.mark.spec("#signature-algorithms")
def test_a_key_survives_being_written_down(alg: str) -> None:
    key = key_of(alg)
    again = SigningKey.from_jwk(key.to_private_jwk())
    assert again.public == key.public == load(key.public.to_jwk())
    assert key.public.verify(again.sign(b"data"), b"data")


@ALL
@pytest.mark.spec("signature-key#3.3", "#signature-algorithms")
def test_it_is_accepted_exactly_where_it_is_configured(alg: str) -> None:
    jwk = key_of(alg).public.to_jwk()
    assert PublicKey.from_jwk(jwk, accepted=(alg,)).alg == alg
    with pytest.raises(UnsupportedAlgorithm):
        PublicKey.from_jwk(jwk, accepted=tuple(name for name in ALGORITHMS if name != alg))
    if alg not in DEFAULT_ALGORITHMS:
        with pytest.raises(UnsupportedAlgorithm):
            PublicKey.from_jwk(jwk)


@ALL
@pytest.mark.spec("signature-key#3.3")
def test_a_key_of_another_kind_under_its_name_is_refused(alg: str) -> None:
    own = ALGORITHMS.get(alg)
    for other in SIGNATURE_BYTES:
        jwk = {**key_of(other).public.to_jwk(), "alg": alg}
        if own is not None and (own.kty, own.crv) == (jwk["kty"], jwk.get("crv")) and own.kty != "AKP":
            continue  # the RSA family shares keys
        if own is not None and other != alg:
            with pytest.raises(InvalidKey):
                load(jwk)


@ALL
@pytest.mark.spec("signature-key#3.3")
def test_every_public_member_is_required_in_its_one_spelling(alg: str) -> None:
    jwk = key_of(alg).public.to_jwk()
    for member in ALGORITHMS[alg].members:
        cut = None if member == "n" else jwk[member][:-1]  # a cut number is a number
        for wrong in (None, 5, "", "=", jwk[member] + "=", cut, "A" * 5000):
            with pytest.raises(InvalidKey):
                load({**jwk, member: wrong})
        octets = b64url_decode(jwk[member])
        for longer in (b"\0" + octets, octets + b"\0\0"):
            if alg in RSA_FAMILY and longer.startswith(octets) and member == "n":
                continue  # another number, odd or even
            with pytest.raises(InvalidKey):
                load({**jwk, member: b64url_encode(longer)})


@ALL
@pytest.mark.spec("signature-key#3.3")
def test_whoever_sends_a_private_key_has_lost_it(alg: str) -> None:
    key = key_of(alg)
    private = key.to_private_jwk()
    names = PRIVATE_MEMBERS & set(private)
    assert names
    for name in names:
        with pytest.raises(InvalidKey, match="private"):
            load({**key.public.to_jwk(), name: private[name]})


@ALL
def test_a_private_key_beside_another_public_key_is_refused(alg: str) -> None:
    key = key_of(alg)
    other = _OTHER_RSA_KEY if alg in RSA_FAMILY else SigningKey.generate(alg).public.to_jwk()
    members = [member for member in ALGORITHMS[alg].members if other[member] != key.public.jwk[member]]
    assert members
    with pytest.raises(InvalidKey):
        SigningKey.from_jwk({**key.to_private_jwk(), **{member: other[member] for member in members}})


@pytest.mark.spec("#signature-algorithms", "signature-key#3.3")
@pytest.mark.parametrize("alg", [None, "", "none", "None", "EdDSA", "HS256", "HS512", "RSA", "ES256K", "ed448", "PS1"])
def test_what_is_polymorphic_symmetric_or_no_algorithm_is_refused_whatever_is_configured(alg: Any) -> None:
    for jwk in (key_of("Ed448").public.to_jwk(), key_of("PS256").public.to_jwk(), {"kty": "oct", "k": "AAAA"}):
        with pytest.raises(UnsupportedAlgorithm):
            PublicKey.from_jwk({**jwk, "alg": alg}, accepted=(*ALGORITHMS, "none", "EdDSA", "HS256", str(alg)))
        without = {name: value for name, value in jwk.items() if name != "alg"}
        with pytest.raises(UnsupportedAlgorithm):
            PublicKey.from_jwk(without, accepted=ALGORITHMS)


# --------------------------------------------------------------------------- vectors


@pytest.mark.spec("#signature-algorithms")
def test_the_rs256_signature_of_rfc_7515_appendix_a_2() -> None:
    vector = VECTORS["rfc7515-A.2"]
    data, _, signature = vector["jws"].rpartition(".")
    assert load({**vector["public"], "alg": "RS256"}).verify(b64url_decode(signature), data.encode())
    assert not load({**vector["public"], "alg": "PS256"}).verify(b64url_decode(signature), data.encode())


@pytest.mark.spec("#signature-algorithms")
def test_the_es512_signature_of_rfc_7515_appendix_a_4() -> None:
    vector = VECTORS["rfc7515-A.4"]
    key = SigningKey.from_jwk({**vector["private"], "alg": "ES512"})
    data, _, signature = vector["jws"].rpartition(".")
    assert key.public.verify(b64url_decode(signature), data.encode())


@pytest.mark.spec("#signature-algorithms")
def test_the_ed448_signature_of_rfc_8032_section_7_4() -> None:
    vector = VECTORS["rfc8032-7.4"]
    x, d = (b64url_encode(bytes.fromhex(vector[name])) for name in ("public", "secret"))
    key = SigningKey.from_jwk({"kty": "OKP", "crv": "Ed448", "alg": "Ed448", "x": x, "d": d})
    assert key.sign(b"") == bytes.fromhex(vector["signature"])
    assert key.public.verify(bytes.fromhex(vector["signature"]), b"")


@needs_mldsa
@pytest.mark.spec("#signature-algorithms")
def test_the_ml_dsa_key_and_thumbprint_of_rfc_9964() -> None:
    vector = VECTORS["rfc9964-ml-dsa-44"]
    algorithm = ALGORITHMS["ML-DSA-44"]
    jwk = algorithm.dump_private(algorithm.load_private({"priv": vector["priv"]}))
    assert jwk["pub"].startswith(vector["pub_starts"])
    assert jwk["pub"].endswith(vector["pub_ends"])
    assert load({"kty": "AKP", "alg": "ML-DSA-44", "pub": jwk["pub"]}).thumbprint == vector["thumbprint"]


# --------------------------------------------------------------------------- keys that prove nothing or cost too much


@pytest.mark.spec("signature-key#7.1")
@pytest.mark.parametrize("sign", [0, 0x80])
@pytest.mark.parametrize("y", [0, 1, -2, -1])
def test_an_ed448_key_of_small_order_or_in_a_second_spelling_is_refused(y: int, sign: int) -> None:
    p = 2**448 - 2**224 - 1
    value = {-2: p - 1, -1: p + 1}.get(y, y)
    with pytest.raises(InvalidKey):
        load(
            {
                "kty": "OKP",
                "crv": "Ed448",
                "alg": "Ed448",
                "x": b64url_encode(value.to_bytes(56, "little") + bytes([sign])),
            }
        )


@pytest.mark.spec("signature-key#7.1")
@pytest.mark.parametrize("alg", RSA_FAMILY)
def test_an_rsa_key_is_neither_too_small_to_be_safe_nor_too_large_to_be_affordable(alg: str) -> None:
    n = int.from_bytes(b64url_decode(_RSA_KEY["n"]), "big")
    honest = {"kty": "RSA", "alg": alg, "e": "AQAB", "n": _RSA_KEY["n"]}
    assert load(honest)
    for wrong in (2**1023 + 1, 2**2046 + 1, 2**8192 + 1, n + 1):
        with pytest.raises(InvalidKey, match="modulus"):
            load({**honest, "n": number(wrong)})
    for exponent in (1, 3, 17, 65536, 65538, 2**32 + 1):
        with pytest.raises(InvalidKey, match="exponent"):
            load({**honest, "e": number(exponent)})


def test_a_private_rsa_key_is_complete_and_consistent() -> None:
    for member in ("d", "p", "q", "dp", "dq", "qi"):
        with pytest.raises(InvalidKey):
            SigningKey.from_jwk({name: value for name, value in _RSA_KEY.items() if name != member})
    with pytest.raises(InvalidKey, match="belong together"):
        SigningKey.from_jwk({**_RSA_KEY, "d": number(65537)})
    with pytest.raises(InvalidKey, match="two primes"):
        SigningKey.from_jwk({**_RSA_KEY, "oth": []})


@pytest.mark.parametrize(("alg", "size"), [("ES256", 32), ("ES384", 48), ("ES512", 66)])
def test_a_point_off_the_curve_and_a_private_key_out_of_range_are_refused(alg: str, size: int) -> None:
    jwk = key_of(alg).to_private_jwk()
    y = b64url_encode(bytes(size - 1) + b"\1")
    public = {name: value for name, value in jwk.items() if name != "d"}
    with pytest.raises(InvalidKey, match="not a point"):
        load({**public, "y": y})
    for d in (bytes(size), b"\xff" * size):
        with pytest.raises(InvalidKey, match="out of range"):
            SigningKey.from_jwk({**jwk, "d": b64url_encode(d)})


# --------------------------------------------------------------------------- side by side


@needs_mldsa
@pytest.mark.spec("#jwks-discovery")
def test_an_issuer_publishes_a_post_quantum_key_beside_a_classical_one() -> None:
    classical, quantum = SigningKey.generate(kid="2026"), SigningKey.generate("ML-DSA-65", kid="2026-pq")
    published = json.loads(json.dumps(JWKS.of(quantum, classical).to_document()))

    old, new = JWKS.parse(published), JWKS.parse(published)

    assert old.find("2026") == classical.public
    with pytest.raises(UnsupportedAlgorithm):
        old.find("2026-pq")
    assert new.find("2026-pq", accepted=("ML-DSA-65",)) == quantum.public
