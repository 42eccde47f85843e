"""The pages on which people sign in, and look after how they do: the same for every role that has people.

A role gives its `AccountSite` (where a sign-in leads, what it says of itself) and its own pages beside these; its
templates extend `base.html` and provide `nav.html` and `words.html`. Sections: #ps-approval-endpoint-auth.
"""

from pathlib import Path

from .routing import PageRoutes
from .site import AccountSite, OtherWay, WaysIn
from .visit import Visit

__all__ = ["ACCOUNT_PAGES", "AccountSite", "OtherWay", "PageRoutes", "Visit", "WaysIn"]

#: Templates and static files of these pages, which a role's own come before.
ACCOUNT_PAGES = Path(__file__).parent
