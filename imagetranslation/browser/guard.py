"""Who may talk to the viewer: only pages it served itself, opened at its own address with this run's secret.

Any site a person visits can make their browser send requests to this machine, and patient images are shown here. So a
foreign `Host` is refused (DNS rebinding), a foreign `Origin` is refused (cross-site WebSockets), and the secret keeps
out other people of the same machine. trame's own protocol checks the secret of each connection; this file does the
rest. Encryption is left to a tunnel or a proxy.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
import socket
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlencode

from aiohttp import hdrs, web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# Names of this machine that a browser never asks a name server for.
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
EVERY_INTERFACE = ("", "0.0.0.0", "::")
FOREIGN_HOST = "The viewer does not answer to this address; open the one it printed when it started."
FOREIGN_ORIGIN = "Another page may not reach the viewer."
NO_SECRET = "This address lacks the secret of this run; open the whole address the viewer printed when it started."
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[0-9a-z._-]+)(?::(?P<port>[0-9]{1,5}))?")


def new_secret() -> str:
    """192 random bits, as text that an address can hold."""
    return secrets.token_urlsafe(24)


def page_address(host: str, port: int, secret: str) -> str:
    """The address to open. host: what the server listens on; the secret goes where trame's client looks for it."""
    name = "localhost" if host in (*EVERY_INTERFACE, "127.0.0.1") else _bracketed(host)
    return f"http://{name}:{port}/?{urlencode({'secret': secret})}"


def is_own(value: str, host: str, port: int) -> bool:
    """Whether the value of a `Host` header names this server, which listens on `host` and `port`.

    On every interface also the machine's own name and any address given in figures, which no name server can point
    elsewhere.
    """
    match = _HOST.fullmatch(value.lower())
    if match is None or int(match["port"] or 80) != port:
        return False
    name = match["name"]
    if name in (*LOOPBACK, _bracketed(host.lower())):
        return True
    return host in EVERY_INTERFACE and (name == socket.gethostname().lower() or _in_figures(name))


def refusal(hosts: Sequence[str], origins: Sequence[str], host: str, port: int) -> str | None:
    """None, or one sentence why a request with those `Host` and `Origin` headers is refused.

    A browser sends exactly one Host, and an Origin with every WebSocket; what is no browser may leave the Origin out,
    because it still needs the secret. The Origin has to be the very address asked: its own page, nothing beside it.
    """
    if len(hosts) != 1 or not is_own(hosts[0], host, port):
        return FOREIGN_HOST
    if any(origin.lower() != f"http://{hosts[0].lower()}" for origin in origins):
        return FOREIGN_ORIGIN
    return None


def middleware(host: str, secret: str) -> Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]:
    """aiohttp middleware that answers 403 and a sentence to strangers, and to whoever opens the page without `secret`.

    Scripts and styles are given without the secret: they are the same for everybody and hold no image.
    """

    @web.middleware
    async def keep_strangers_out(request: web.Request, handler: Handler) -> web.StreamResponse:
        listening = request.transport.get_extra_info("sockname") if request.transport is not None else None
        port = listening[1] if listening else 0
        hosts, origins = (request.headers.getall(name, []) for name in (hdrs.HOST, hdrs.ORIGIN))
        why = refusal(hosts, origins, host, port)
        is_page = request.path.lower().endswith(("/", ".html", ".htm"))
        if why is None and is_page and not _same(request.query.get("secret", ""), secret):
            why = NO_SECRET
        if why is not None:
            return web.Response(status=403, text=why)
        response = await handler(request)
        if is_page:
            response.headers[hdrs.CACHE_CONTROL] = "no-store"
        return response

    return keep_strangers_out


def _same(given: str, secret: str) -> bool:
    return secrets.compare_digest(given.encode(errors="replace"), secret.encode())


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _in_figures(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
