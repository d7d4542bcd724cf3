"""Fifty readers at once on the server of a hosted study, four of them leafing through images: none lost, how late."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from imagetranslation.readerstudy.postgres import PostgresStore, connect
from imagetranslation.readerstudy.readingset import ReadingSet
from imagetranslation.readerstudy.store import FolderStore, Store
from Testing.postgres import a_database
from Testing.studies import a_document

from .reading_rooms import a_reading

READERS, VIEWERS = 50, 4
SHAPE = (20, 160, 160)


@pytest.fixture(scope="module")
def fifty(tmp_path_factory) -> ReadingSet:
    document = a_document(cases=2, readers=READERS, id="load")
    return a_reading(tmp_path_factory.mktemp("load") / "study", document, SHAPE)


@contextlib.contextmanager
def the_server(reading: ReadingSet, links: Path, *more: str) -> Iterator[dict[str, str]]:
    """`study serve` in a process of its own: reader code to link."""
    command = [sys.executable, "-u", "-m", "imagetranslation", "study", "serve", str(reading.folder.parent)]
    server = subprocess.Popen(
        [*command, "--links", str(links), *more], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert server.stdout is not None
    said = server.stdout.readline()
    try:
        if "links of" not in said:
            server.kill()
            pytest.fail(said + server.stdout.read())
        yield dict(line.split(",") for line in links.read_text().splitlines()[1:])
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@dataclass
class Tally:
    """What the readers gave and got: seconds an answer took, bytes of images, answers by reader."""

    times: list[float] = field(default_factory=list)
    image_bytes: int = 0
    given: dict[str, list[str]] = field(default_factory=dict)


async def read(link: str, reader: str, views: bool, end: float, tally: Tally) -> None:
    """Give a comment about twice a second, faster than anyone reads; a viewer fetches every image of the case too."""
    origin, _, token = link.partition("/#")
    pause, given = random.Random(reader), tally.given.setdefault(reader, [])
    async with aiohttp.ClientSession(origin, headers={"Origin": origin}) as session:

        async def post(path: str, **body: Any) -> dict[str, Any]:
            async with session.post(path, json=body) as answer:
                assert answer.status == 200, await answer.text()
                return dict(await answer.json())

        await post("/enter", token=token)
        made = await post("/open")
        session.headers["X-Window"] = made["window"]
        state = made["state"]
        while time.monotonic() < end:
            await asyncio.sleep(pause.uniform(0.2, 0.8))
            text = f"{reader} {len(given)}"
            began = time.perf_counter()
            await post("/answer", trial=state["trial"], key="comment", value=text, view={"slice": 3})
            tally.times.append(time.perf_counter() - began)
            given.append(text)
            if views:
                async with session.get(f"/images/{state['images']}") as answer:
                    tally.image_bytes += len(await answer.read())
        await post("/leave", window=made["window"])


async def read_all(links: dict[str, str], seconds: float) -> Tally:
    tally, end = Tally(), time.monotonic() + seconds
    tasks = (read(link, reader, n < VIEWERS, end, tally) for n, (reader, link) in enumerate(links.items()))
    await asyncio.gather(*tasks)
    return tally


@pytest.mark.parametrize("kind", ["folder", "postgres"])
@pytest.mark.parametrize("seconds", [5, pytest.param(60, marks=pytest.mark.soak)])
def test_fifty_readers_are_answered_in_time_and_nothing_is_lost(
    fifty: ReadingSet, tmp_path: Path, kind: str, seconds: int, capsys
) -> None:
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(a_database()) if kind == "postgres" else ""
        links = stack.enter_context(the_server(fifty, tmp_path / "links.csv", *(["--database", url] if url else [])))
        store: Store = PostgresStore(fifty, connect(url)) if url else FolderStore(fifty)
        before = {reader: len(store.history(reader).entries) for reader in fifty.readers}
        tally = asyncio.run(read_all(links, seconds))
        for reader in fifty.readers:
            history = store.history(reader)
            assert not history.findings
            kept = [e["new"] for e in history.entries[before[reader] :] if e["kind"] == "answer"]
            assert kept == tally.given[reader]
        store.close()
    assert len(tally.given) == READERS
    assert tally.image_bytes > 0
    p95 = statistics.quantiles(tally.times, n=20)[-1]
    with capsys.disabled():
        print(
            f"\n{READERS} readers over HTTP, {VIEWERS} with images ({tally.image_bytes / 1e6:.0f} MB), {kind}, "
            f"{seconds} s: {len(tally.times)} answers, p95 {1000 * p95:.0f} ms",
            end=" ",
        )
    # The promise is 200 ms on a machine with nothing else to do; tests share theirs.
    assert p95 <= (0.2 if seconds >= 60 else 1.0)
