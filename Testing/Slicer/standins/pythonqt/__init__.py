"""PySide6 objects behind PythonQt's rules: what an attribute is comes from Qt's own meta-object.

A Qt property is an attribute, a slot or public method is a method, a signal is a signal object, an unknown name is an
AttributeError. Stand-ins of CTK's and Slicer's widgets are PySide6 classes that declare the C++ interface they offer
with `invokable`, `cpp_signals` and PySide6's `Property`; everything else of theirs is invisible.
"""

from .calls import invokable
from .signals import cpp_signals, exceptions_in_slots
from .wrapper import PythonQtInstanceWrapper, native_class, unwrap, wrap, wrapper_class

__all__ = [
    "PythonQtInstanceWrapper",
    "cpp_signals",
    "exceptions_in_slots",
    "invokable",
    "native_class",
    "unwrap",
    "wrap",
    "wrapper_class",
]
