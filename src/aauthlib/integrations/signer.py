"""`Signer`: what the client adapters share, a key and how it is presented (#signing-agent).

An adapter turns its library's request into a plain one and sets the header fields that `Signer.fields` gives. Knows no
HTTP library.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ..effects import Clock
from ..http import Request
from ..httpsig import HWK, SignatureKey, sign
from ..keys import SigningKey

__all__ = ["Signer"]

_FIELDS = ("content-digest", "signature-key", "signature-input", "signature")


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs every request with `key`.

    - `signature_key`: how the server obtains the public key: `JWKSURI(...)`, `JWT(token)`, or a function that gives the
      one to use now, for tokens that are renewed. By default the key itself is shown (`HWK`).
    - `components`: what to cover beyond the base; `cover_body`: whether a body is.
    """

    key: SigningKey = field(repr=False)
    signature_key: SignatureKey | Callable[[], SignatureKey] | None = None
    components: tuple[str, ...] = ()
    cover_body: bool = True
    clock: Clock = time.time

    def fields(self, request: Request) -> dict[str, str]:
        """The header fields that make `request` a signed one, by lowercase name.

        Raises what `httpsig.sign` raises for components the request does not have.
        """
        presented = self.signature_key() if callable(self.signature_key) else self.signature_key
        signed = sign(
            request,
            self.key,
            presented if presented is not None else HWK.of(self.key.public),
            created=int(self.clock()),
            components=self.components,
            cover_body=self.cover_body,
        )
        return {name: value for name in _FIELDS if (value := signed.headers.get(name)) is not None}
