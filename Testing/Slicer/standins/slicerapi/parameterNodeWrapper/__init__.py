"""`slicer.parameterNodeWrapper`: typed fields stored in a vtkMRMLScriptedModuleNode, bound to widgets.

Types: bool, int, float, str, pathlib.Path, enum, MRML nodes (also `| None`), lists and tuples of those, FloatRange; in
`Annotated` with Default, validators, Decimals, SingleStep. Another type is an error here, though Slicer may know it.
"""

from .connectors import Decimals, GuiConnector, SingleStep, createGuiConnector
from .serializers import Default, FloatRange
from .validators import (
    Choice,
    Exclude,
    IsInstance,
    IsNone,
    Maximum,
    Minimum,
    NotNone,
    RangeBounds,
    Validator,
    WithinRange,
)
from .wrapper import SlicerParameterNamePropertyName, isParameterNodeWrapper, parameterNodeWrapper

__all__ = [
    "Choice",
    "Decimals",
    "Default",
    "Exclude",
    "FloatRange",
    "GuiConnector",
    "IsInstance",
    "IsNone",
    "Maximum",
    "Minimum",
    "NotNone",
    "RangeBounds",
    "SingleStep",
    "SlicerParameterNamePropertyName",
    "Validator",
    "WithinRange",
    "createGuiConnector",
    "isParameterNodeWrapper",
    "parameterNodeWrapper",
]
