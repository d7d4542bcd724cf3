"""How the command lines of these tools end: exit code 0, or one sentence and the code of the error."""

from __future__ import annotations

import sys
from collections.abc import Callable

from imagetranslation.errors import ImageTranslationError


def run(main: Callable[[], int]) -> int:
    """Call `main`; an error a person can act on is one line on stderr and its exit code, without a traceback."""
    try:
        return main()
    except ImageTranslationError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
