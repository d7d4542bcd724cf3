"""Whether slices can be drawn on this machine, asked before anything is drawn.

Without OpenGL the renderer ends the process without a word, so the question is put to a child process.
"""

from __future__ import annotations

import subprocess
import sys

APT_LINE = "apt-get install -y libegl1 libgl1-mesa-dri"
_PROBE = """
import vtkmodules.vtkRenderingOpenGL2
from vtkmodules.vtkRenderingCore import vtkRenderer, vtkRenderWindow
window = vtkRenderWindow()
window.ShowWindowOff()
window.SetOffScreenRendering(1)
window.SetSize(16, 16)
window.AddRenderer(vtkRenderer())
window.Render()
print("drawn by", window.GetClassName())
"""


def opengl_available(timeout: float = 60.0) -> str | None:
    """None where slices can be drawn, otherwise one sentence that says what is missing and how to get it.

    Starts a short child process (about a second). timeout: seconds after which a hanging driver counts as missing.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return f"OpenGL does not answer on this machine. On Debian or Ubuntu, as root: {APT_LINE}"
    if done.returncode == 0 and "drawn by" in done.stdout:
        return None
    if "ModuleNotFoundError" in done.stderr:
        return "The viewer's packages are not installed. Install them with: pip install 'imagetranslation[browser]'"
    return f"The viewer needs OpenGL libraries that are not on this machine. On Debian or Ubuntu, as root: {APT_LINE}"
