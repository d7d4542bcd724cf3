"""What the 3D Slicer application adds to MRML, so that module files run unmodified without the application.

The scene, the logics and the rendering are the real ones of the slicer-core package. `pythonqt` gives PySide6 the
behaviour of PythonQt; `widgets` holds CTK's and Slicer's widgets; `slicerapi` the pure-Python parts of the `slicer`
package; `application` the running application. Nothing here ships: see README.md beside this folder for what was
observed in the real application and what is assumed.
"""
