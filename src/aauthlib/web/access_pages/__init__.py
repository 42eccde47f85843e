"""The access server's pages: approvals, confirming a person server, and who belongs (#ps-as-trust-establishment)."""

from .app import access_page_routes

__all__ = ["ACCESS_BASE", "access_page_routes"]

#: Where the endpoints and pages are of an access server that is a person server too.
ACCESS_BASE = "/access"
