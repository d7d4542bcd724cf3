"""Downloads arrive whole or not at all, and go on where they broke off."""

from __future__ import annotations

import hashlib
import http.server
import json
import subprocess
import sys
import threading

import pytest

from imagetranslation import downloads
from imagetranslation.errors import InputError, RunFailed

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """A web server with one file. breaks_after: bytes after which it hangs up; knows_ranges: whether it can go on."""

    def __init__(self):
        self.breaks_after: int | None = None
        self.knows_ranges = True
        self.ranges: list[str | None] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *arguments):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/model.zip"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def answer(self, handler):
        wanted = handler.headers.get("Range")
        self.ranges.append(wanted)
        first = int(wanted[6:-1]) if wanted and self.knows_ranges else 0
        if first >= len(CONTENT):
            handler.send_error(416)
            return
        body = CONTENT[first:]
        handler.send_response(206 if first else 200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body if self.breaks_after is None else body[: self.breaks_after])


@pytest.fixture
def server():
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def test_a_file_arrives_under_its_name_and_leaves_nothing_else(server, tmp_path):
    seen = []
    path = downloads.download(server.url, SHA256, tmp_path / "new" / "m.zip", lambda *p: seen.append(p))
    assert path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ["m.zip"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_download_that_broke_off_goes_on(server, tmp_path, knows_ranges):
    server.breaks_after, server.knows_ranges = 300_000, knows_ranges
    with pytest.raises(RunFailed, match="goes on where it stopped"):
        downloads.download(server.url, SHA256, tmp_path / "m.zip")
    assert not (tmp_path / "m.zip").exists()
    server.breaks_after = None
    assert downloads.download(server.url, SHA256, tmp_path / "m.zip").read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-"]


def test_a_part_that_is_whole_already_is_taken(server, tmp_path):
    (tmp_path / ".m.zip.part").write_bytes(CONTENT)
    assert downloads.download(server.url, SHA256, tmp_path / "m.zip").read_bytes() == CONTENT


def test_another_file_than_listed_is_deleted(server, tmp_path):
    with pytest.raises(InputError, match="another file than listed"):
        downloads.download(server.url, "0" * 64, tmp_path / "m.zip")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/m.zip", "m.zip"])
def test_only_web_addresses_are_opened(url, tmp_path):
    with pytest.raises(InputError, match="not a web address"):
        downloads.download(url, SHA256, tmp_path / "m.zip")


def test_nobody_listening_is_a_sentence(tmp_path):
    with pytest.raises(RunFailed, match="could not be downloaded"):
        downloads.download("http://127.0.0.1:9/m.zip", SHA256, tmp_path / "m.zip")


def test_as_a_process_it_speaks_the_workers_language(server, tmp_path, repository):
    command = [sys.executable, "-m", "imagetranslation.downloads", server.url, SHA256, str(tmp_path / "m.zip")]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=repository, check=False)
    events = [json.loads(line) for line in ran.stdout.splitlines()]
    assert ran.returncode == 0
    assert events[-1] == {"event": "result", "path": str(tmp_path / "m.zip")}
    assert {event["event"] for event in events[:-1]} == {"progress"}


def test_what_is_there_already_is_not_offered(tmp_path, monkeypatch):
    entry = {"id": "big", "task": "us2mri", "title": "Big", "url": "https://example.org/b.zip", "sha256": SHA256,
             "megabytes": 200}  # fmt: skip
    (tmp_path / "Models.json").write_text(json.dumps({"models": [entry, {**entry, "id": "other", "task": "pool"}]}))
    monkeypatch.setattr(downloads, "resource", lambda name: tmp_path / name)
    monkeypatch.setenv("IMAGETRANSLATION_HOME", str(tmp_path))
    assert [item.id for item in downloads.available("us2mri")] == ["big"]
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "big.zip").write_bytes(b"")
    assert downloads.available("us2mri") == []
