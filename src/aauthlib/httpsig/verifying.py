"""Verifying a signed request, steps 1 to 4, 6 and 7 of #verification.

`select` makes every check that needs no key, cheapest first, and returns the signature to verify. Step 5, obtaining
the key, depends on the scheme and belongs to `aauthlib.verification`. Nothing here does I/O or reads a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import ClockSkew, InvalidInput, InvalidSignature, SignatureError, UnsupportedScheme
from ..fields import FieldError, parse_dictionary
from ..http import Request
from ..keys import DEFAULT_ALGORITHMS, PublicKey
from . import signature_key
from .components import BASE_COMPONENTS, BODY_COMPONENTS, signature_base
from .digest import verify_content_digest
from .signature_key import SignatureKey, UnknownScheme

__all__ = ["DEFAULT_WINDOW_S", "SignaturePolicy", "SignedRequest", "is_signed", "select"]

DEFAULT_WINDOW_S = 60
_MAX_LABELS = 8
_MAX_COMPONENTS = 64
_MAX_SIGNATURE_BYTES = 8192
_HEADERS = ("signature", "signature-input", "signature-key")


@dataclass(frozen=True, slots=True)
class SignaturePolicy:
    """What a verifier asks of a signature."""

    schemes: tuple[str, ...] = ("jwt",)
    """Accepted `Signature-Key` schemes, in order of preference (`Accept-Signature-Scheme`)."""
    algorithms: tuple[str, ...] = DEFAULT_ALGORITHMS
    """Accepted algorithms, exactly the set (`Accept-Signature-Alg`)."""
    window_s: int = DEFAULT_WINDOW_S
    """How far `created` may lie from now, in seconds, either way."""
    components: tuple[str, ...] = ()
    """Components required beyond the base (`additional_signature_components`)."""
    cover_body: bool = False
    """Whether a body must be covered: true at PS, AS, AP and every revocation endpoint (#covered-components)."""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request whose signature is selected, fresh and covers what it must, but is NOT yet verified."""

    request: Request
    label: str
    key: SignatureKey
    covered: tuple[str, ...]
    created: int
    params: str = field(repr=False)
    signature: bytes = field(repr=False)
    keyid: str | None = None

    def verify(self, key: PublicKey) -> None:
        """Step 7: verify the signature with `key`, and the body against a covered `Content-Digest`.

        Raises `InvalidSignature`.
        """
        base = signature_base(self.request, self.covered, self.params)
        if not key.verify(self.signature, base):
            raise InvalidSignature("The signature does not verify under the presented key.")
        if "content-digest" in self.covered:
            verify_content_digest(self.request.headers.get("content-digest") or "", self.request.body)


def is_signed(request: Request) -> bool:
    """Whether the request carries any of the three signature headers; without one it is anonymous."""
    return any(name in request.headers for name in _HEADERS)


def select(request: Request, policy: SignaturePolicy, *, now: float) -> SignedRequest:
    """Steps 1 to 4 of #verification. `now` is Unix seconds.

    Raises `InvalidSignature` (headers missing or malformed, stale `created`, `expires` past), `InvalidInput` with
    `required_input`, `ClockSkew`, `UnsupportedScheme`, `InvalidKey` or `InvalidJWT` (malformed scheme parameters).
    """
    # 1. Extract the three headers.
    values = {name: request.headers.get(name) for name in _HEADERS}
    missing = [name for name, value in values.items() if value is None]
    if missing:
        raise InvalidSignature(f"The request lacks {' and '.join(missing)}.")
    inputs = _dictionary(values["signature-input"], "Signature-Input")
    signatures = _dictionary(values["signature"], "Signature")
    keys = signature_key.parse(values["signature-key"] or "")

    # Labels are correlated by name; a label lacking in one of the three cannot be verified (HTTP Signature Keys, 3).
    labels = [label for label in inputs if label in signatures and label in keys]
    if not labels:
        raise InvalidSignature("No label stands in Signature, Signature-Input and Signature-Key alike.")
    label = _choose(labels, keys, policy)

    # 2. Covered components.
    raw_params = _member_text(values["signature-input"] or "", label)
    components, parameters = inputs[label]
    covered = _covered(components)
    required = required_components(request, policy)
    if not set(required) <= set(covered):
        raise InvalidInput(
            "The signature must cover: " + ", ".join(name for name in required if name not in covered) + ".",
            required_input=required,
        )

    # 3. created and expires.
    created = parameters.get("created")
    if not isinstance(created, int) or isinstance(created, bool):
        raise InvalidSignature("Signature-Input needs an integer created parameter.")
    if created < now - policy.window_s:
        raise InvalidSignature(f"The signature was created more than {policy.window_s} seconds ago; sign again.")
    if created > now + policy.window_s:
        raise ClockSkew(
            f"created is more than {policy.window_s} seconds ahead of this server's clock; see the Date header."
        )
    expires = parameters.get("expires")
    if expires is not None and (not isinstance(expires, int) or isinstance(expires, bool) or expires <= now):
        raise InvalidSignature("The signature's expires parameter is in the past.")

    # 4. The scheme. An unknown one and one that is not accepted here end the same way.
    key = keys[label]()
    if isinstance(key, UnknownScheme) or key.scheme not in policy.schemes:
        raise UnsupportedScheme(
            f"This server accepts the Signature-Key schemes {', '.join(policy.schemes)}.", accepted=policy.schemes
        )

    signature = signatures[label][0]
    if not isinstance(signature, bytes) or not 0 < len(signature) <= _MAX_SIGNATURE_BYTES:
        raise InvalidSignature("The Signature member is not a byte sequence of acceptable length.")
    keyid = parameters.get("keyid")
    return SignedRequest(
        request, label, key, covered, created, raw_params, signature, keyid if isinstance(keyid, str) else None
    )


def required_components(request: Request, policy: SignaturePolicy) -> tuple[str, ...]:
    """What a signature on this request must cover, in the order it is asked for (#covered-components)."""
    required = [*BASE_COMPONENTS]
    if "authorization" in request.headers and _carries_session_token(request):
        required.append("authorization")
    if request.body and policy.cover_body:
        required.extend(BODY_COMPONENTS)
    for name in policy.components:
        # A component about the body is asked for only where there is a body.
        if name not in BODY_COMPONENTS or request.body:
            required.append(name)
    return tuple(dict.fromkeys(required))


def _carries_session_token(request: Request) -> bool:
    return any(value.lstrip().lower().startswith("aauth") for value in request.headers.get_all("authorization"))


def _dictionary(value: str | None, name: str) -> Mapping[str, tuple[Any, dict[str, Any]]]:
    try:
        members = parse_dictionary(value or "")
    except FieldError as error:
        raise InvalidSignature(f"{name} is not a well-formed dictionary.") from error
    if len(members) > _MAX_LABELS:
        raise InvalidSignature(f"{name} has more than {_MAX_LABELS} signatures.")
    return members


def _choose(labels: list[str], keys: Mapping[str, Any], policy: SignaturePolicy) -> str:
    """The first label whose scheme is accepted, else the first: a member that is not selected must not matter."""
    for label in labels:
        try:
            key = keys[label]()
        except SignatureError:  # what is wrong with it is reported only if it gets selected
            continue
        if key.scheme in policy.schemes:
            return label
    return labels[0]


def _covered(components: Any) -> tuple[str, ...]:
    if not isinstance(components, list) or len(components) > _MAX_COMPONENTS:
        raise InvalidSignature("The Signature-Input member is not an inner list of acceptable length.")
    names = []
    for name, parameters in components:
        if not isinstance(name, str) or parameters:
            raise InvalidSignature("The signature covers a component with parameters, which this profile does not use.")
        names.append(name)
    if len(set(names)) != len(names) or any(name != name.lower() for name in names):
        raise InvalidSignature("Covered components must be lowercase and occur once.")
    return tuple(names)


def _member_text(value: str, label: str) -> str:
    """The text of a `Signature-Input` member exactly as received.

    The signature base ends in this text. Taking it from the wire instead of serialising the parsed value again keeps
    parameters this library does not know, in the form their signer wrote them.
    """
    depth_list, in_string, escaped, start = 0, False, False, 0
    members: list[str] = []
    for index, character in enumerate(value):
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character == "(":
            depth_list += 1
        elif character == ")":
            depth_list -= 1
        elif character == "," and depth_list == 0:
            members.append(value[start:index])
            start = index + 1
    members.append(value[start:])
    # A repeated key overwrites the earlier one (RFC 9651, Section 4.2.2), so the last counts.
    for member in reversed(members):
        name, _, text = member.strip(" \t").partition("=")
        if name == label:
            return text
    raise InvalidSignature("The Signature-Input member cannot be read.")
