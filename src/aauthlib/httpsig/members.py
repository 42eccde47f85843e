"""One signature as its three headers describe it (HTTP Signature Keys, Section 3; RFC 9421, Sections 4.1 and 4.2).

`read` finds the members of `Signature-Input`, `Signature` and `Signature-Key` that belong together. What the signature
must cover and how old it may be is in `verifying`; this module judges only whether it can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from ..errors import InvalidSignature, SignatureError
from ..fields import FieldError, parse_dictionary
from . import signature_key
from .signature_key import SignatureKey, UnknownScheme

__all__ = ["MAX_COMPONENTS", "Member", "read"]

_MAX_LABELS = 8
MAX_COMPONENTS = 64


class Member(msgspec.Struct, frozen=True, gc=False):
    """A label and what stands under it in the three headers."""

    label: str
    covered: tuple[str, ...]
    parameters: Mapping[str, Any]
    """The parameters of the `Signature-Input` member."""
    params: str
    """The `Signature-Input` member exactly as received: the signature base ends in it."""
    signature: Any
    """The `Signature` member; `bytes` if its sender kept to the specification."""
    load: Callable[[], SignatureKey | UnknownScheme]
    """Reads the `Signature-Key` member; raises `InvalidKey` or `InvalidJWT`."""


def read(signature_input: str, signature: str, key: str, *, schemes: Collection[str]) -> Member:
    """The signature to verify: the first label whose scheme is among `schemes`, else the first.

    Raises `InvalidSignature` when a header is malformed or no label stands in all three.
    """
    inputs = _dictionary(signature_input, "Signature-Input")
    signatures = _dictionary(signature, "Signature")
    keys = signature_key.parse(key)
    # Labels are correlated by name; a label lacking in one of the three cannot be verified (HTTP Signature Keys, 3).
    labels = [label for label in inputs if label in signatures and label in keys]
    if not labels:
        raise InvalidSignature("No label stands in Signature, Signature-Input and Signature-Key alike.")
    label = _choose(labels, keys, schemes)
    params = _text(signature_input, label)
    components, parameters = inputs[label]
    return Member(label, _covered(components), parameters, params, signatures[label][0], keys[label])


def _dictionary(value: str, name: str) -> Mapping[str, tuple[Any, dict[str, Any]]]:
    try:
        members = parse_dictionary(value)
    except FieldError as error:
        raise InvalidSignature(f"{name} is not a well-formed dictionary.") from error
    if len(members) > _MAX_LABELS:
        raise InvalidSignature(f"{name} has more than {_MAX_LABELS} signatures.")
    return members


def _choose(labels: list[str], keys: Mapping[str, Any], schemes: Collection[str]) -> str:
    """A member that is not selected must not matter, so what is wrong with it is reported only if it gets selected."""
    for label in labels:
        try:
            key = keys[label]()
        except SignatureError:
            continue
        if key.scheme in schemes:
            return label
    return labels[0]


def _covered(components: Any) -> tuple[str, ...]:
    if not isinstance(components, list) or len(components) > MAX_COMPONENTS:
        raise InvalidSignature("The Signature-Input member is not an inner list of acceptable length.")
    names = []
    for name, parameters in components:
        if not isinstance(name, str) or parameters:
            raise InvalidSignature("The signature covers a component with parameters, which this profile does not use.")
        names.append(name)
    if len(set(names)) != len(names) or any(name != name.lower() for name in names):
        raise InvalidSignature("Covered components must be lowercase and occur once.")
    return tuple(names)


def _text(value: str, label: str) -> str:
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
