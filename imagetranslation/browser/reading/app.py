"""The server of a reading: pages, answers and pixels over HTTP, for many readers at once.

Who may ask is `access`'s matter, what is kept `desks`'s, what the page is told `telling`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Optional

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ...errors import ImageTranslationError, InputError, RunFailed
from ...readerstudy.readingset import ReadingSet
from ...readerstudy.session import SIMULATED, Session
from ...readerstudy.store import Store
from ..surroundings import require_free
from . import access
from .desks import Desk, Desks, OtherCase, Patience
from .pictures import Pictures
from .telling import without_paths

logger = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
PAGE = "index.html"
_LARGEST_REQUEST = 1 << 20
_PICTURE_THREADS = 2
_STATUS = {"input": 400, "run": 503, "window": 409, "occupied": 409, "case": 409, "closed": 410}
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_FAULT = "A fault in the server; your answers so far are kept. Tell the coordinator."

Body = Mapping[str, Any]


class Reading:
    """The web application of one study. tokens: reader code to the token in the reader's link.

    public: origin of the proxy in front ("https://..."), or "" where browsers come directly. simulated: a program
    reads, and every answer is marked so; what a page says about that itself does not count.
    """

    def __init__(
        self,
        reading: ReadingSet,
        tokens: Mapping[str, str],
        store: Store,
        *,
        host: str = "127.0.0.1",
        public: str = "",
        patience: Optional[Patience] = None,
        attempts: Optional[access.Attempts] = None,
        simulated: bool = False,
    ) -> None:
        self._reading, self._public, self._simulated = reading, public, simulated
        self._readers = access.Readers(tokens)
        self._desks = Desks(reading, tokens, store, patience)
        self._pictures = Pictures(reading)
        # Their own threads: an answer never waits for somebody's pictures.
        self._drawing = ThreadPoolExecutor(_PICTURE_THREADS, thread_name_prefix="pictures")
        self._attempts = attempts or access.Attempts()
        # On one machine several studies share a host name, and so their cookies.
        self._cookie = ("__Host-" if public else "") + f"reading-{reading.sha256[:12]}"
        self.app = web.Application(
            middlewares=[access.middleware(host, public), self._sentences()], client_max_size=_LARGEST_REQUEST
        )
        self.app.cleanup_ctx.append(self._while_serving)
        self._route()

    def _route(self) -> None:
        files = {path.name: path.read_bytes() for path in STATIC.iterdir() if path.suffix in _TYPES}
        for name, content in files.items():
            self.app.router.add_get("/" if name == PAGE else f"/{name}", _static(name, content))
        self.app.router.add_post("/enter", self._enter)
        self.app.router.add_post("/open", self._open)
        self.app.router.add_post("/leave", self._leave)
        self.app.router.add_get("/images/{address}", self._images)
        for name, act in _ACTS.items():
            self.app.router.add_post(f"/{name}", self._acting(act, name in _ABOUT_A_CASE))

    # ---- requests ----

    async def _enter(self, request: web.Request) -> web.Response:
        """A link's token for a cookie."""
        address = access.caller(request, bool(self._public))
        token = (await _body(request)).get("token")
        reader = self._readers.by_token(token) if isinstance(token, str) else None
        if reader is None:
            if self._attempts.refused(address):
                return _refusal("often", access.TOO_OFTEN, 429)
            self._attempts.wrong(address)
            return _refusal("link", access.NO_LINK, 401)
        response = web.json_response({})
        response.set_cookie(
            self._cookie, self._readers.new_cookie(reader), httponly=True, samesite="Strict", path="/",
            secure=bool(self._public),
        )  # fmt: skip
        return response

    async def _open(self, request: web.Request) -> web.Response:
        desk, body = self._desk(request), await _body(request)
        previous, take_over = str(body.get("previous", "")), body.get("take_over") is True
        where = _browser(request.headers.get("User-Agent", ""))
        return web.json_response(await desk.run(lambda: desk.open(where, previous, take_over)))

    async def _leave(self, request: web.Request) -> web.Response:
        """A page that goes away can send a body, but no header of its own."""
        desk, body = self._desk(request), await _body(request)
        window = str(body.get("window", ""))
        await desk.run(lambda: desk.leave(window))
        return web.json_response({})

    async def _images(self, request: web.Request) -> web.Response:
        desk, window = self._desk(request), request.headers.get("X-Window", "")
        trial = await desk.run(lambda: desk.trial_at(window, request.match_info["address"]))
        block = await asyncio.get_running_loop().run_in_executor(self._drawing, self._pictures.block, trial)
        return web.Response(body=block, content_type="application/octet-stream")

    def _acting(self, act: Callable[[Session, Body], Any], about_a_case: bool) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            desk, window = self._desk(request), request.headers.get("X-Window", "")
            body = self._marked(await _body(request))
            trial = body.get("trial", "")
            if not isinstance(trial, str) or (about_a_case and not trial):
                raise InputError("The request does not say which case it is about.")
            try:
                state = await desk.run(lambda: desk.act(window, lambda session: act(session, body), trial))
            except OtherCase as error:
                # A request that was repeated because its answer got lost on the way: the page learns where it is.
                state = await desk.run(lambda: desk.state(window))
                return web.json_response({"kind": error.code, "text": str(error), "state": state}, status=409)
            return web.json_response({"state": state})

        return handle

    def _marked(self, body: Body) -> Body:
        """The request with the mark of a simulated reading where this is one, and without it otherwise."""
        view = body.get("view")
        own = {name: value for name, value in view.items() if name != SIMULATED} if isinstance(view, dict) else {}
        return {**body, "view": {**own, SIMULATED: True} if self._simulated else own}

    def _desk(self, request: web.Request) -> Desk:
        reader = self._readers.by_cookie(request.cookies.get(self._cookie, ""))
        if reader is None:
            raise _Refused("link", access.NO_LINK, 401)
        # The cookie is the browser's: another reader's link, opened in another tab, changes it under an open page.
        if request.headers.get("X-Reader", reader) != reader:
            raise _Refused("link", access.OTHER_READER, 409)
        return self._desks.of(reader)

    def _sentences(self) -> Middleware:
        """aiohttp middleware that makes every refusal one sentence of JSON, without a path of this machine."""

        @web.middleware
        async def in_a_sentence(request: web.Request, handler: Handler) -> web.StreamResponse:
            try:
                return await handler(request)
            except _Refused as error:
                return _refusal(error.kind, str(error), error.status)
            except ImageTranslationError as error:
                reader = self._readers.by_cookie(request.cookies.get(self._cookie, "")) or ""
                text = without_paths(str(error), self._reading, reader)
                return _refusal(error.code, text, _STATUS.get(error.code, 503))
            except web.HTTPException:
                raise
            except Exception:
                logger.exception("%s %s", request.method, request.path)
                return _refusal("fault", _FAULT, 500)

        return in_a_sentence

    async def _while_serving(self, _: web.Application) -> AsyncIterator[None]:
        watching = asyncio.get_running_loop().create_task(self._desks.watch())
        yield
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        await self._desks.close()
        self._drawing.shutdown(cancel_futures=True)


class _Refused(Exception):
    """An answer other than the one asked for: kind, sentence, HTTP status."""

    def __init__(self, kind: str, text: str, status: int) -> None:
        super().__init__(text)
        self.kind, self.status = kind, status


def _answer(session: Session, body: Body) -> None:
    session.answer(str(body.get("key", "")), body.get("value"), body["view"] or None)


def _beat(session: Session, body: Body) -> None:
    if body.get("active") is True:
        session.activity()


_ACTS: dict[str, Callable[[Session, Body], Any]] = {
    "answer": _answer,
    "next": lambda session, _: session.next(),
    "skip": lambda session, _: session.skip(),
    "back": lambda session, _: session.back(),
    "save": lambda session, _: session.save(),
    "pause": lambda session, _: session.pause(),
    "resume": lambda session, _: session.resume(),
    "beat": _beat,
}
# Without the case's token a request that comes late would count for the case after.
_ABOUT_A_CASE = ("answer", "next", "skip")


def serve_reading(
    reading: ReadingSet,
    tokens: Mapping[str, str],
    store: Store,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    public: str = "",
    simulated: bool = False,
    ready: Callable[[dict[str, str]], None],
) -> None:
    """Serve a reading until interrupted (Ctrl+C, SIGTERM); sessions are given back then.

    ready: called with reader code to link once the pages can be opened. public, simulated: see `Reading`. Raises
    InputError where the host would be reachable without encryption, RunFailed where the port is taken.
    """
    access.require_safe(host, public)
    require_free(host, port)
    application = Reading(reading, tokens, store, host=host, public=public, simulated=simulated)
    asyncio.run(_serve(application.app, tokens, host, port, public, ready))


async def _serve(
    app: web.Application,
    tokens: Mapping[str, str],
    host: str,
    port: int,
    public: str,
    ready: Callable[[dict[str, str]], None],
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl+C cancels instead
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise RunFailed(f"Port {port} on {host} cannot be used ({error.strerror}); choose another.") from error
        origin = public or f"http://localhost:{runner.addresses[0][1]}"
        ready({reader: f"{origin}/#{token}" for reader, token in tokens.items()})
        await stop.wait()
    finally:
        await runner.cleanup()


async def _body(request: web.Request) -> Body:
    """The JSON object a request carries. InputError where it is none."""
    try:
        made = json.loads(await request.read() or b"{}")
    except (ValueError, RecursionError):
        made = None
    if not isinstance(made, dict):
        raise InputError("The request is not a JSON object.")
    return made


def _static(name: str, content: bytes) -> Handler:
    async def give(_: web.Request) -> web.Response:
        return web.Response(body=content, content_type=_TYPES[Path(name).suffix], charset="utf-8")

    return give


def _refusal(kind: str, text: str, status: int) -> web.Response:
    return web.json_response({"kind": kind, "text": text}, status=status)


def _browser(agent: str) -> str:
    """A browser in two words, for the sentence about another window."""
    names = (("Firefox", "Firefox"), ("Edg/", "Edge"), ("Chrome", "Chrome"), ("Safari", "Safari"))
    systems = (("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"),
               ("Mac OS", "a Mac"), ("Linux", "Linux"))  # fmt: skip
    name = next((shown for sign, shown in names if sign in agent), "a browser")
    system = next((shown for sign, shown in systems if sign in agent), "")
    return f"{name} on {system}" if system else name
