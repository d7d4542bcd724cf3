"""The errors a person can act on, each with the exit code and the machine-readable code it travels under.

A message is one sentence (or two): what was wrong, with which file, what was expected, what to do. Anything raised
that is not one of these is a bug, and is reported as such with exit code 4.
"""


class ImageTranslationError(Exception):
    """Base of every refusal; `code` names the kind in JSON output, `exit_code` is the process's exit status."""

    code = "failed"
    exit_code = 4


class InputError(ImageTranslationError):
    """The input or the way the command was used is wrong (exit 2)."""

    code = "input"
    exit_code = 2


class ModelRefused(ImageTranslationError):
    """A model package is missing, damaged, unknown, too new or not allowed here (exit 3)."""

    code = "model"
    exit_code = 3


class RunFailed(ImageTranslationError):
    """The run itself failed: disk full, out of memory, output not writable (exit 4)."""

    code = "run"
    exit_code = 4


class Cancelled(ImageTranslationError):
    """The person cancelled; nothing was written (exit 4)."""

    code = "cancelled"
    exit_code = 4
