"""Image-to-image translation of medical volumes: the library shared by the Slicer modules, browser, CLI and tools.

Importing this package is free: it pulls in nothing beyond the standard library. Every heavy dependency (torch,
SimpleITK, pydicom, trame) is imported at the point of use.
"""

__version__ = "0.1.0"
