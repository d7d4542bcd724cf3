"""The worker's stdout, taken apart as it arrives: JSON events out, anything else into the log.

Chunks may end in the middle of a line or of a character; a line that is no event is somebody's print and not an error.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Union

# A worker that writes an endless line must not fill the application's memory.
LONGEST_LINE = 1 << 20


@dataclass(frozen=True)
class Event:
    """One JSON object of the worker: kind is "progress", "result" or "error"; fields are the others."""

    kind: str
    fields: dict[str, Any]


@dataclass(frozen=True)
class LogLine:
    """A line that is not an event."""

    text: str


class EventParser:
    """Feed it bytes; it gives whole events and log lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Union[Event, LogLine]]:
        """What became complete with `data`, in order."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        return [item for item in map(_parse, lines) if item is not None]

    def finish(self) -> list[Union[Event, LogLine]]:
        """What is left when the stream ends, even without a newline."""
        rest, self._rest = self._rest, b""
        item = _parse(rest)
        return [item] if item is not None else []


def _parse(line: bytes) -> Event | LogLine | None:
    text = line.decode("utf-8", errors="replace").strip()
    if not text:
        return None
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return LogLine(text)
    if isinstance(fields, dict) and isinstance(fields.get("event"), str):
        return Event(fields.pop("event"), fields)
    return LogLine(text)
