"""`imagetranslation study serve`: readers read in their browsers, each through a link of their own."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Annotated, Optional

import typer

from ..errors import InputError, RunFailed
from .options import Port


def serve(
    folder: Annotated[Path, typer.Argument(metavar="STUDY", help="The study's folder (with study.json).")],
    host: Annotated[str, typer.Option(help="Address to listen on; this machine only by default.")] = "127.0.0.1",
    port: Port = 0,
    database: Annotated[
        Optional[str],
        typer.Option(help="Keep answers in this PostgreSQL database (postgresql://user@host/name), not in the folder."),
    ] = None,
    behind_proxy: Annotated[
        str, typer.Option(metavar="URL", help="Address readers open: https://... of the proxy in front.")
    ] = "",
    links: Annotated[
        Optional[Path], typer.Option(metavar="FILE", help="Write the readers' links here (CSV) instead of printing.")
    ] = None,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="A program reads, to try the study out: every answer is marked so.")
    ] = False,
    key: Annotated[
        Optional[Path], typer.Option("--key", help="Folder of the key, if it is not `key` in the study's folder.")
    ] = None,
) -> None:
    """Let readers read in their browsers; prints a secret link for each. Stop it with Ctrl+C.

    imagetranslation study serve my-study --port 8080
    """
    try:
        from ..browser.reading.access import public_origin, require_safe
        from ..browser.reading.app import serve_reading
    except ModuleNotFoundError as error:
        raise RunFailed(
            f"Reading in the browser needs {error.name}; install it with: pip install 'imagetranslation[browser]'"
        ) from error
    from ..readerstudy.postgres import PostgresStore, connect
    from ..readerstudy.readingset import load_reading_set
    from ..readerstudy.store import FolderStore, Store

    reading = load_reading_set(folder)
    public = public_origin(behind_proxy) if behind_proxy else ""
    require_safe(host, public)
    tokens = _tokens(key or folder, str(reading.document["build"]))
    if links is not None and reading.folder.resolve() in links.resolve().parents:
        raise InputError(f"Links let anyone read as somebody else; {links} lies in the readers' folder.")
    store: Store = PostgresStore(reading, connect(database, pool=20)) if database else FolderStore(reading)

    def ready(made: dict[str, str]) -> None:
        if links is not None:
            _write(links, made)
            typer.echo(f"Wrote the links of {len(made)} readers to {links}.")
        else:
            width = max(map(len, made))
            for reader, link in made.items():
                typer.echo(f"{reader:{width}}  {link}")
        typer.echo(f"Serving {reading.title!r} on {host}. Give each reader only their own link. Stop with Ctrl+C.")

    try:
        serve_reading(reading, tokens, store, host=host, port=port, public=public, simulated=simulated, ready=ready)
    finally:
        store.close()


def _tokens(key: Path, build: str) -> dict[str, str]:
    """Reader code to token. The key is let go again at once: nothing that serves pages knows which image is which."""
    from ..readerstudy.key import load_key

    made = load_key(key)
    if made.build != build:
        raise InputError("The key belongs to another reading set; prepare the study again, or name its key with --key.")
    return {reader: made.reader_token(reader) for reader in made.schedule.rows}


def _write(file: Path, made: dict[str, str]) -> None:
    from ..files import as_sentence, atomic_path

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([("reader", "link"), *made.items()])
    with as_sentence(file), atomic_path(file) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text.getvalue())
