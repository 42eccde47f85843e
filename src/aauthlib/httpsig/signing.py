"""Signing a request (#signing-agent, #covered-components)."""

from __future__ import annotations

from collections.abc import Iterable

from ..fields import serialize
from ..http import Request
from ..keys import SigningKey
from . import fast_write
from .components import BASE_COMPONENTS, Covered, component, signature_base, signature_params
from .digest import content_digest
from .signature_key import SignatureKey, dump

__all__ = ["sign"]


def sign(
    request: Request,
    key: SigningKey,
    signature_key: SignatureKey,
    *,
    created: int,
    components: Iterable[Covered] = (),
    cover_body: bool = True,
    label: str = "sig",
    expires: int | None = None,
    keyid: str | None = None,
    nonce: str | None = None,
    tag: str | None = None,
    key_field: str | None = None,
) -> Request:
    """Sign `request` and return the signed copy; earlier signature headers are replaced.

    The signature covers `@method`, `@authority`, `@path` and `signature-key`; `authorization` when the request
    carries it; `content-digest` and `content-type` when there is a body and `cover_body` is set; and `components`.
    `created` and `expires` are Unix seconds. `signature_key` says how the verifier obtains the public part of `key`;
    `keyid` names it again, for a verifier of RFC 9421 that does not know `Signature-Key`. `nonce` and `tag` are the
    parameters of RFC 9421, Section 2.3. `key_field` is the whole `Signature-Key` header instead of one with this member
    alone, for a request that gets several signatures (`labels.sign_all`).

    `components` are names, or identifiers with parameters (`Component`), which a verifier accepts only where its policy
    says so. They may name a header field that is absent only if it is `content-digest` or `content-type`: a server
    that asks for them on every request asks for nothing where there is no body to cover.
    """
    field = key_field if key_field is not None else dump(label, signature_key)
    headers = request.headers.with_(signature_key=field, signature=None, signature_input=None)
    wanted: list[Covered] = [*BASE_COMPONENTS]
    if "authorization" in headers:
        wanted.append("authorization")
    if request.body and cover_body:
        wanted.extend(("content-digest", "content-type"))
    wanted.extend(map(component, components))
    covered = list(dict.fromkeys(wanted))
    if "content-digest" in covered and request.body:
        headers = headers.with_(content_digest=content_digest(request.body))
    for optional in ("content-digest", "content-type"):
        if optional in covered and optional not in headers:
            covered.remove(optional)
    parameters: dict[str, int | str] = {"created": created}
    if expires is not None:
        parameters["expires"] = expires
    if keyid is not None:
        parameters["keyid"] = keyid
    if nonce is not None:
        parameters["nonce"] = nonce
    if tag is not None:
        parameters["tag"] = tag
    params = signature_params(covered, parameters)
    unsigned = Request(request.method, request.url, headers, request.body)
    signature = key.sign(signature_base(unsigned, tuple(covered), params))
    member = fast_write.signature_member(label, signature) or serialize({label: (signature, {})})
    return unsigned.with_headers(signature_input=f"{label}={params}", signature=member)
