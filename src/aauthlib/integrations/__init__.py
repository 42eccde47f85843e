"""Other people's libraries and frameworks, one module each: importing one needs the library it is named for.

The clients (`httpx2`, `requests`, `aiohttp`) sign every request and meet no challenge; `aauthlib.Agent` does that. The
servers (`asgi`, `wsgi`) verify signatures and say who signed; `web.resource.AAuthMiddleware` climbs the trust ladder.
"""
