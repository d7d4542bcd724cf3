"""Ending a process together with everything it started, on Linux, macOS and Windows.

Slicer's Python is a launcher: ending it alone leaves the real interpreter running. psutil is used where it is
installed; elsewhere the operating system is asked (/proc, ps, taskkill). Also: whether a process is still there, for
clearing up after a crash.
"""

from __future__ import annotations

import contextlib
import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

PROC = Path("/proc")


def end_tree(pid: int) -> list[int]:
    """Kill `pid` and all its descendants at once; returns their ids, `pid` last.

    Those that are gone already, or not ours to kill, are no error. A killed process may need a moment until it is gone.
    """
    try:
        import psutil
    except ImportError:
        return _end_tree_plain(pid)
    try:
        top = psutil.Process(pid)
        # Stopped first, so that it cannot start another child while its children are being listed.
        with contextlib.suppress(psutil.Error):
            top.suspend()
        victims = [*top.children(recursive=True), top]
    except psutil.NoSuchProcess:
        return []
    for victim in victims:
        with contextlib.suppress(psutil.Error):
            victim.kill()
    return [victim.pid for victim in victims]


def _end_tree_plain(pid: int) -> list[int]:
    if sys.platform == "win32":
        # It knows the descendants and does not tell them.
        _windows("taskkill", "/PID", str(pid), "/T", "/F")
        return [pid]
    _send(pid, signal.SIGSTOP)
    victims = [*descendants(pid), pid]
    for victim in victims:
        _send(victim, signal.SIGKILL)
    return victims


def descendants(pid: int) -> list[int]:
    """Process ids of the children of `pid`, their children and so on, nearest first (POSIX)."""
    children: dict[int, list[int]] = {}
    for child, parent in _pairs():
        children.setdefault(parent, []).append(child)
    found, front = [], [pid]
    while front:
        front = [child for parent in front for child in children.get(parent, [])]
        found.extend(front)
    return found


def is_running(pid: int) -> bool:
    """Whether a process of that id exists (a zombie counts as gone where that can be told)."""
    try:
        import psutil
    except ImportError:
        return _is_running_plain(pid)
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _is_running_plain(pid: int) -> bool:
    if sys.platform == "win32":
        # os.kill(pid, 0) would end the process on Windows. A row is name, process, session ...
        rows = csv.reader(_windows("tasklist", "/FI", f"PID eq {pid}", "/NH", "/FO", "CSV").splitlines())
        return any(row[1:2] == [str(pid)] for row in rows)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _pairs() -> list[tuple[int, int]]:
    """(process, parent) of everything that runs."""
    if (PROC / "self" / "stat").exists():
        return [pair for pair in map(_stat, PROC.glob("[0-9]*/stat")) if pair is not None]
    listing = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=False).stdout
    pairs = (line.split() for line in listing.splitlines())
    return [(int(p[0]), int(p[1])) for p in pairs if len(p) == 2]


def _stat(path: Path) -> tuple[int, int] | None:
    try:
        # The command's name stands in parentheses and may hold spaces and parentheses itself.
        after = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return (int(path.parent.name), int(after[1])) if len(after) > 1 else None


def _send(pid: int, what: int) -> None:
    # Gone, or a process that somebody else owns (a child that changed its user): neither may stop the others' end.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, what)


def _windows(*command: str) -> str:
    """What a program of Windows prints; without a console window, which would flash up over the application."""
    quiet = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    return subprocess.run(command, capture_output=True, text=True, check=False, creationflags=quiet).stdout
