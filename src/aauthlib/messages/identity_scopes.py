"""Identity scopes (#scopes): scopes about the person rather than the resource, and the claims each releases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["IDENTITY_SCOPES", "released_claims"]

IDENTITY_SCOPES: dict[str, tuple[str, ...]] = {
    "openid": (),
    "profile": ("name", "nickname", "preferred_username", "picture", "website", "locale", "zoneinfo"),
    "email": ("email", "email_verified"),
    "phone": ("phone_number", "phone_number_verified"),
    "address": ("address",),
}


def released_claims(scopes: Iterable[str], claims: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a person's `claims` that granted identity scopes release."""
    names = [name for scope in scopes for name in IDENTITY_SCOPES.get(scope, ())]
    return {name: claims[name] for name in names if name in claims}
