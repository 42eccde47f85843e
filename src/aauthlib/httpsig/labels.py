"""Several signatures on one request, one for each label (HTTP Signature Keys, Sections 3.1, 3.2 and 7.8).

`Signature-Key` is complete before the first signature is made and every signature covers it, so that no key can be
added, removed or exchanged afterwards. `verifying.select` and `verification.authenticate_all` take the label to verify.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..errors import ConfigurationError
from ..http import Request
from ..keys import SigningKey
from .components import Covered
from .signature_key import SignatureKey, dump_all
from .signing import sign

__all__ = ["LabelledSigner", "sign_all"]


@dataclass(frozen=True, slots=True)
class LabelledSigner:
    """One of the parties that sign a request."""

    label: str
    key: SigningKey = field(repr=False)
    signature_key: SignatureKey
    components: tuple[Covered, ...] = ()
    """Covered beyond what `sign` covers."""
    tag: str | None = None


def sign_all(request: Request, signers: Iterable[LabelledSigner], *, created: int, cover_body: bool = True) -> Request:
    """Sign `request` once for each of `signers` and return the signed copy; earlier signature headers are replaced.

    `created` is Unix seconds. Raises `ConfigurationError` when two have one label or there is none.
    """
    signers = tuple(signers)
    keys = {signer.label: signer.signature_key for signer in signers}
    if not signers or len(keys) != len(signers):
        raise ConfigurationError("Several signatures on one request need a label each.")
    key_field = dump_all(keys)
    signed = [
        sign(
            request,
            signer.key,
            signer.signature_key,
            created=created,
            components=signer.components,
            cover_body=cover_body,
            label=signer.label,
            tag=signer.tag,
            key_field=key_field,
        ).headers
        for signer in signers
    ]
    # They differ in nothing but the two headers that each signature adds.
    joined = {
        name: ", ".join(headers.get(name) or "" for headers in signed) for name in ("signature-input", "signature")
    }
    headers = signed[0].with_(signature_input=joined["signature-input"], signature=joined["signature"])
    return Request(request.method, request.url, headers, request.body)
