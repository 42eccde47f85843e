"""What is fuzzed: one function a target, from bytes to nothing. Needs no fuzzer.

A target passes if it returns or raises what the function it calls documents: an `AAuthError`, or the `ValueError` named
here. Everything else is a finding, and so is a broken promise (an `AssertionError` from here) and time: see `check`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import thread_time

import msgspec

from aauthlib import identifiers, jws
from aauthlib.base64url import b64url_decode, b64url_encode
from aauthlib.cli.inspecting import inspect_request, parse_captured_request
from aauthlib.discovery import Directory
from aauthlib.discovery.records import decode_object
from aauthlib.effects import FindKey, Send
from aauthlib.errors import AAuthError, parse_problem
from aauthlib.fields import FieldError, parse_dictionary, parse_list
from aauthlib.http import Fields, Request, Response
from aauthlib.httpsig import SelfJWT, SignaturePolicy, fast_read, members, select, signature_key, verify_content_digest
from aauthlib.httpsig.components import Component, Context, component
from aauthlib.httpsig.messages import MessagePolicy, read_signatures, select_signature
from aauthlib.httpsig.replay import replay_digest
from aauthlib.httpsig.requesting import fulfil, parse_accept_signature, serialize_accept_signature
from aauthlib.keys import ALGORITHMS, JWKS, PublicKey
from aauthlib.messages import bodies, codes, headers, problems
from aauthlib.messages.metadata import (
    AccessServerMetadata,
    AgentProviderMetadata,
    PersonServerMetadata,
    ResourceMetadata,
    dump_metadata,
    read_metadata,
)
from aauthlib.messages.requirement import Requirement
from aauthlib.tokens import AgentToken, AuthToken, PersonToken, ResourceToken, VerificationPolicy, profile
from aauthlib.tokens.jkt import verify_jkt_jwt
from aauthlib.verification import Caller, authenticate
from aauthlib.verification.certificates import read_pem
from aauthlib.verification.self_jwt import by_self_jwt
from aauthlib.verification.support import Verification

from .altered import alter
from .parties import (
    AGENT_KEY,
    CERTIFIED_KEY,
    DURABLE_KEY,
    ISSUER_KEY,
    NOW,
    PROVIDER,
    REQUESTS,
    RESOURCE,
    drive,
    support,
)
from .served import middleware

__all__ = ["SECONDS_AT_LEAST", "SECONDS_PER_BYTE", "TARGETS", "TooSlow", "check"]

#: Time of the processor an input may take: this much, and so much more for each of its bytes.
SECONDS_AT_LEAST, SECONDS_PER_BYTE = 0.050, 2e-6

SCHEMES = ("jwt", "hwk", "jkt-jwt", "jwks_uri", "jwks", "self-jwt", "x509", "cached")
COMPONENT_PARAMETERS = ("sf", "key", "bs", "req", "tr", "name")
SIGNATURE = SignaturePolicy(schemes=SCHEMES, component_parameters=COMPONENT_PARAMETERS)
SUPPORT = support()
TOKEN = VerificationPolicy()
TOKEN_TYPES = (AgentToken, PersonToken, ResourceToken, AuthToken)
METADATA_TYPES = (AgentProviderMetadata, PersonServerMetadata, AccessServerMetadata, ResourceMetadata)
#: The requests as signed: nothing else was ever signed with these keys.
SIGNED_BASES = frozenset(
    select(request, SIGNATURE, now=NOW, label=label).base()
    for request in REQUESTS
    for label in signature_key.parse(request.headers.get("signature-key") or "")
)
SIGNED = select(REQUESTS[9], SIGNATURE, now=NOW)
AT = Verification(NOW, SIGNATURE, TOKEN, (AgentToken, PersonToken, AuthToken), None, SUPPORT)
KEYS = (AGENT_KEY.public, DURABLE_KEY.public, ISSUER_KEY.public, CERTIFIED_KEY.public)


class TooSlow(AssertionError):
    """An input that takes longer than its length allows."""


def check(target: str, data: bytes) -> None:
    """Run one input. Raises what escapes from the target, and `TooSlow` if it is slow three times in a row."""
    run, limit = TARGETS[target], SECONDS_AT_LEAST + SECONDS_PER_BYTE * len(data)
    took = 0.0
    for _ in range(3):
        began = thread_time()
        run(data)
        took = thread_time() - began
        if took <= limit:
            return
    raise TooSlow(f"{target}: {len(data)} bytes took {took * 1e3:.0f} ms, more than {limit * 1e3:.0f} ms.")


def _call(function: Callable[..., object], *arguments: object, **named: object) -> object:
    """The result, or `None` where an AAuth error says why there is none."""
    try:
        return function(*arguments, **named)
    except AAuthError as error:
        str(error)
        return None


def _field_lines(data: bytes) -> tuple[Fields, bytes]:
    """`name: value` lines, and after an empty line the body. Decoded as servers decode them."""
    head, _, body = data.partition(b"\n\n")
    lines = [line.decode("latin-1").partition(":") for line in head.split(b"\n") if line]
    return Fields([(name, value.strip(" \t")) for name, _, value in lines]), body


# ------------------------------------------------------------------------- headers


def header_fields(data: bytes) -> None:
    """Every reader of a header field, over a block of them."""
    fields, body = _field_lines(data)
    for name in ("accept-signature-scheme", "accept-signature-alg"):
        headers.accepted_tokens(fields, name)
    headers.parse_capabilities(fields)
    _call(headers.parse_access, fields)
    _call(headers.parse_session_token, fields)
    error = headers.parse_signature_error(fields)
    if error is not None and not error.members():
        again = headers.parse_signature_error(Fields({"signature-error": headers.serialize_signature_error(error)}))
        assert type(again) is type(error)
    assert 0 <= headers.parse_prefer_wait(fields, most_s=50) <= 50
    wait_s = headers.parse_retry_after(fields, now=NOW, default_s=5.0)
    assert 0.0 <= wait_s < 1e12
    for name, value in fields:
        if name == "aauth-requirement":
            _call(Requirement.parse, value)
        elif name == "signature-key":
            _signature_key(value)
        elif name == "content-digest":
            _call(verify_content_digest, value, body)
        else:
            for parse in (parse_dictionary, parse_list):
                with suppress(FieldError):
                    parse(value)
    for status in (401, 402, 429, 503):
        problems.error_of(Response(status, fields, body))


def _signature_key(value: str) -> None:
    loaders = _call(signature_key.parse, value)
    if not isinstance(loaders, dict):
        return
    for loader in loaders.values():
        key = _call(loader)
        if isinstance(key, signature_key.HWK):
            _call(PublicKey.from_jwk, key.jwk, accepted=ALGORITHMS)


def signature_headers(data: bytes) -> None:
    """`Signature-Input`, `Signature`, `Signature-Key`, a line each. The fast reader must agree with the general one."""
    lines = [line.decode("latin-1") for line in data.split(b"\n")[:3]]
    signature_input, signature, key = lines + [""] * (3 - len(lines))
    fast = fast_read.read(signature_input, signature, key)
    general = _call(
        members.read, signature_input, signature, key, schemes=SCHEMES, component_parameters=COMPONENT_PARAMETERS
    )
    if fast is None:
        return
    assert isinstance(general, members.Member), "only the fast reader reads this"
    for name in ("label", "covered", "parameters", "params", "signature"):
        assert getattr(fast, name) == getattr(general, name), name
    assert _call(fast.load) == _call(general.load), "load"


def verification(data: bytes) -> None:
    """A valid request, altered. Who gets in signed exactly what was verified, or signed it again."""
    altered = alter(data)
    _call(select, altered.request, SIGNATURE, now=NOW)
    for label in (None, "gateway"):
        flow = authenticate(
            altered.request,
            now=NOW,
            signature=SIGNATURE,
            tokens=TOKEN,
            accepted=(AgentToken, PersonToken, AuthToken),
            support=SUPPORT,
            label=label,
        )
        caller = _call(drive, flow)
        if isinstance(caller, Caller) and caller.signed is not None:
            assert caller.key in KEYS
            replay_digest(caller.signed, caller.key)
            assert altered.resigned or caller.signed.base() in SIGNED_BASES, "a forgery was accepted"


def messages(data: bytes) -> None:
    """Plain RFC 9421: the first byte says what is signed, the rest is its fields, then its trailers or its body."""
    kind, (fields, rest) = data[:1], _field_lines(data[1:])
    trailers, body = _field_lines(rest)
    asked = REQUESTS[6]
    message: Request | Response = Request("POST", f"{RESOURCE}/a?b=c&d=%C3%A9&b=e+f", fields, body)
    if kind and kind[0] & 1:
        message = Response(200, fields, body)
    context = Context(message, asked if isinstance(message, Response) else None, trailers)
    found = _call(read_signatures, context)
    for signature in found if isinstance(found, tuple) else ():
        _call(signature.verify, AGENT_KEY.public)
        for name in signature.covered:
            assert component(str(name) if isinstance(name, Component) else name) == name
    for policy in (MessagePolicy(), MessagePolicy(("@method", '"content-digest";req'), ("keyid",), None, "tag")):
        _call(select_signature, context, policy, now=NOW)
    for name, value in fields:
        if name == "accept-signature":
            _accept_signature(value, message, context)


def _accept_signature(value: str, message: Request | Response, context: Context) -> None:
    try:
        asked = parse_accept_signature(value)
    except FieldError:
        return
    assert not asked or parse_accept_signature(serialize_accept_signature(asked)) == asked
    try:
        fulfilled = fulfil(message, asked, AGENT_KEY, now=NOW, context=context)
    except AAuthError:
        return
    about = Context(fulfilled, context.request, context.trailers)
    found = _call(read_signatures, about)
    for signature in found if isinstance(found, tuple) else ():
        if signature.label in {wanted.label for wanted in asked}:
            _call(signature.verify, AGENT_KEY.public)


# ------------------------------------------------------------------------- tokens


def _read_token(text: str) -> None:
    for cls in TOKEN_TYPES:
        _call(profile.read, text, cls, now=NOW, policy=TOKEN)
    _call(profile.read, text, *TOKEN_TYPES, now=NOW, policy=VerificationPolicy(dev=True, iat_window_s=None))
    _call(verify_jkt_jwt, text, now=NOW, policy=TOKEN)


def jwt_text(data: bytes) -> None:
    """A token as it arrives."""
    text = data.decode("latin-1")
    parsed = _call(jws.parse, text)
    if isinstance(parsed, jws.JWS):
        assert parsed.signing_input + b"." + b64url_encode(parsed.signature).encode() == data, "two spellings"
    _read_token(text)
    _call(drive, profile.verify(text, *TOKEN_TYPES, now=NOW, policy=TOKEN))


def jwt_claims(data: bytes) -> None:
    """Header and claims, a line each, made into a token that its issuer (or, for `jkt-jwt`, the key) signed."""
    header, _, payload = data.partition(b"\n")
    key = DURABLE_KEY if b"jkt-" in header else ISSUER_KEY
    signing_input = f"{b64url_encode(header)}.{b64url_encode(payload)}"
    text = f"{signing_input}.{b64url_encode(key.sign(signing_input.encode()))}"
    _read_token(text)
    _call(drive, by_self_jwt(SelfJWT(text), SIGNED, AT))
    token = _call(drive, profile.verify(text, *TOKEN_TYPES, now=NOW, policy=TOKEN))
    if isinstance(token, profile.Token):
        assert token.exp > NOW and token.typ == json.loads(header)["typ"]
        repr(token)


# ------------------------------------------------------------------------- documents


def documents(data: bytes) -> None:
    """A metadata document or a key set, as it was fetched."""
    document = _call(decode_object, data, "The document")
    if not isinstance(document, dict):
        return
    issuer = document.get("issuer")
    for dev in (False, True):
        for cls in METADATA_TYPES:
            metadata = _call(read_metadata, cls, document, issuer=issuer if isinstance(issuer, str) else "", dev=dev)
            if isinstance(metadata, cls):
                written = dump_metadata(metadata)
                assert dump_metadata(read_metadata(cls, written, issuer=metadata.issuer, dev=dev)) == written
    keys = _call(JWKS.parse, document)
    if isinstance(keys, JWKS):
        for member in keys.members[:8]:
            kid = member.get("kid")
            key = _call(keys.find, kid if isinstance(kid, str) else "", accepted=ALGORITHMS)
            if isinstance(key, PublicKey):
                assert PublicKey.from_jwk(key.to_jwk(), accepted=ALGORITHMS) == key
                assert not key.verify(bytes(64), data)


def discovery(data: bytes) -> None:
    """What an issuer's server answers: response fields, then metadata, then after a blank line its keys."""
    fields, rest = _field_lines(data)
    metadata, _, keys = rest.partition(b"\n\n")
    directory = Directory(clock=lambda: float(NOW))
    for kid in ("issuer-1", "other"):
        flow = directory.find_key(FindKey(PROVIDER, "aauth-agent.json", kid))
        response = None
        try:
            for _ in range(8):
                effect = flow.send(response)
                assert isinstance(effect, Send) and effect.discovery
                body = metadata if "/.well-known/" in effect.request.url else keys
                response = Response(200, fields, body)
            raise AssertionError("one lookup fetched eight times")
        except StopIteration as end:
            assert isinstance(end.value, PublicKey)
        except AAuthError:
            pass


def certificates(data: bytes) -> None:
    """A certificate chain, as it was fetched."""
    chain = _call(read_pem, data)
    if isinstance(chain, list) and chain:
        _call(SUPPORT.certificates.judge, chain, now=NOW, accepted=tuple(ALGORITHMS))


_BODIES = tuple(
    cls
    for cls in vars(bodies).values()
    if isinstance(cls, type) and issubclass(cls, msgspec.Struct) and cls.__module__ == bodies.__name__
)


def json_bodies(data: bytes) -> None:
    """The body of a request or a response, as each of them."""
    for cls in _BODIES:
        _call(bodies.decode, cls, data)
    for status in (400, 403, 410, 500):
        parse_problem(status, data)
        response = problems.error_response(problems.error_of(Response(status, Fields(), data)))
        assert 400 <= response.status < 600


# ------------------------------------------------------------------------- the rest


def captured_request(data: bytes) -> None:
    """A request as text, as `aauth inspect` reads it."""
    text = data.decode("utf-8", "replace")
    for origin in (None, "https://resource.example"):
        request = _call(parse_captured_request, text, origin=origin)
        if request is not None:
            _call(drive, inspect_request(request, now=None, clock=lambda: float(NOW), dev=False))


def identifier_texts(data: bytes) -> None:
    """Identifiers, URLs, codes, base64url: what passes is one spelling, and stays as it is."""
    text = data.decode("utf-8", "replace")
    for dev in (False, True):
        for parse in (
            identifiers.server_identifier,
            identifiers.https_url,
            identifiers.endpoint_url,
            identifiers.callback_url,
            identifiers.AgentIdentifier.parse,
        ):
            value = _call(parse, text, dev=dev)
            assert value is None or str(value) == text
    code = _call(codes.normalize_code, text)
    assert code is None or codes.normalize_code(str(code)) == code
    try:
        octets = b64url_decode(text)
    except ValueError:
        return
    assert b64url_encode(octets) == text


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "headers": header_fields,
    "signature": signature_headers,
    "verification": verification,
    "messages": messages,
    "certificates": certificates,
    "jwt": jwt_text,
    "claims": jwt_claims,
    "documents": documents,
    "discovery": discovery,
    "bodies": json_bodies,
    "captured": captured_request,
    "middleware": middleware,
    "identifiers": identifier_texts,
}
