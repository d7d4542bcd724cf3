"""What the viewer asks of the process it runs in: a free port, no warnings of VTK's own, no arguments for trame."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator

from ..errors import RunFailed


def require_free(host: str, port: int) -> None:
    """Raises RunFailed where `port` of `host` cannot be listened on; port 0 asks only about the host."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        what = f"Port {port} on {host}" if port else f"The address {host}"
        raise RunFailed(f"{what} cannot be used ({error.strerror}); choose another --port or --host.") from error


@contextlib.contextmanager
def unwarned() -> Iterator[None]:
    """Silence VTK while views are made: it warns of a missing X server, which is not needed, and of its own plans."""
    from vtkmodules.vtkCommonCore import vtkObject

    shown = vtkObject.GetGlobalWarningDisplay()
    vtkObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        vtkObject.SetGlobalWarningDisplay(shown)


@contextlib.contextmanager
def no_arguments() -> Iterator[None]:
    """Keep the caller's command line and environment from trame, which would read both."""
    arguments, environment = sys.argv, os.environ.pop("TRAME_ARGS", None)
    sys.argv = sys.argv[:1]
    try:
        yield
    finally:
        sys.argv = arguments
        if environment is not None:
            os.environ["TRAME_ARGS"] = environment
