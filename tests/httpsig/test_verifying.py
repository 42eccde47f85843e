"""Steps 1 to 4 and 7 of the verification: headers, coverage, time, scheme, signature."""

from __future__ import annotations

import dataclasses
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.errors import (
    AAuthError,
    ClockSkew,
    InvalidInput,
    InvalidJWT,
    InvalidKey,
    InvalidSignature,
    UnsupportedScheme,
)
from aauthlib.http import Fields, Request
from aauthlib.httpsig import HWK, JWKSURI, JWT, SignaturePolicy, content_digest, is_signed, select, sign
from aauthlib.keys import SigningKey

NOW = 1_800_000_000
KEY = SigningKey.generate()
POLICY = SignaturePolicy(schemes=("hwk", "jwt"))
GET = Request("GET", "https://api.example/x")
POST = Request("POST", "https://api.example/x", Fields({"content-type": "application/json"}), b'{"a":1}')


def signed(request: Request = GET, **options: object) -> Request:
    return sign(request, KEY, HWK.of(KEY.public), created=NOW, **options)  # type: ignore[arg-type]


def verify(request: Request, policy: SignaturePolicy = POLICY, *, now: float = NOW) -> None:
    select(request, policy, now=now).verify(KEY.public)


# --------------------------------------------------------------------------- 1. headers


@pytest.mark.spec("#verification")
@pytest.mark.parametrize("name", ["signature", "signature_input", "signature_key"])
def test_a_missing_header_is_an_invalid_signature_that_names_it(name: str) -> None:
    request = signed().with_headers(**{name: None})
    assert is_signed(request)
    with pytest.raises(InvalidSignature, match=name.replace("_", "-")):
        verify(request)


@pytest.mark.spec("#verification")
def test_a_request_without_any_of_the_three_is_anonymous() -> None:
    assert not is_signed(GET)
    assert all(is_signed(GET.with_headers(**{name: ""})) for name in ("signature", "signature_input", "signature_key"))


@pytest.mark.spec("#verification", "rfc9421#4.2")
@pytest.mark.parametrize(
    "value",
    [
        "sig=1",
        'sig="AA"',
        "sig=::",
        "sig=(:AA==:)",
        "sig",
        f"sig=:{'A' * 12_000}:",
        "sig=tok",
    ],
)
def test_a_signature_that_is_no_byte_sequence_is_refused(value: str) -> None:
    with pytest.raises(InvalidSignature):
        verify(signed().with_headers(signature=value))


# --------------------------------------------------------------------------- 2. covered components


@pytest.mark.spec("#covered-components", "#verification")
@pytest.mark.parametrize("missing", ["@method", "@authority", "@path", "signature-key"])
def test_a_base_component_left_out_is_invalid_input_with_all_that_is_required(missing: str) -> None:
    request = signed()
    value = (request.headers.get("signature-input") or "").replace(f'"{missing}"', '"x"')
    with pytest.raises(InvalidInput) as raised:
        verify(request.with_headers(signature_input=value, x="1"))
    assert raised.value.required_input == ("@method", "@authority", "@path", "signature-key")
    assert missing in raised.value.detail


@pytest.mark.spec("#covered-components")
def test_a_body_must_be_covered_where_the_policy_says_so() -> None:
    policy = dataclasses.replace(POLICY, cover_body=True)
    verify(signed(POST), policy)
    verify(signed(POST, cover_body=False))
    with pytest.raises(InvalidInput) as raised:
        verify(signed(POST, cover_body=False), policy)
    assert raised.value.required_input[-2:] == ("content-digest", "content-type")
    verify(signed(GET, cover_body=False), policy)


@pytest.mark.spec("#covered-components")
def test_a_body_added_to_a_request_without_one_is_refused_where_bodies_are_covered() -> None:
    policy = dataclasses.replace(POLICY, cover_body=True)
    with pytest.raises(InvalidInput):
        verify(dataclasses.replace(signed(GET), body=b"added"), policy)


@pytest.mark.spec("#covered-components")
def test_a_covered_body_cannot_be_taken_away_or_changed() -> None:
    for body in (b"", b'{"a":2}'):
        with pytest.raises(InvalidSignature, match="Content-Digest"):
            verify(dataclasses.replace(signed(POST), body=body))


@pytest.mark.spec("#covered-components", "#resource-metadata")
def test_the_additional_components_of_a_resource_are_required() -> None:
    policy = dataclasses.replace(POLICY, components=("@query", "x-tenant", "content-digest"))
    with pytest.raises(InvalidInput) as raised:
        verify(signed(GET), policy)
    assert raised.value.required_input == ("@method", "@authority", "@path", "signature-key", "@query", "x-tenant")
    request = GET.with_headers(x_tenant="t")
    verify(signed(request, components=raised.value.required_input), policy)


@pytest.mark.spec("#aauth-access", "#covered-components")
@pytest.mark.parametrize("value", ["AAuth token", "aauth token", "AAUTH\ttoken", "  AAuth token"])
def test_a_session_token_must_be_covered(value: str) -> None:
    request = signed(GET).with_headers(authorization=value)
    with pytest.raises(InvalidInput) as raised:
        verify(request)
    assert "authorization" in raised.value.required_input
    verify(signed(GET.with_headers(authorization=value)))


@pytest.mark.spec("#covered-components")
def test_an_authorization_of_another_scheme_need_not_be_covered() -> None:
    verify(signed(GET).with_headers(authorization="Bearer x"))


@pytest.mark.spec("#covered-components")
def test_a_second_session_token_beside_a_covered_one_changes_what_is_covered() -> None:
    request = signed(GET.with_headers(authorization="AAuth mine"))
    with pytest.raises(InvalidSignature):
        verify(dataclasses.replace(request, headers=request.headers.added([("authorization", "AAuth other")])))


# --------------------------------------------------------------------------- 3. time


@pytest.mark.spec("#verification", "#freshness-and-replay")
def test_created_may_be_exactly_sixty_seconds_away_and_no_more() -> None:
    verify(signed(), now=NOW + 60)
    verify(signed(), now=NOW - 60)
    with pytest.raises(InvalidSignature, match="60 seconds ago"):
        verify(signed(), now=NOW + 60.001)
    with pytest.raises(ClockSkew, match="ahead"):
        verify(signed(), now=NOW - 60.001)


@pytest.mark.spec("#resource-metadata", "#verification")
def test_the_window_is_the_servers_choice() -> None:
    policy = dataclasses.replace(POLICY, window_s=5)
    verify(signed(), policy, now=NOW + 5)
    with pytest.raises(InvalidSignature):
        verify(signed(), policy, now=NOW + 6)


@pytest.mark.spec("#signature-parameters", "#verification")
@pytest.mark.parametrize(
    "created",
    [
        "",
        ";created=1.5",
        ';created="1"',
        ";created=?1",
        ";created",
        ";created=@1800000000",
        ";created=t",
    ],
)
def test_created_must_be_an_integer(created: str) -> None:
    request = signed()
    value = (request.headers.get("signature-input") or "").replace(f";created={NOW}", created)
    with pytest.raises(InvalidSignature, match="created"):
        verify(request.with_headers(signature_input=value))


@pytest.mark.spec("#freshness-and-replay")
def test_expires_is_honoured() -> None:
    verify(signed(expires=NOW + 10), now=NOW + 9)
    for late in (10, 30):
        with pytest.raises(InvalidSignature, match="expires"):
            verify(signed(expires=NOW + 10), now=NOW + late)


@pytest.mark.spec("#freshness-and-replay")
def test_an_expires_that_is_no_integer_is_refused() -> None:
    request = signed(expires=NOW + 10)
    value = (request.headers.get("signature-input") or "").replace(f"expires={NOW + 10}", 'expires="never"')
    with pytest.raises(InvalidSignature, match="expires"):
        verify(request.with_headers(signature_input=value))


# --------------------------------------------------------------------------- 4. scheme


@pytest.mark.spec("#scheme-rejection", "#verification")
@pytest.mark.parametrize("member", ["sig=x509", "sig=cached", "sig=self-jwt", 'sig="hwk"', "sig=1", "sig=new-scheme;q"])
def test_an_unknown_scheme_is_unsupported_and_says_what_is_supported(member: str) -> None:
    with pytest.raises(UnsupportedScheme) as raised:
        verify(signed().with_headers(signature_key=member))
    assert raised.value.accepted == ("hwk", "jwt")


@pytest.mark.spec("#scheme-rejection")
def test_a_known_scheme_that_is_not_accepted_here_is_unsupported() -> None:
    request = sign(GET, KEY, JWKSURI("https://a.example", "aauth-agent.json", "k"), created=NOW)
    with pytest.raises(UnsupportedScheme):
        verify(request)


@pytest.mark.spec("#verification")
def test_coverage_and_time_are_judged_before_the_scheme() -> None:
    request = sign(GET, KEY, JWKSURI("https://a.example", "aauth-agent.json", "k"), created=NOW - 61)
    with pytest.raises(InvalidSignature):
        verify(request)


@pytest.mark.spec("#verification")
def test_malformed_parameters_of_the_selected_scheme_are_the_schemes_error() -> None:
    with pytest.raises(InvalidKey):
        verify(signed().with_headers(signature_key='sig=hwk;kid="k"'))
    with pytest.raises(InvalidJWT):
        verify(signed().with_headers(signature_key="sig=jwt"))


# --------------------------------------------------------------------------- several signatures


def combined(*requests: Request) -> Request:
    """One request with the signature headers of several, as a proxy that signs too would leave it."""
    values = {
        name.replace("-", "_"): ", ".join(request.headers.get(name) or "" for request in requests)
        for name in ("signature", "signature-input", "signature-key")
    }
    return requests[0].with_headers(**values)


@pytest.mark.spec("signature-key#3.1", "signature-key#3.2")
@pytest.mark.parametrize(
    ("label", "other"),
    [
        ("aa", "aa=x509;x=1"),
        ("zz", "zz=new-scheme"),
        ("aa", "aa=jwt"),
        ("zz", 'zz=hwk;kid="bad"'),
        ("aa", 'aa=jwks_uri;id="https://p.example";dwk="d";kid="k"'),
    ],
)
def test_a_member_that_is_not_selected_does_not_matter(label: str, other: str) -> None:
    """Both signatures cover the whole Signature-Key header, so it is put together before they are made."""
    mine = signed(GET, label="mine")
    keys = ", ".join(sorted([mine.headers.get("signature-key") or "", other]))
    request = _sign_with_header(keys, "mine")
    parts = [
        (request.headers.get("signature-input") or "", request.headers.get("signature") or ""),
        (f'{label}=("@method");created=5', f"{label}=:AAAA:"),
    ]
    for order in (parts, parts[::-1]):
        both = request.with_headers(
            signature_input=", ".join(part[0] for part in order), signature=", ".join(part[1] for part in order)
        )
        assert select(both, SignaturePolicy(schemes=("hwk",)), now=NOW).label == "mine"
        verify(both, SignaturePolicy(schemes=("hwk",)))


def _sign_with_header(signature_key: str, label: str) -> Request:
    from base64 import b64encode

    from aauthlib.httpsig.components import BASE_COMPONENTS, signature_base, signature_params

    request = GET.with_headers(signature_key=signature_key)
    params = signature_params(BASE_COMPONENTS, {"created": NOW})
    signature = KEY.sign(signature_base(request, BASE_COMPONENTS, params))
    return request.with_headers(
        signature_input=f"{label}={params}", signature=f"{label}=:{b64encode(signature).decode()}:"
    )


@pytest.mark.spec("signature-key#7.8")
def test_a_key_added_to_the_header_later_breaks_the_signature() -> None:
    thief = SigningKey.generate()
    request = combined(signed(GET, label="sig"), sign(GET, thief, HWK.of(thief.public), created=NOW, label="evil"))
    with pytest.raises(InvalidSignature):
        verify(request)


@pytest.mark.spec("signature-key#7.8")
def test_the_key_of_another_signature_cannot_be_put_under_a_label() -> None:
    thief = SigningKey.generate()
    stolen = sign(GET, thief, HWK.of(thief.public), created=NOW)
    request = signed().with_headers(signature_key=stolen.headers.get("signature-key"))
    for key in (KEY, thief):
        with pytest.raises(InvalidSignature):
            select(request, POLICY, now=NOW).verify(key.public)


# --------------------------------------------------------------------------- parameters


@pytest.mark.spec("#signature-parameters")
def test_alg_is_ignored_and_keyid_is_passed_on() -> None:
    from base64 import b64encode

    from aauthlib.httpsig.components import BASE_COMPONENTS, signature_base, signature_params

    request = GET.with_headers(signature_key=signed().headers.get("signature-key"))
    params = signature_params(BASE_COMPONENTS, {"created": NOW, "alg": "hmac-sha256", "keyid": "k", "x": 'a,"b'})
    signature = b64encode(KEY.sign(signature_base(request, BASE_COMPONENTS, params))).decode()
    request = request.with_headers(signature_input=f"sig={params}", signature=f"sig=:{signature}:")
    assert select(request, POLICY, now=NOW).keyid == "k"
    verify(request)


def test_showing_a_signed_request_shows_neither_token_nor_signature() -> None:
    request = sign(GET, KEY, JWT("head.secret-payload.sig"), created=NOW)
    selected = select(request, POLICY, now=NOW)
    assert "secret-payload" not in repr(selected)
    assert str(selected.signature) not in repr(selected)


@pytest.mark.spec("#untrusted-input")
@given(
    st.dictionaries(
        st.sampled_from(["signature", "signature-input", "signature-key", "authorization", "content-digest"]),
        st.text(max_size=40)
        | st.sampled_from(
            [
                'sig=("@method" "@authority" "@path" "signature-key");created=1800000000',
                "sig=:AAAA:",
                "sig=hwk",
                'sig=jwt;jwt="a"',
            ]
        ),
    ),
    st.binary(max_size=10),
)
def test_no_headers_make_verification_fail_otherwise(headers: dict[str, str], body: bytes) -> None:
    request = Request("POST", "https://api.example/x", Fields(headers), body)
    with pytest.raises(AAuthError):
        verify(request)


# --------------------------------------------------------------------------- components with parameters


@pytest.mark.spec("#covered-components", "rfc9421#2.2.8")
def test_a_component_with_parameters_is_refused_unless_the_policy_accepts_it() -> None:
    request = signed(Request("GET", "https://api.example/x?q=1&r=2"), components=['"@query-param";name="q"'])
    with pytest.raises(InvalidSignature, match="parameters"):
        verify(request)
    accepting = dataclasses.replace(POLICY, component_parameters=("name",))
    verify(request, accepting)
    verify(Request("GET", "https://api.example/x?r=3&q=1", request.headers), accepting)
    with pytest.raises(InvalidSignature, match="does not verify"):
        verify(Request("GET", "https://api.example/x?q=2", request.headers), accepting)


@pytest.mark.spec("#covered-components", "rfc9421#2.1.2")
def test_a_member_of_content_digest_is_checked_and_does_not_count_as_covering_the_body() -> None:
    policy = dataclasses.replace(POLICY, component_parameters=("key",))
    with_digest = POST.with_headers(content_digest=content_digest(POST.body))
    request = signed(with_digest, components=['"content-digest";key="sha-256"'], cover_body=False)
    verify(request, policy)
    with pytest.raises(InvalidSignature, match="Content-Digest"):
        verify(Request("POST", request.url, request.headers, b"{}"), policy)
    with pytest.raises(InvalidInput):
        verify(request, dataclasses.replace(policy, cover_body=True))


@pytest.mark.spec("rfc9421#2.4", "rfc9421#2.1.4")
@pytest.mark.parametrize("identifier", ['"@method";req', '"x-a";tr'])
def test_on_a_request_neither_req_nor_tr_can_be_signed_or_accepted(identifier: str) -> None:
    with pytest.raises(InvalidSignature):
        signed(components=[identifier])
    member, _, _ = (signed().headers.get("signature-input") or "").partition(")")
    request = signed().with_headers(signature_input=f"{member} {identifier});created={NOW}")
    with pytest.raises(InvalidSignature):
        verify(request, dataclasses.replace(POLICY, component_parameters=("req", "tr")))


@pytest.mark.spec("rfc9421#2.3")
def test_nonce_and_tag_are_signed_too() -> None:
    request = signed(nonce="n", tag="t")
    assert (request.headers.get("signature-input") or "").endswith(f';created={NOW};nonce="n";tag="t"')
    verify(request)
    with pytest.raises(InvalidSignature):
        verify(
            request.with_headers(signature_input=(request.headers.get("signature-input") or "").replace('"n"', '"m"'))
        )


@pytest.mark.spec("rfc9421#4.2")
@pytest.mark.parametrize(("length", "taken"), [(0, False), (1, True), (8192, True), (8193, False)])
def test_a_signature_has_a_least_and_a_greatest_length(length: int, taken: bool) -> None:
    request = signed().with_headers(signature=f"sig=:{b64encode(bytes(length)).decode('ascii')}:")

    if taken:
        assert len(select(request, POLICY, now=NOW).signature) == length
    else:
        with pytest.raises(InvalidSignature, match="acceptable length"):
            select(request, POLICY, now=NOW)
