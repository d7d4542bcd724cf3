"""The reading server as someone sees it who speaks HTTP by hand: links, cookies, other sites, sizes, the blocks."""

from __future__ import annotations

import http.client
import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagetranslation.browser.reading.access import HEADERS, Attempts, Readers, public_origin, require_safe
from imagetranslation.browser.reading.pictures import Pictures, _plane, planes_of
from imagetranslation.browser.reading.telling import without_paths
from imagetranslation.errors import InputError, RunFailed
from imagetranslation.readerstudy.building import build
from imagetranslation.readerstudy.key import load_key
from imagetranslation.readerstudy.readingset import load_reading_set, reading_image
from imagetranslation.slices import picture, slice_centre, slice_count
from imagetranslation.volume import Volume, index_to_lps, write_volume
from Testing.studies import a_document, a_study, write_images

from .reading_rooms import Served, a_reading, every_type, served


@dataclass
class Caller:
    """Requests written by hand, as the page would send them unless said otherwise."""

    port: int
    cookie: str = ""
    window: str = ""
    host: str = ""
    origin: str | None = ""
    more: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        host = self.host or f"localhost:{self.port}"
        try:
            connection.putrequest(method, path, skip_host=True)
            connection.putheader("Host", host)
            if self.origin is not None:
                connection.putheader("Origin", self.origin or f"http://{host}")
            for name, value in {"Cookie": self.cookie, "X-Window": self.window, **self.more}.items():
                if value:
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body or b"")))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def post(self, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
        status, headers, content = self.ask("POST", path, json.dumps(body).encode())
        if "set-cookie" in headers:
            self.cookie = headers["set-cookie"].partition(";")[0]
        return status, json.loads(content)

    def enter(self, token: str) -> dict[str, Any]:
        """From link to first case."""
        assert self.post("/enter", token=token)[0] == 200
        status, made = self.post("/open")
        assert status == 200, made
        self.window = made["window"]
        return made["state"]


def a_caller(hosted: Served, **more: Any) -> Caller:
    return Caller(int(hosted.address.rpartition(":")[2]), **more)


@pytest.fixture(scope="module")
def hosted(tmp_path_factory) -> Iterator[Served]:
    reading = a_reading(tmp_path_factory.mktemp("server") / "study", every_type(readers=9))
    with served(reading, attempts=Attempts(most=10**6)) as made:
        yield made


def test_a_link_gives_a_cookie_that_scripts_and_other_sites_cannot_use(hosted: Served) -> None:
    caller = a_caller(hosted)
    status, headers, _ = caller.ask("POST", "/enter", json.dumps({"token": hosted.tokens["R1"]}).encode())
    assert status == 200
    flags = {part.strip() for part in headers["set-cookie"].split(";")[1:]}
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= flags
    assert hosted.tokens["R1"] not in headers["set-cookie"]


def test_every_answer_carries_the_headers_that_keep_others_out(hosted: Served) -> None:
    for path in ("/", "/main.js", "/nothing", "/images/x"):
        _, headers, _ = a_caller(hosted).ask("GET", path)
        assert {name: headers.get(name.lower()) for name in HEADERS} == HEADERS
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/open"), ("POST", "/answer"), ("POST", "/next"), ("POST", "/leave"), ("GET", "/images/abc")],
)
def test_without_a_link_nothing_is_given(hosted: Served, method: str, path: str) -> None:
    for cookie in ("", "reading=1", f"{a_cookie_name(hosted)}=abc.def", f"{a_cookie_name(hosted)}=\xe9.\xe9"):
        status, _, content = a_caller(hosted, cookie=cookie).ask(method, path, b"{}" if method == "POST" else None)
        assert (status, json.loads(content)["kind"]) == (401, "link")


def a_cookie_name(hosted: Served) -> str:
    return f"reading-{hosted.reading.sha256[:12]}"


@pytest.mark.parametrize("token", ["", "0" * 32, 5, None, ["a"], "\u00e9" * 32])
def test_a_wrong_token_is_refused(hosted: Served, token: Any) -> None:
    assert a_caller(hosted).post("/enter", token=token)[0] == 401


def test_a_cookie_of_one_reader_does_not_open_anothers_window_or_images(hosted: Served) -> None:
    one, two = a_caller(hosted), a_caller(hosted)
    state, _ = one.enter(hosted.tokens["R1"]), two.enter(hosted.tokens["R2"])
    assert two.ask("GET", f"/images/{state['images']}")[0] == 400
    two.window = one.window
    status, told = two.post("/answer", trial=state["trial"], key="artifacts", value=True)
    assert (status, told["kind"]) == (409, "window")
    assert hosted.answers("R1") == hosted.answers("R2") == []


def test_other_sites_and_other_addresses_are_refused(hosted: Served) -> None:
    caller = a_caller(hosted)
    caller.enter(hosted.tokens["R3"])
    good = (caller.host, caller.origin)
    foreign = [
        ("evil.example", ""), ("", "http://evil.example"), ("", None), ("", "null"),
        ("", f"https://localhost:{caller.port}"), ("", f"http://localhost:{caller.port + 1}"),
    ]  # fmt: skip
    for caller.host, caller.origin in foreign:
        assert caller.post("/save", trial="")[0] == 403
    caller.host, caller.origin = good
    caller.more = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert caller.ask("GET", "/images/x")[0] == 403
    caller.more = {}
    assert caller.post("/beat", active=True)[0] == 200


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"{", b"\xff", b"[" * 50_000, b'{"trial":1}'])
def test_odd_requests_get_a_sentence_and_change_nothing(hosted: Served, body: bytes) -> None:
    caller = a_caller(hosted)
    caller.enter(hosted.tokens["R4"])
    status, _, content = caller.ask("POST", "/answer", body)
    assert status in (400, 409)
    assert json.loads(content)["text"].endswith(".")
    assert hosted.answers("R4") == []
    assert caller.post("/leave", window=caller.window)[0] == 200


def test_a_request_that_is_too_large_is_refused(hosted: Served) -> None:
    caller = a_caller(hosted)
    caller.enter(hosted.tokens["R5"])
    assert caller.ask("POST", "/answer", b'{"x":"' + b"a" * (2 << 20) + b'"}')[0] == 413


def test_what_is_no_answer_is_refused_in_the_words_of_the_question(hosted: Served) -> None:
    caller = a_caller(hosted)
    state = caller.enter(hosted.tokens["R6"])
    for key, value in (("size", 91), ("size", "12x"), ("realism@A", 9), ("kinds", ["blur"]), ("nothing", 1)):
        status, told = caller.post("/answer", trial=state["trial"], key=key, value=value)
        assert (status, told["kind"]) == (400, "input")
    assert hosted.answers("R6") == []


def test_a_request_that_is_repeated_counts_once(hosted: Served) -> None:
    """The answer to the first one was lost on the way, and the page asks again."""
    caller = a_caller(hosted)
    state = caller.enter(hosted.tokens["R7"])
    for _ in range(2):
        assert caller.post("/answer", trial=state["trial"], key="artifacts", value=False)[0] == 200
    assert len(hosted.answers("R7")) == 1
    status, told = caller.post("/next", trial="0" * 32)
    assert (status, told["kind"], told["state"]["trial"]) == (409, "case", state["trial"])


def test_what_is_asked_of_a_case_names_it(hosted: Served) -> None:
    """A request that comes late would otherwise count for the case after."""
    caller = a_caller(hosted)
    state = caller.enter(hosted.tokens["R9"])
    for path, body in (("/answer", {"key": "artifacts", "value": True}), ("/next", {})):
        for trial in ({}, {"trial": ""}, {"trial": None}, {"trial": [state["trial"]]}):
            status, told = caller.post(path, **body, **trial)
            assert (status, told["kind"]) == (400, "input")
            assert "which case" in told["text"]
    assert hosted.answers("R9") == []


def test_only_the_server_says_that_a_reading_is_simulated(tmp_path: Path) -> None:
    reading = a_reading(tmp_path / "study", a_document(cases=2, readers=2))
    for simulated, reader in ((False, "R1"), (True, "R2")):
        with served(reading, simulated=simulated) as made:
            caller = a_caller(made)
            state = caller.enter(made.tokens[reader])
            view = {"slice": 3, "simulated": not simulated}
            assert caller.post("/answer", trial=state["trial"], key="artifacts", value=False, view=view)[0] == 200
            expected = {"slice": 3, "simulated": True} if simulated else {"slice": 3}
            assert [entry["view"] for entry in made.answers(reader)] == [expected]


def test_wrong_links_are_heard_ten_times_and_then_less_and_less_and_right_ones_always(tmp_path: Path) -> None:
    """A hospital stands behind one address: its one mistaken reader must not keep the others out."""
    with served(a_reading(tmp_path / "study", a_document(cases=2, readers=2))) as made:
        caller = a_caller(made)
        answers = [caller.post("/enter", token=f"{n:032x}")[0] for n in range(14)]
        assert answers == [401] * 10 + [429] * 4
        assert a_caller(made).post("/enter", token=made.tokens["R1"])[0] == 200
        assert caller.post("/enter", token="0" * 32)[0] == 429
        assert min(map(len, made.tokens.values())) == 32  # 128 bits: nobody guesses that at any rate


def test_attempts_of_one_network_do_not_count_for_another_and_wear_off() -> None:
    now = [0.0]
    attempts = Attempts(most=3, every_s=6, clock=lambda: now[0], known=50)
    for _ in range(3):
        attempts.wrong("10.0.0.1")
        attempts.wrong("2001:db8::1")
    assert attempts.refused("10.0.0.1")
    assert attempts.refused("2001:db8::2")  # the same customer's network
    assert not attempts.refused("10.0.0.2")
    now[0] = 6.5
    assert not attempts.refused("10.0.0.1")
    attempts.wrong("10.0.0.1")
    assert attempts.refused("10.0.0.1")


def test_behind_a_proxy_the_caller_is_who_the_proxy_says(tmp_path: Path) -> None:
    reading = a_reading(tmp_path / "study", a_document(cases=2, readers=2))
    with served(reading, public="https://reading.example.org", attempts=Attempts(most=2)) as made:
        public = {"host": "reading.example.org", "origin": "https://reading.example.org"}
        answers = []
        for spoofed in ("1.2.3.4", "5.6.7.8", "9.9.9.9"):  # what a caller writes there, stands before it
            bad = a_caller(made, **public, more={"X-Forwarded-For": f"{spoofed}, 10.9.9.9"})
            answers.append(bad.post("/enter", token="x")[0])
        assert answers == [401, 401, 429]
        good = a_caller(made, **public, more={"X-Forwarded-For": "10.9.9.9, 10.1.1.1"})
        _, headers, _ = good.ask("POST", "/enter", json.dumps({"token": made.tokens["R1"]}).encode())
        assert headers["set-cookie"].startswith("__Host-")
        assert "Secure" in headers["set-cookie"]
        assert "max-age" in headers["strict-transport-security"]
        other = a_caller(made, host=f"localhost:{good.port}", origin=f"http://localhost:{good.port}")
        assert other.post("/enter", token=made.tokens["R1"])[0] == 403


def test_a_cookie_outlives_the_server_and_dies_with_the_key() -> None:
    readers = Readers({"R1": "a" * 32, "R2": "b" * 32})
    cookie = readers.new_cookie("R2")
    assert Readers({"R1": "a" * 32, "R2": "b" * 32}).by_cookie(cookie) == "R2"
    assert Readers({"R1": "a" * 32, "R2": "c" * 32}).by_cookie(cookie) is None
    assert readers.by_cookie(cookie[:-1]) is readers.by_cookie("") is readers.by_token("") is None


@pytest.mark.parametrize(
    "address", ["http://x.org", "https://", "https://x.org/study", "x.org", "https://x.org:abc", "https://x.org?a=1"]
)
def test_a_public_address_is_an_encrypted_one(address: str) -> None:
    with pytest.raises(InputError, match=r"address"):
        public_origin(address)


def test_nothing_is_offered_to_a_network_without_encryption() -> None:
    for host in ("0.0.0.0", "192.168.1.5", "::", "reading.example.org"):
        with pytest.raises(InputError, match="--behind-proxy"):
            require_safe(host, "")
        require_safe(host, "https://reading.example.org")
    require_safe("127.0.0.1", "")


def test_a_sentence_for_a_reader_names_no_path(hosted: Served) -> None:
    folder = hosted.reading.folder
    for text in (
        f"The disk is full. Free some space for {folder / 'answers'} and try again.",
        f"R1.jsonl: its last 5 bytes were cut off; {folder.parent}/study.json.",
        "Answers are in /srv/us2mri-pix2pix/study, or in C:\\studies\\us2mri.",
    ):
        told = without_paths(text, hosted.reading, "R1")
        assert not any(part in told for part in (str(folder), folder.parent.name + "/", "us2mri", "jsonl"))


def unpacked(block: bytes) -> list[tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """The panes of a block and their planes, each (slice, row, column), as the page unpacks them."""
    (length,) = struct.unpack("<I", block[:4])
    panes, at, found = json.loads(block[4 : 4 + length])["panes"], 4 + length, []
    for pane in panes:
        size = pane["voxels"]
        low, high = (np.frombuffer(block, np.uint8, size, at + n * size).astype(int) for n in range(2))
        found.append((pane, {plane["name"]: turned_to(low + 256 * high, plane) for plane in pane["planes"]}))
        at += 2 * size
    assert at == len(block)
    return found


def turned_to(voxels: np.ndarray, plane: dict[str, Any]) -> np.ndarray:
    """(slice, row, column) of the flat voxels, by the offset and the strides of a plane."""
    s, r, c = np.ogrid[: plane["slices"], : plane["rows"], : plane["columns"]]
    across, down, deep = plane["strides"]
    return voxels[plane["offset"] + s * deep + r * down + c * across]


def pictures_of(volume: Volume, plane: str) -> np.ndarray:
    """(slice, row, column) of a plane as the other viewers show it; "acquired": as the array lies."""
    if plane == "acquired":
        return volume.array
    return np.stack([picture(volume, plane, n).pixels for n in range(slice_count(volume, plane))])


def test_a_block_holds_the_voxels_of_every_image_and_nothing_else(hosted: Served) -> None:
    caller = a_caller(hosted)
    state = caller.enter(hosted.tokens["R8"])
    status, headers, content = caller.ask("GET", f"/images/{state['images']}")
    assert (status, headers["content-type"]) == (200, "application/octet-stream")
    trial = hosted.reading.trials("R8")[0]
    panes = unpacked(content)
    assert [pane["slot"] for pane, _ in panes] == ["source", "A", "B"]
    for pane, planes in panes:
        volume = reading_image(hosted.reading, trial, pane["slot"])
        assert list(planes) == ["axial", "sagittal", "coronal"]
        for plane, voxels in planes.items():
            assert (voxels == pictures_of(volume, plane)).all()
        assert set(pane) == {"slot", "label", "voxels", "planes"}
        told = {"name", "columns", "rows", "slices", "offset", "strides", "to_lps", "sides"}
        assert all(set(plane) == told for plane in pane["planes"])


def test_a_real_and_a_made_image_are_answered_alike_in_all_but_their_pixels(tmp_path: Path) -> None:
    """Compressed, noise and a smooth picture would differ in length; nothing else may tell them apart either."""
    document = a_document(cases=4, readers=1)
    write_images(tmp_path / "study", document, (5, 48, 60))
    smooth = np.add.outer(np.arange(5), np.add.outer(np.arange(48), np.arange(60))).astype(np.float32)
    for n, case in enumerate(document["cases"]):
        volume = Volume(smooth + n, (0.5, 0.5, 2.0), (7.0, 8.0, 9.0))
        write_volume(volume, tmp_path / "study" / case["images"]["model1"])
    (tmp_path / "study" / "study.json").write_text(json.dumps(document))
    build(tmp_path / "study")
    answers: dict[str, list[Any]] = {"scanner": [], "model1": []}
    truth = load_key(tmp_path / "study").trials
    with served(load_reading_set(tmp_path / "study")) as made:
        caller = a_caller(made, more={"Accept-Encoding": "gzip, deflate, br"})
        state = caller.enter(made.tokens["R1"])
        while state["trial"]:
            status, headers, content = caller.ask("GET", f"/images/{state['images']}")
            headers.pop("date")
            answers[truth[state["trial"]][1].arms[0]].append((status, sorted(headers.items()), len(content)))
            for key, value in (("realism", 3), ("artifacts", False)):
                assert caller.post("/answer", trial=state["trial"], key=key, value=value)[0] == 200
            state = caller.post("/next", trial=state["trial"])[1]["state"]
    assert len(answers["scanner"]) == len(answers["model1"]) == 4
    told = answers["scanner"] + answers["model1"]
    assert all(one == told[0] for one in told)
    assert not {"etag", "last-modified", "content-encoding"} & {name for name, _ in told[0][1]}


@pytest.mark.parametrize("plane", ["axial", "sagittal", "coronal", "acquired"])
@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 1, 6), (1, 1, 4)])
def test_voxels_and_places_of_an_oblique_volume_belong_together(plane: str, shape: tuple[int, int, int]) -> None:
    turned = np.array([[0.0, -0.8, 0.6], [0.0, 0.6, 0.8], [-1.0, 0.0, 0.0]])
    array = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    volume = Volume(array, (0.5, 0.7, 2.0), (3.0, -4.0, 5.0), tuple(turned.ravel()))
    told = _plane(volume, plane.replace("acquired", ""))
    shown, matrix = turned_to(array.ravel(), told), np.array(told["to_lps"])
    assert (shown == pictures_of(volume, plane)).all()
    for place in np.ndindex(shown.shape):
        k, j, i = np.argwhere(array == shown[place])[0]
        s, r, c = place
        assert matrix @ [c, r, s, 1] == pytest.approx((index_to_lps(volume) @ [i, j, k, 1])[:3], abs=1e-5)
    assert np.linalg.matrix_rank(matrix[:, :3]) == 3  # places can be told also where an axis has one voxel
    if plane != "acquired":
        middle = [(shown.shape[2] - 1) / 2, (shown.shape[1] - 1) / 2, 0, 1]
        assert matrix @ middle == pytest.approx(slice_centre(volume, plane, 0), abs=1e-5)


def test_planes_to_choose_from_have_something_to_show_and_the_studys_own_comes_first() -> None:
    flat = Volume(np.zeros((40, 1, 30), np.uint16), (1.0, 1.0, 1.0))
    assert planes_of(flat, "Axial") == ("coronal",)
    assert planes_of(flat, "Acquired") == ("", "coronal")
    thick = Volume(np.zeros((4, 5, 6), np.uint16), (1.0, 1.0, 1.0))
    assert planes_of(thick, "Sagittal") == ("sagittal", "axial", "coronal")
    assert planes_of(thick, "Acquired") == ("", "sagittal", "coronal")  # axial slices are those as acquired
    one = Volume(np.zeros((1, 5, 6), np.uint16), (1.0, 1.0, 1.0))
    assert planes_of(one, "Acquired") == ("",)


def test_blocks_are_made_once_and_let_go_when_they_fill_the_memory(hosted: Served, monkeypatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(
        "imagetranslation.browser.reading.pictures.block",
        lambda _, trial: made.append(trial.token) or b"x" * 60,
    )
    pictures = Pictures(hosted.reading, most_bytes=130)
    trials = hosted.reading.trials("R1")
    for n in (0, 1, 0, 2, 0, 1):
        pictures.block(trials[n])
    assert made == [trials[n].token for n in (0, 1, 2, 1)]


def the_command(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "imagetranslation", "study", "serve", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_the_command_prints_a_link_for_each_reader_and_gives_everything_back_when_stopped(tmp_path: Path) -> None:
    study = a_study(tmp_path / "study")
    links = tmp_path / "links.csv"
    server = the_command(str(study), "--links", str(links))
    assert server.stdout is not None
    assert "links of 2 readers" in server.stdout.readline()
    rows = [line.split(",") for line in links.read_text().splitlines()]
    assert [row[0] for row in rows] == ["reader", "R1", "R2"]
    if os.name != "nt":
        assert links.stat().st_mode & 0o777 == 0o600
    address, _, token = rows[1][1].partition("/#")
    caller = Caller(int(address.rpartition(":")[2]))
    caller.enter(token)
    assert (study / "reading" / "answers" / "R1.lock").exists()
    server.send_signal(signal.SIGINT)
    assert server.wait(20) == 0
    assert not (study / "reading" / "answers" / "R1.lock").exists()
    assert '"close"' in (study / "reading" / "answers" / "R1.jsonl").read_text()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--host", "0.0.0.0"], "--behind-proxy"),
        (["--behind-proxy", "http://reading.example.org"], "encrypted"),
        (["--links", "reading/links.csv"], "the readers' folder"),
        (["--key", "reading"], "no key.json"),
    ],
)
def test_the_command_refuses_what_would_be_unsafe(tmp_path: Path, more: list[str], sentence: str) -> None:
    study = a_study(tmp_path / "study")
    arguments = [str(study / part) if part.startswith("reading") else part for part in more]
    server = the_command(str(study), *arguments)
    said, _ = server.communicate(timeout=60)
    assert server.returncode == 2
    assert sentence in " ".join(said.split())


def test_without_the_servers_library_the_command_says_what_to_install(tmp_path: Path, monkeypatch) -> None:
    from imagetranslation.cli.studyserve import serve

    for name in [name for name in sys.modules if name.startswith("imagetranslation.browser.reading")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(RunFailed, match=r"needs aiohttp; install it with: pip install 'imagetranslation\[browser\]'"):
        serve(tmp_path)


def test_a_port_that_is_taken_is_said(tmp_path: Path, hosted: Served) -> None:
    server = the_command(str(a_study(tmp_path / "study")), "--port", hosted.address.rpartition(":")[2])
    said, _ = server.communicate(timeout=60)
    assert (server.returncode, "choose another --port" in " ".join(said.split())) == (4, True)


def test_a_key_of_another_reading_set_opens_nothing(tmp_path: Path) -> None:
    study, other = a_study(tmp_path / "study"), a_study(tmp_path / "other")
    assert load_reading_set(study).document["build"] != load_reading_set(other).document["build"]
    server = the_command(str(study), "--key", str(other / "key"))
    said, _ = server.communicate(timeout=60)
    assert (server.returncode, "another reading set" in " ".join(said.split())) == (2, True)
