"""Reading JSON that may be damaged or hostile, and writing it in one canonical form for hashes.

Used for study files, reading sets, keys and journals; what a sound one of each means is said there.
"""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path
from typing import Any

from ..errors import InputError


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal for equal contents, whatever the layout."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def parse_json(content: bytes, where: str) -> Any:
    """The value in a JSON file; InputError in one sentence for what is no UTF-8, no JSON, or would be ambiguous.

    Refused as well: a key named twice, numbers that are not finite, control characters and half surrogate pairs.
    """
    try:
        value = json.loads(content.decode("utf-8"), object_pairs_hook=_without_twins)
        _check_values(value)
    except UnicodeDecodeError as error:
        raise InputError(f"{where} is not UTF-8 text (byte {error.start}).") from None
    except RecursionError:
        raise InputError(f"{where} is nested too deeply.") from None
    except ValueError as error:
        raise InputError(f"{where} is not sound JSON: {one_line(error)}.") from None
    return value


def schema_fault(document: Any, part: str = "") -> str:
    """What is wrong with a document by our JSON schema of studies, in part of a sentence; "" where nothing is.

    part: a definition of the schema ("reading"); by default the study itself.
    """
    import jsonschema

    whole = schema()
    validator = jsonschema.Draft202012Validator({"$ref": f"#/$defs/{part}", "$defs": whole["$defs"]} if part else whole)
    fault = jsonschema.exceptions.best_match(validator.iter_errors(document))
    return "" if fault is None else f"{one_line(fault.json_path, 100)}: {one_line(fault.message)}"


@functools.cache
def schema() -> dict[str, Any]:
    """The JSON schema of study.json, whose definitions hold that of a reading set's manifest too."""
    file = Path(__file__).parent.parent / "schemas" / "study.schema.json"
    return dict(json.loads(file.read_text(encoding="utf-8")))


def one_line(text: Any, limit: int = 200) -> str:
    """The text on one line, printable, not longer than `limit`."""
    line = " ".join(str(text).split()).rstrip(".")
    line = "".join(c if c.isprintable() else "?" for c in line).encode("utf-8", "replace").decode()
    return line if len(line) <= limit else line[: limit - 3] + "..."


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} is there twice")
    return made


def _check_values(value: Any) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_values(key)
            _check_values(inner)
    elif isinstance(value, list):
        for inner in value:
            _check_values(inner)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("it holds a number that is not finite")
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        raise ValueError("it holds a number of more than 63 bits")
    elif isinstance(value, str):
        if any(0xD800 <= ord(c) <= 0xDFFF for c in value):
            raise ValueError("it holds half a surrogate pair")
        if any(ord(c) < 32 and c not in "\n\t" for c in value) or "\x7f" in value:
            raise ValueError("it holds control characters")
