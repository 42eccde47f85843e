"""ASGI applications of the server roles: they translate between HTTP and the roles, and decide nothing."""
