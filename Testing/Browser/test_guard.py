"""Strangers are kept away from the viewer: foreign hosts, foreign pages, and whoever lacks the secret of the run."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from imagetranslation.browser import guard

from .conftest import a_server


@dataclass(frozen=True)
class Served:
    """A running viewer, and requests to it written by hand."""

    port: int
    secret: str

    def get(self, path: str, *headers: tuple[str, str]) -> tuple[int, str]:
        """Status and text of a GET with exactly those headers; {port} stands for the port."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value.format(port=self.port))
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()

    def page(self, host: str = "localhost:{port}") -> tuple[int, str]:
        return self.get(f"/index.html?secret={self.secret}", ("Host", host))

    def shake_hands(self, host: str = "localhost:{port}", origin: str | None = None) -> int:
        """Status of a request to open a WebSocket: 101 when it is opened."""
        headers = [
            ("Host", host), ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ]  # fmt: skip
        return self.get("/ws", *headers, *([("Origin", origin)] if origin is not None else []))[0]

    def ask(self, secret: object) -> tuple[dict, dict]:
        """The answers to the greeting with that secret and to asking for the page's state."""
        return asyncio.run(self._ask(secret))

    async def _ask(self, secret: object) -> tuple[dict, dict]:
        import aiohttp
        import msgpack
        from wslink.chunking import UnChunker, generate_chunks

        def message(name: str, method: str, *args: object) -> dict:
            return {"wslink": "1.0", "id": name, "method": method, "args": list(args), "kwargs": {}}

        greeting = message("system:c0:0", "wslink.hello", {"secret": secret})
        question = message("rpc:c0:1", "trame.state.get")
        address = f"http://127.0.0.1:{self.port}/ws"
        whole = UnChunker()
        whole.set_max_message_size(2**26)
        async with aiohttp.ClientSession() as session, session.ws_connect(address, max_msg_size=0) as socket:

            async def answer_to(sent: dict) -> dict:
                for chunk in generate_chunks(msgpack.packb(sent), 0):
                    await socket.send_bytes(chunk)
                while True:
                    answer = whole.process_chunk(await asyncio.wait_for(socket.receive_bytes(), 10))
                    if answer is not None and answer.get("id") == sent["id"]:
                        return answer

            return await answer_to(greeting), await answer_to(question)


@pytest.fixture(scope="module")
def the_viewer(drawing, repository: Path) -> Iterator[Served]:
    with a_server(repository) as printed:
        address = urlsplit(printed)
        assert address.port is not None
        yield Served(address.port, parse_qs(address.query)["secret"][0])


@pytest.mark.parametrize("host", ["localhost:{port}", "127.0.0.1:{port}", "[::1]:{port}", "LOCALHOST:{port}"])
def test_the_page_is_given_at_this_machines_own_names(the_viewer, host):
    status, text = the_viewer.page(host)
    assert status == 200
    assert "<title>" in text


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:{port}", "localhost.evil.example:{port}", "evil-localhost:{port}", "localhost",
        "localhost:1", "localhost:{port}@evil.example", "x@localhost:{port}", "localhost.:{port}", "10.0.0.1:{port}",
        "0.0.0.0:{port}", "localhost:99999", "",
    ],
)  # fmt: skip
def test_every_other_host_is_refused(the_viewer, host):
    assert the_viewer.page(host) == (403, guard.FOREIGN_HOST)
    assert the_viewer.shake_hands(host) == 403
    assert the_viewer.get("/vue.global.js", ("Host", host)) == (403, guard.FOREIGN_HOST)


def test_two_hosts_or_none_are_refused(the_viewer):
    path = f"/index.html?secret={the_viewer.secret}"
    assert the_viewer.get(path, ("Host", "localhost:{port}"), ("Host", "evil.example"))[0] in (400, 403)
    assert the_viewer.get(path)[0] in (400, 403)


@pytest.mark.parametrize("host", ["localhost:{port}", "127.0.0.1:{port}"])
def test_the_viewers_own_page_opens_a_websocket(the_viewer, host):
    assert the_viewer.shake_hands(host, f"http://{host}") == 101


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example", "http://evil.example:{port}", "null", "", "file://", "http://localhost:1",
        "http://localhost", "https://localhost:{port}", "http://localhost:{port}.evil.example",
        "http://127.0.0.1:{port}",
    ],
)  # fmt: skip
def test_every_other_origin_is_refused(the_viewer, origin):
    assert the_viewer.shake_hands(origin=origin) == 403
    path = f"/index.html?secret={the_viewer.secret}"
    assert the_viewer.get(path, ("Host", "localhost:{port}"), ("Origin", origin)) == (403, guard.FOREIGN_ORIGIN)


def test_the_secret_opens_the_state_of_the_page(the_viewer):
    greeting, state = the_viewer.ask(the_viewer.secret)
    assert "clientID" in greeting["result"]
    assert state["result"]["state"]["case_name"] == "made-up"


@pytest.mark.parametrize("secret", ["wslink-secret", "", "wrong", None, True, ["x"]])
def test_a_wrong_secret_opens_nothing(the_viewer, secret):
    for answer in the_viewer.ask(secret):
        assert "result" not in answer
        assert answer["error"]["code"] == -32000


@pytest.mark.parametrize(
    "path",
    [
        "/", "/index.html", "/?secret=", "/index.html?secret=wslink-secret", "/index.html?secret=%ff", "/./index.html",
        "/%69ndex.html", "/INDEX.HTML", "/?sessionURL=ws://evil.example/",
    ],
)  # fmt: skip
def test_without_the_secret_the_page_itself_is_a_sentence(the_viewer, path):
    assert the_viewer.get(path, ("Host", "localhost:{port}")) == (403, guard.NO_SECRET)


def test_the_printed_address_leads_to_the_page(the_viewer):
    status, _ = the_viewer.get(f"/?secret={the_viewer.secret}", ("Host", "localhost:{port}"))
    assert status == 302


def test_each_run_has_a_long_secret_of_its_own():
    made = {guard.new_secret() for _ in range(50)}
    assert len(made) == 50
    assert min(map(len, made)) >= 32


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://localhost:80/?secret=s"),
        ("0.0.0.0", "http://localhost:80/?secret=s"),
        ("::", "http://localhost:80/?secret=s"),
        ("::1", "http://[::1]:80/?secret=s"),
        ("reading-room.example", "http://reading-room.example:80/?secret=s"),
    ],
)
def test_the_address_to_open_follows_the_host_listened_on(host, address):
    assert guard.page_address(host, 80, "s") == address


def test_a_host_given_by_the_person_is_answered_to():
    assert guard.is_own("Reading-Room.example:8080", "reading-room.example", 8080)
    assert guard.is_own("[fd00::7]:8080", "FD00::7", 8080)
    assert guard.is_own("localhost", "127.0.0.1", 80)


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::"])
def test_listening_everywhere_answers_to_figures_and_the_machines_name_but_to_no_other_name(everywhere, monkeypatch):
    monkeypatch.setattr(guard.socket, "gethostname", lambda: "Station7")
    for host in ("192.168.1.5", "[fd00::7]", "station7", "localhost"):
        assert guard.is_own(f"{host}:8080", everywhere, 8080)
        assert not guard.is_own(f"{host}:8080", everywhere, 8081)
    for host in ("evil.example", "station7.evil.example", "1.2.3.4.evil.example"):
        assert not guard.is_own(f"{host}:8080", everywhere, 8080)
    assert guard.refusal(["192.168.1.5:8080"], ["http://6.6.6.6:8080"], everywhere, 8080) == guard.FOREIGN_ORIGIN
