"""The person server's pages: first run, sign-in, consent, agents, security."""

from .app import person_page_routes

__all__ = ["person_page_routes"]
