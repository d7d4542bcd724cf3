"""A real PostgreSQL for tests, from Debian's packages: started in a temporary folder, on its own socket, and stopped.

PostgreSQL refuses to run as root, so a test run by root starts it as a user without rights.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


def programs() -> Path | None:
    """The folder of `initdb` and `postgres`, newest version first; None where they are not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


@contextlib.contextmanager
def a_database() -> Iterator[str]:
    """The URL of a new database; pytest.skip with a message where PostgreSQL is absent."""
    folder = programs()
    if folder is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    # Unix sockets allow paths of about 100 characters, so not below pytest's own folder.
    root = Path(tempfile.mkdtemp(prefix="study-pg-"))
    user = _user()
    try:
        if user is not None:
            os.chown(root, user.pw_uid, user.pw_gid)
        data = root / "data"
        command = [
            folder / "initdb",
            "-D",
            data,
            "-U",
            "tester",
            "--auth=trust",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C",
        ]
        subprocess.run(command, check=True, capture_output=True, cwd=root, **_as(user))
        port = _free_port()
        options = ["-D", data, "-k", root, "-h", "", "-p", str(port), "-c", "max_connections=150"]
        with open(root / "log", "wb") as log:
            server = subprocess.Popen([folder / "postgres", *options], stdout=log, stderr=log, cwd=root, **_as(user))
        try:
            url = f"postgresql://tester@/postgres?host={root}&port={port}"
            _wait(url, server, root / "log")
            yield url
        finally:
            server.send_signal(signal.SIGINT)  # without waiting for clients
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _user() -> pwd.struct_passwd | None:
    """Whom to run as: nobody else than oneself, but never root."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    pytest.skip("PostgreSQL does not run as root, and there is no other user")


def _as(user: pwd.struct_passwd | None) -> dict:
    environment = {**os.environ, "LC_ALL": "C"}
    other: dict = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    return {"env": environment, **other}


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait(url: str, server: subprocess.Popen, log: Path) -> None:
    """Until it answers: the socket is there before the server lets anybody in."""
    import psycopg

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url, connect_timeout=5):
            return
        time.sleep(0.05)
    pytest.fail(f"PostgreSQL did not start: {log.read_text(errors='replace')[-2000:]}")
