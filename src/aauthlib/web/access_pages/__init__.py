"""The access server's pages: approvals, confirming a person server, and who belongs (#ps-as-trust-establishment)."""

from .app import access_page_routes

__all__ = ["access_page_routes"]
