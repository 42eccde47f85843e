"""Verifying a signed request, steps 1 to 4, 6 and 7 of #verification.

`select` makes every check that needs no key, cheapest first, and returns the signature to verify. Step 5, obtaining
the key, depends on the scheme and belongs to `aauthlib.verification`. Nothing here does I/O or reads a clock.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from ..errors import ClockSkew, InvalidInput, InvalidSignature, UnsupportedAlgorithm, UnsupportedScheme
from ..http import Request
from ..keys import DEFAULT_ALGORITHMS, PublicKey
from . import fast_read, members
from .components import BASE_COMPONENTS, BODY_COMPONENTS, Covered, covers_digest, signature_base
from .digest import verify_content_digest
from .signature_key import SignatureKey, UnknownScheme

__all__ = ["DEFAULT_WINDOW_S", "SignaturePolicy", "SignedRequest", "is_signed", "select"]

DEFAULT_WINDOW_S = 60
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
    component_parameters: tuple[str, ...] = ()
    """Parameters that covered components may have (RFC 9421, Section 2.1: `sf`, `key`, `bs`, `name`). The profile
    uses none, so none is accepted unless it is named here; `req` and `tr` cannot be satisfied on a request."""


class SignedRequest(msgspec.Struct, frozen=True, gc=False):
    """A request whose signature is selected, fresh and covers what it must, but is NOT yet verified."""

    request: Request
    label: str
    key: SignatureKey
    covered: tuple[Covered, ...]
    created: int
    params: str
    signature: bytes
    keyid: str | None = None

    def __repr__(self) -> str:
        return f"SignedRequest({self.request!r}, {self.key!r}, covered={self.covered!r}, created={self.created!r})"

    def base(self) -> bytes:
        """What was signed (RFC 9421, Section 2.5)."""
        return signature_base(self.request, self.covered, self.params)

    def check_key(self, key: PublicKey, policy: SignaturePolicy) -> None:
        """Step 6: whether `key`, wherever it came from, is one this verifier accepts, and the one `keyid` names.

        Raises `UnsupportedAlgorithm` or `InvalidSignature`.
        """
        if key.alg not in policy.algorithms:
            raise UnsupportedAlgorithm(
                f"The key's alg is {key.alg}; this side accepts {', '.join(policy.algorithms)}.",
                accepted=policy.algorithms,
            )
        if self.keyid is not None and self.keyid not in {key.kid, key.thumbprint}:
            raise InvalidSignature("keyid and Signature-Key name different keys.")

    def verify(self, key: PublicKey) -> None:
        """Step 7: verify the signature with `key`, and the body against a covered `Content-Digest`.

        A body that is still arriving (`Request.streams`) is left to whoever reads it. Raises `InvalidSignature`.
        """
        if not key.verify(self.signature, self.base()):
            raise InvalidSignature("The signature does not verify under the presented key.")
        if covers_digest(self.covered) and not self.request.streams:
            verify_content_digest(self.request.headers.get("content-digest") or "", self.request.body)


def is_signed(request: Request) -> bool:
    """Whether the request carries any of the three signature headers; without one it is anonymous."""
    fields = request.headers
    return "signature" in fields or "signature-input" in fields or "signature-key" in fields


def select(request: Request, policy: SignaturePolicy, *, now: float, label: str | None = None) -> SignedRequest:
    """Steps 1 to 4 of #verification. `now` is Unix seconds; `label` chooses one of several signatures.

    Raises `InvalidSignature` (headers missing or malformed, stale `created`, `expires` past), `InvalidInput` with
    `required_input`, `ClockSkew`, `UnsupportedScheme`, `InvalidKey` or `InvalidJWT` (malformed scheme parameters).
    """
    # 1. Extract the three headers.
    fields = request.headers
    signature_field, input_field = fields.get("signature"), fields.get("signature-input")
    key_field = fields.get("signature-key")
    if signature_field is None or input_field is None or key_field is None:
        missing = [name for name in _HEADERS if name not in fields]
        raise InvalidSignature(f"The request lacks {' and '.join(missing)}.")
    member = fast_read.read(input_field, signature_field, key_field)
    if member is None or (label is not None and member.label != label):
        member = members.read(
            input_field,
            signature_field,
            key_field,
            schemes=policy.schemes,
            component_parameters=policy.component_parameters,
            chosen=label,
        )
    covered, parameters = member.covered, member.parameters

    # 2. Covered components.
    required = required_components(request, policy)
    if covered != required and not set(covered).issuperset(required):
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
    key = member.load() if member.load.scheme in policy.schemes else None
    if key is None or isinstance(key, UnknownScheme):
        raise UnsupportedScheme(
            f"This server accepts the Signature-Key schemes {', '.join(policy.schemes)}.", accepted=policy.schemes
        )

    signature = member.signature
    if not isinstance(signature, bytes) or not 0 < len(signature) <= _MAX_SIGNATURE_BYTES:
        raise InvalidSignature("The Signature member is not a byte sequence of acceptable length.")
    keyid = parameters.get("keyid")
    if not isinstance(keyid, str):
        keyid = None
    return SignedRequest(request, member.label, key, covered, created, member.params, signature, keyid)


def required_components(request: Request, policy: SignaturePolicy) -> tuple[str, ...]:
    """What a signature on this request must cover, in the order it is asked for (#covered-components)."""
    has_body = request.streams or bool(request.body)
    if not (has_body or policy.components or "authorization" in request.headers):
        return BASE_COMPONENTS
    required = [*BASE_COMPONENTS]
    if "authorization" in request.headers and _carries_session_token(request):
        required.append("authorization")
    if has_body and policy.cover_body:
        required.extend(BODY_COMPONENTS)
    for name in policy.components:
        # A component about the body is asked for only where there is a body.
        if name not in BODY_COMPONENTS or has_body:
            required.append(name)
    return tuple(dict.fromkeys(required))


def _carries_session_token(request: Request) -> bool:
    return any(value.lstrip().lower().startswith("aauth") for value in request.headers.get_all("authorization"))
