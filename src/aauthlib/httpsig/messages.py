"""HTTP Message Signatures on requests and responses without `Signature-Key` (RFC 9421, Sections 2.3, 3 and 4).

For who wants plain RFC 9421: any component, any parameter, several signatures, responses that cover their request,
trailers. The verifier finds the key itself, by `keyid` or otherwise. What AAuth asks of a request is in `signing` and
`verifying`, and neither knows this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from ..errors import ClockSkew, ConfigurationError, InvalidInput, InvalidSignature
from ..fields import serialize
from ..http import Request, Response
from ..keys import PublicKey, SigningKey
from .components import Component, Context, Covered, component, covers_digest, signature_base, signature_params
from .digest import verify_content_digest
from .members import canonical, covered_components, read_dictionary

__all__ = [
    "HTTP_ALGORITHMS",
    "MessagePolicy",
    "MessageSignature",
    "SignatureParameters",
    "read_signatures",
    "select_signature",
    "sign_message",
]

#: The "HTTP Signature Algorithms" registry (Section 6.2.2) with the JOSE names that keys have. No symmetric one.
HTTP_ALGORITHMS: Mapping[str, str] = {
    "ed25519": "Ed25519",
    "ecdsa-p256-sha256": "ES256",
    "ecdsa-p384-sha384": "ES384",
    "rsa-pss-sha512": "PS512",
    "rsa-v1_5-sha256": "RS256",
}

_COMPONENT_PARAMETERS = ("sf", "key", "bs", "req", "tr", "name")

M = TypeVar("M", Request, Response)


@dataclass(frozen=True, slots=True)
class SignatureParameters:
    """The parameters of a signature (Section 2.3), written in this order. Times are Unix seconds."""

    created: int | None = None
    keyid: str | None = None
    alg: str | None = None
    """A name of `HTTP_ALGORITHMS`. The key says the same, so it is best left out."""
    expires: int | None = None
    nonce: str | None = None
    tag: str | None = None

    @classmethod
    def read(cls, parsed: Mapping[str, Any]) -> SignatureParameters:
        """From the parameters of a `Signature-Input` member; unknown ones are left to others (Section 2.3).

        Raises `InvalidSignature` when one has the wrong type.
        """
        known = {name.name: parsed[name.name] for name in fields(cls) if name.name in parsed}
        for name, value in known.items():
            wanted = int if name in {"created", "expires"} else str
            if type(value) is not wanted:
                raise InvalidSignature(f"The signature parameter {name} is of the wrong type.")
        return cls(**known)

    def written(self) -> dict[str, int | str]:
        """Those that are set, in order."""
        values = ((name.name, getattr(self, name.name)) for name in fields(self))
        return {name: value for name, value in values if value is not None}


@dataclass(frozen=True, slots=True)
class MessagePolicy:
    """What a verifier asks of a signature on a message (Section 3.2.1)."""

    components: tuple[Covered, ...] = ()
    """What must be covered."""
    parameters: tuple[str, ...] = ("created",)
    """Signature parameters that must be there."""
    window_s: int | None = 60
    """How far `created` may lie from now, in seconds, either way; `None` for any."""
    tag: str | None = None
    """The `tag` of the signature to verify; `None` for any."""
    label: str | None = None
    """Its label; `None` for any. A label means nothing by itself (Section 7.2.5): prefer `tag`."""
    component_parameters: tuple[str, ...] = _COMPONENT_PARAMETERS
    """Parameters that covered components may have."""


@dataclass(frozen=True, slots=True)
class MessageSignature:
    """One signature on a message, read and NOT yet verified."""

    context: Context
    label: str
    covered: tuple[Covered, ...]
    parameters: SignatureParameters
    params: str
    """The `Signature-Input` member, serialised."""
    signature: bytes

    def verify(self, key: PublicKey) -> None:
        """Verify the signature with `key`, and each body whose `Content-Digest` is covered.

        Raises `InvalidSignature`, also when `alg` names another algorithm than the key is for (Section 3.2, step 6).
        """
        alg = self.parameters.alg
        if alg is not None and HTTP_ALGORITHMS.get(alg) != key.alg:
            raise InvalidSignature("The signature's alg and the key's algorithm differ.")
        if not key.verify(self.signature, signature_base(self.context, self.covered, self.params)):
            raise InvalidSignature("The signature does not verify under the key found for it.")
        context = self.context
        if covers_digest(self.covered):
            verify_content_digest(context.message.headers.get("content-digest") or "", context.message.body)
        if context.request is not None and covers_digest(self.covered, request=True):
            verify_content_digest(context.request.headers.get("content-digest") or "", context.request.body)


def sign_message(
    message: M,
    key: SigningKey,
    components: Iterable[Covered],
    parameters: SignatureParameters,
    *,
    label: str = "sig",
    context: Context | None = None,
) -> M:
    """`message` with one more signature, over exactly `components`; signatures it has stay (Section 4.3).

    `context` adds the request that a response answers, trailers, and types of fields; its own `message` is not looked
    at. Raises `ConfigurationError` when the label is taken or `alg` is not the key's, and `InvalidSignature` when a
    component occurs twice or has no value.
    """
    if parameters.alg is not None and HTTP_ALGORITHMS.get(parameters.alg) != key.alg:
        raise ConfigurationError(f"The key is for {key.alg}; the parameter alg names another algorithm.")
    inputs, signatures = message.headers.get("signature-input"), message.headers.get("signature")
    if label in read_dictionary(inputs or "", "Signature-Input") or label in read_dictionary(
        signatures or "", "Signature"
    ):
        raise ConfigurationError("The message has a signature of this label; choose another.")
    covered = tuple(component(name) for name in components)
    if len(set(covered)) != len(covered):
        raise InvalidSignature("A component can be covered only once.")
    params = signature_params(covered, parameters.written())
    about = _about(message, context)
    member = serialize({label: (key.sign(signature_base(about, covered, params)), {})})
    headers = message.headers.with_(
        signature_input=f"{inputs}, {label}={params}" if inputs else f"{label}={params}",
        signature=f"{signatures}, {member}" if signatures else member,
    )
    if isinstance(message, Request):
        return Request(message.method, message.url, headers, message.body)
    return Response(message.status, headers, message.body)


def _about(message: Request | Response, context: Context | None) -> Context:
    if context is None:
        return Context(message)
    return Context(message, context.request, context.trailers, context.request_trailers, context.structured)


def read_signatures(
    message: Request | Response | Context, *, component_parameters: Iterable[str] = _COMPONENT_PARAMETERS
) -> tuple[MessageSignature, ...]:
    """Every signature on `message`, in the order of `Signature-Input`, none of them verified.

    Raises `InvalidSignature` when a field is malformed or a label stands in one of the two only (Section 3.2, step 1).
    """
    context = message if isinstance(message, Context) else Context(message)
    fields_ = context.message.headers
    inputs = read_dictionary(fields_.get("signature-input") or "", "Signature-Input")
    signatures = read_dictionary(fields_.get("signature") or "", "Signature")
    if inputs.keys() != signatures.keys():
        raise InvalidSignature("Signature and Signature-Input must have the same labels.")
    accepted = tuple(component_parameters)
    found = []
    for label, member in inputs.items():
        octets = signatures[label][0]
        if not isinstance(octets, bytes):
            raise InvalidSignature("A Signature member is not a byte sequence.")
        covered = covered_components(member[0], accepted)
        parameters = SignatureParameters.read(member[1])
        found.append(MessageSignature(context, label, covered, parameters, canonical(member), octets))
    return tuple(found)


def select_signature(message: Request | Response | Context, policy: MessagePolicy, *, now: float) -> MessageSignature:
    """The first signature with the policy's tag and label, held against the policy. `now` is Unix seconds.

    The caller finds its key and calls `verify`. Raises `InvalidSignature` when there is none, it lacks a parameter, is
    stale or has expired, `ClockSkew` when it is from the future, `InvalidInput` when it does not cover what it must.
    """
    for signature in read_signatures(message, component_parameters=policy.component_parameters):
        if policy.tag in (None, signature.parameters.tag) and policy.label in (None, signature.label):
            break
    else:
        raise InvalidSignature("The message carries no signature of the kind asked for.")
    required = tuple(component(name) for name in policy.components)
    if not set(signature.covered).issuperset(required):
        names = tuple(str(name) if isinstance(name, Component) else name for name in required)
        raise InvalidInput("The signature must cover: " + ", ".join(names) + ".", required_input=names)
    given = signature.parameters.written()
    for name in policy.parameters:
        if name not in given:
            raise InvalidSignature(f"The signature lacks the parameter {name}.")
    created, expires = signature.parameters.created, signature.parameters.expires
    if created is not None and policy.window_s is not None:
        if created < now - policy.window_s:
            raise InvalidSignature(f"The signature was created more than {policy.window_s} seconds ago.")
        if created > now + policy.window_s:
            raise ClockSkew(f"created is more than {policy.window_s} seconds ahead of this side's clock.")
    if expires is not None and expires <= now:
        raise InvalidSignature("The signature's expires parameter is in the past.")
    return signature
