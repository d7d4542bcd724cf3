"""Runs MIRP in an interpreter of its own: JSON lines in, JSON lines out.

It is started by path, by whichever interpreter has MIRP, so it imports nothing of this package. A line in: {"image":
path, "mask": path, "arguments": {...}} with MIRP's own arguments, where null in a list stands for "no limit". A line
out: {"values": {name: number or null}} or {"error": sentence}; before any, {"version": ...}. What MIRP prints goes to
standard error. It ends when its input ends.
"""

import json
import math
import os
import sys


def main():
    """Serve jobs until the input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        from importlib.metadata import version

        from mirp import extract_features

        _write(answers, {"version": version("mirp")})
    except Exception as error:  # noqa: BLE001  whatever it was, the other side has to know
        _write(answers, {"error": f"{type(error).__name__}: {error}"})
        return 1
    for line in sys.stdin:
        try:
            _write(answers, {"values": _extract(extract_features, json.loads(line))})
        except Exception as error:  # noqa: BLE001
            _write(answers, {"error": f"{type(error).__name__}: {error}"})
    return 0


def _extract(extract_features, job):
    arguments = {key: _limits(value) for key, value in job["arguments"].items()}
    tables = extract_features(
        image=job["image"], mask=job["mask"], by_slice=False, write_features=False, export_features=True, **arguments
    )
    row = tables[0].iloc[0].to_dict()
    return {key: _number(value) for key, value in row.items() if not key.startswith(("image_", "sample_"))}


def _limits(value):
    return [math.nan if item is None else item for item in value] if isinstance(value, list) else value


def _number(value):
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _write(stream, answer):
    stream.write(json.dumps(answer) + "\n")
    stream.flush()


if __name__ == "__main__":
    sys.exit(main())
