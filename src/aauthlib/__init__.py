"""aauthlib: agents that prove who they are on every HTTP request (AAuth)."""
