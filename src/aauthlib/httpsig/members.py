"""One signature as its three headers describe it (HTTP Signature Keys, Section 3; RFC 9421, Sections 4.1 and 4.2).

`read` finds the members of `Signature-Input`, `Signature` and `Signature-Key` that belong together. What the signature
must cover and how old it may be is in `verifying`; this module judges only whether it can be read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from ..errors import InvalidSignature, SignatureError
from ..fields import DuplicateKey, FieldError, parse_dictionary, serialize
from . import signature_key
from .components import Covered, covered_component
from .signature_key import Loader

__all__ = ["MAX_COMPONENTS", "Member", "canonical", "covered_components", "read", "read_dictionary"]

_MAX_LABELS = 8
MAX_COMPONENTS = 64


class Member(msgspec.Struct, frozen=True, gc=False):
    """A label and what stands under it in the three headers."""

    label: str
    covered: tuple[Covered, ...]
    parameters: Mapping[str, Any]
    """The parameters of the `Signature-Input` member."""
    params: str
    """The `Signature-Input` member, serialised: the signature base ends in it."""
    signature: Any
    """The `Signature` member; `bytes` if its sender kept to the specification."""
    load: Loader
    """Reads the `Signature-Key` member; raises `InvalidKey` or `InvalidJWT`."""


def read(
    signature_input: str,
    signature: str,
    key: str,
    *,
    schemes: Collection[str],
    component_parameters: Collection[str] = (),
    chosen: str | None = None,
) -> Member:
    """The signature to verify: `chosen`, or the first label whose scheme is among `schemes`, else the first.

    Its components may carry the parameters in `component_parameters` and no others.

    Raises `InvalidSignature` when a header is malformed, or the chosen label, or any, does not stand in all three.
    """
    inputs = read_dictionary(signature_input, "Signature-Input")
    signatures = read_dictionary(signature, "Signature")
    keys = signature_key.parse(key)
    # Labels are correlated by name; a label lacking in one of the three cannot be verified (HTTP Signature Keys, 3).
    labels = [label for label in inputs if label in signatures and label in keys]
    if not labels:
        raise InvalidSignature("No label stands in Signature, Signature-Input and Signature-Key alike.")
    if chosen is not None and chosen not in labels:
        raise InvalidSignature("The label asked for does not stand in Signature, Signature-Input and Signature-Key.")
    label = chosen if chosen is not None else _choose(labels, keys, schemes)
    params = canonical(inputs[label])
    components, parameters = inputs[label]
    covered = covered_components(components, component_parameters)
    return Member(label, covered, parameters, params, signatures[label][0], keys[label])


def read_dictionary(value: str, name: str) -> Mapping[str, tuple[Any, dict[str, Any]]]:
    """The field `name`, with a bound on its members. Raises `InvalidSignature`.

    Also for a label that stands in it twice. Labels are unique within a message (RFC 9421, Section 4), and whoever
    reads the first, a proxy or a log, must not see another signature than the one that is verified.
    """
    try:
        members = parse_dictionary(value, unique=True)
    except DuplicateKey as error:
        raise InvalidSignature(f"{name} has one label twice; give each signature a label of its own.") from error
    except FieldError as error:
        raise InvalidSignature(f"{name} is not a well-formed dictionary.") from error
    if len(members) > _MAX_LABELS:
        raise InvalidSignature(f"{name} has more than {_MAX_LABELS} signatures.")
    return members


def _choose(labels: list[str], keys: Mapping[str, Loader], schemes: Collection[str]) -> str:
    """A member that is not selected must not matter, so what is wrong with it is reported only if it gets selected."""
    for label in labels:
        try:
            key = keys[label]()
        except SignatureError:
            continue
        if key.scheme in schemes:
            return label
    return labels[0]


def covered_components(components: Any, accepted: Collection[str]) -> tuple[Covered, ...]:
    """The covered components of a parsed `Signature-Input` member. Raises `InvalidSignature`."""
    if not isinstance(components, list) or len(components) > MAX_COMPONENTS:
        raise InvalidSignature("The Signature-Input member is not an inner list of acceptable length.")
    covered = []
    for name, parameters in components:
        if not set(parameters) <= set(accepted):
            raise InvalidSignature("The signature covers a component with parameters that are not accepted here.")
        covered.append(covered_component(name, parameters))
    if len(set(covered)) != len(covered):
        raise InvalidSignature("Covered components must be lowercase and occur once.")
    return tuple(covered)


def canonical(member: tuple[Any, Mapping[str, Any]]) -> str:
    """A parsed `Signature-Input` member serialised again, which the signature base ends in (RFC 9421, 3.2, step 7).

    White space and spellings that mean the same do not matter, and parameters this library does not know are kept.
    """
    components, parameters = member
    return serialize([(components, dict(parameters))])
