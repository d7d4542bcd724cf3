"""`slicer.i18n`: texts pass through unchanged unless `translations` holds one for them (context, text)."""

from __future__ import annotations

import inspect
from pathlib import Path

translations: dict[tuple[str, str], str] = {}


def translate(context: str, text: str) -> str:
    """The text in the application's language."""
    return translations.get((context, text), text)


def tr(text: str) -> str:
    """The text in the application's language; the context is the calling file's name."""
    caller = inspect.currentframe().f_back
    return translate(Path(caller.f_code.co_filename).stem, text)
