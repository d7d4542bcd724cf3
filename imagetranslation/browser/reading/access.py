"""Who may reach a reader's pages: links with a secret token, cookies, checks of every request, limits on guessing.

A link carries its token behind `#`, which browsers keep to themselves: it stands in no log of a proxy and in no
Referer. The page hands it in once and gets a cookie that scripts cannot read and other sites cannot send.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Optional
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from ...errors import InputError
from ..guard import LOOPBACK, is_own

FOREIGN = "This address is not that of the reading; open the link you were sent."
TOO_OFTEN = "Too many wrong links from your network, and this one is wrong too. Open the link you were sent."
NO_LINK = "Open the link you were sent; this browser has no access, or no longer."
OTHER_READER = (
    "Another reader's link was opened in this browser since; nothing more is saved from this window. Open the link you "
    "were sent."
)
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), display-capture=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # no-transform: a proxy in front may not compress, which would tell images apart by their length.
    "Cache-Control": "no-store, no-transform",
    "Server": "reading",
}
_NONCE_BYTES = 16


class Readers:
    """Tells readers by their tokens and by the cookies made from them.

    tokens: reader code to token (`Key.reader_token`). A cookie is a nonce and its HMAC under the reader's token, so
    that it still holds after the server was started again, and dies with the key.
    """

    def __init__(self, tokens: Mapping[str, str]) -> None:
        self._tokens = dict(tokens)

    def by_token(self, token: str) -> Optional[str]:
        """The reader of that token. Every token is compared, each in constant time."""
        found = [reader for reader, own in self._tokens.items() if same(own, token)]
        return found[0] if found else None

    def new_cookie(self, reader: str) -> str:
        """A cookie's value for a reader."""
        nonce = secrets.token_hex(_NONCE_BYTES)
        return f"{nonce}.{_signed(self._tokens[reader], nonce)}"

    def by_cookie(self, value: str) -> Optional[str]:
        """The reader to whom that cookie was given."""
        nonce, _, signature = value.partition(".")
        found = [reader for reader, own in self._tokens.items() if same(_signed(own, nonce), signature)]
        return found[0] if found else None


class Attempts:
    """Counts wrong tokens by network address: `most` at once, then one more every `every_s` seconds.

    A right token is never refused, because a whole hospital may stand behind one address; guessing one of 128 random
    bits stays hopeless all the same. What the limit spares is work and the log.
    """

    def __init__(
        self, most: int = 10, every_s: float = 6.0, clock: Callable[[], float] = time.monotonic, known: int = 10_000
    ) -> None:
        self._most, self._every_s, self._clock, self._known = most, every_s, clock, known
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def refused(self, address: str) -> bool:
        """Whether no further attempt is heard from there now."""
        return self._level(address) > self._most - 1

    def wrong(self, address: str) -> None:
        """Count a wrong attempt."""
        self._spent[_network(address)] = (self._level(address) + 1, self._clock())
        self._spent.move_to_end(_network(address))
        while len(self._spent) > self._known:
            self._spent.popitem(last=False)

    def _level(self, address: str) -> float:
        spent, when = self._spent.get(_network(address), (0.0, 0.0))
        return max(0.0, spent - (self._clock() - when) / self._every_s)


def public_origin(address: str) -> str:
    """The origin of the address under which a proxy serves the reading; InputError unless it is one with HTTPS."""
    try:
        parts = urlsplit(address)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        raise InputError(f"{address[:200]} is no address.") from None
    if parts.scheme != "https" or not parts.hostname or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise InputError(
            f"{address[:200]} is not an address such as https://reading.example.org: encrypted, and with nothing "
            "behind the name."
        )
    return f"https://{parts.hostname}{port}"


def require_safe(host: str, public: str) -> None:
    """InputError where the reading would be offered to a network without encryption."""
    if host not in LOOPBACK and not public:
        raise InputError(
            f"Listening on {host} would send images and answers over the network unencrypted. Put a proxy with HTTPS "
            "in front and name its address with --behind-proxy https://..., or read on this machine, without --host."
        )


def caller(request: web.Request, behind_proxy: bool) -> str:
    """The network address of whoever asks; behind a proxy the one that the proxy itself appended."""
    forwarded = request.headers.getall("X-Forwarded-For", []) if behind_proxy else []
    last = forwarded[-1].rpartition(",")[2].strip() if forwarded else ""
    return last or request.remote or ""


def middleware(host: str, public: str) -> Middleware:
    """aiohttp middleware: refuses requests for other addresses and from other sites, and sets `HEADERS`."""

    @web.middleware
    async def keep_strangers_out(request: web.Request, handler: Handler) -> web.StreamResponse:
        listening = request.transport.get_extra_info("sockname") if request.transport is not None else None
        port = listening[1] if listening else 0
        response: web.StreamResponse
        if is_foreign(request, host, port, public):
            response = web.json_response({"kind": "foreign", "text": FOREIGN}, status=403)
        else:
            try:
                response = await handler(request)
            except web.HTTPException as error:  # no such page, a request that is too large
                response = web.json_response({"kind": "request", "text": error.reason}, status=error.status)
        for name, value in HEADERS.items():
            response.headers[name] = value
        if public:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        return response

    return keep_strangers_out


def is_foreign(request: web.Request, host: str, port: int, public: str) -> bool:
    """Whether a request names another server, or comes from another site's page.

    Whatever changes something must come with the Origin of this page, which a browser never leaves out there.
    """
    hosts, origins = (request.headers.getall(name, []) for name in (hdrs.HOST, hdrs.ORIGIN))
    if len(hosts) != 1 or len(origins) > 1:
        return True
    name = hosts[0].lower()
    if not is_own(name, host, port) and f"https://{name}" != public:
        return True
    if request.method not in ("GET", "HEAD") and not origins:
        return True
    own = {public} if public else {f"http://{name}"}
    if origins and origins[0].lower() not in own:
        return True
    return request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin") and (
        request.headers.get("Sec-Fetch-Mode") != "navigate"
    )


def same(one: str, other: str) -> bool:
    """Whether two texts are equal, found out in constant time."""
    return secrets.compare_digest(one.encode(), other.encode(errors="replace"))


def _signed(token: str, nonce: str) -> str:
    return hmac.new(token.encode(), f"cookie {nonce}".encode(errors="replace"), hashlib.sha256).hexdigest()


def _network(address: str) -> str:
    """An IPv4 address, or the /64 that one customer of an IPv6 network has for themselves."""
    try:
        number = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    return str(ipaddress.ip_network(f"{number}/64", strict=False)) if number.version == 6 else address
