"""The modules `SegmentStatistics` and `SegmentStatisticsPlugins` as far as plug-ins of others meet them.

Strict: a plug-in without a name, a key with a dot, a measurement that was not asked for or has no description, and two
columns of one name are errors. Its own plug-ins and widgets are not here.
"""

from __future__ import annotations

from typing import Any

import slicer

INFORMATION = ("name", "title", "description", "units")


class SegmentStatisticsPluginBase:
    """What plug-ins derive from."""

    def __init__(self) -> None:
        self.name = self.title = ""
        self.keys: list[str] = []
        self.defaultKeys: list[str] = []
        self.parameterNode: Any = None

    @staticmethod
    def createMeasurementInfo(
        name: str, title: str, description: str, units: str | None, quantityDicomCode: Any = None,
        unitsDicomCode: Any = None, measurementMethodDicomCode: Any = None, derivationDicomCode: Any = None,
        componentNames: Any = None,
    ) -> dict[str, Any]:  # fmt: skip
        return dict(zip(INFORMATION, (name, title, description, units)))

    def computeStatistics(self, segmentID: str) -> dict[str, Any]:
        raise NotImplementedError

    def getMeasurementInfo(self, key: str) -> dict[str, Any] | None:
        raise NotImplementedError

    def toLongKey(self, key: str) -> str:
        return f"{type(self).__name__}.{key}"

    def getRequestedKeys(self) -> list[str]:
        node = self.parameterNode
        return [key for key in self.keys if node and node.GetParameter(self.toLongKey(key) + ".enabled") == "True"]

    def getParameterNode(self) -> Any:
        return self.parameterNode

    def setParameterNode(self, node: Any) -> None:
        """Enabled is the plug-in, and of its measurements the default ones, unless the node says otherwise."""
        self.parameterNode = node
        for name, on in [(type(self).__name__, True), *((self.toLongKey(k), k in self.defaultKeys) for k in self.keys)]:
            if not node.GetParameter(name + ".enabled"):
                node.SetParameter(name + ".enabled", str(on))


class SegmentStatisticsLogic:
    """Computes what the enabled plug-ins measure of every segment."""

    registeredPlugins: list[type] = []

    @staticmethod
    def registerPlugin(plugin: Any) -> None:
        if not isinstance(plugin, SegmentStatisticsPluginBase) or not (plugin.name and plugin.title and plugin.keys):
            raise TypeError(f"{plugin!r} is no plug-in of Segment Statistics, or has no name, title or keys")
        if any("." in key for key in plugin.keys) or type(plugin) in SegmentStatisticsLogic.registeredPlugins:
            raise ValueError(f"{plugin.name} has a key with a dot, or was registered before")
        SegmentStatisticsLogic.registeredPlugins.append(type(plugin))

    def __init__(self) -> None:
        self.plugins = [plugin() for plugin in SegmentStatisticsLogic.registeredPlugins]
        self._node = slicer.vtkMRMLScriptedModuleNode()
        for plugin in self.plugins:
            plugin.setParameterNode(self._node)
        self._statistics: dict[Any, Any] = {}

    def getParameterNode(self) -> Any:
        return self._node

    def getStatistics(self) -> dict[Any, Any]:
        return self._statistics

    def computeStatistics(self) -> None:
        segmentation = slicer.mrmlScene.GetNodeByID(self._node.GetParameter("Segmentation")).GetSegmentation()
        found: dict[Any, Any] = {"SegmentIDs": list(segmentation.GetSegmentIDs()), "MeasurementInfo": {}}
        for segment in found["SegmentIDs"]:
            for plugin in self.plugins:
                if self._node.GetParameter(type(plugin).__name__ + ".enabled") == "True":
                    self._add(found, segment, plugin, plugin.computeStatistics(segment))
        names = [info["name"] for info in found["MeasurementInfo"].values()]
        if len(set(names)) < len(names):
            raise ValueError(f"two columns have one name: {sorted(names)}")
        self._statistics = found

    def _add(self, found: dict[Any, Any], segment: str, plugin: Any, values: dict[str, Any]) -> None:
        for key, value in values.items():
            info = plugin.getMeasurementInfo(key)
            if key not in plugin.getRequestedKeys() or not info or not info["description"]:
                raise ValueError(f"{plugin.name} measured {key}, which nobody asked for, or does not say what it is")
            found[segment, plugin.toLongKey(key)] = value
            found["MeasurementInfo"][plugin.toLongKey(key)] = info
