"""Metadata and keys of other parties: found, checked, cached (#jwks-discovery, #metadata-documents). Sans-I/O."""

from .directory import WELL_KNOWN_DOCUMENTS, Directory
from .errors import DocumentUnusable, EgressRefused, TransportError
from .lookup import Lookup
from .static import StaticDirectory

__all__ = [
    "WELL_KNOWN_DOCUMENTS",
    "Directory",
    "DocumentUnusable",
    "EgressRefused",
    "Lookup",
    "StaticDirectory",
    "TransportError",
]
