"""Registering our features in Slicer's module Segment Statistics. The plug-in itself is `segmentstatisticsplugin`."""

from __future__ import annotations

import importlib.util


def register() -> bool:
    """Once an application, by whichever of our modules comes first; whether this call did it."""
    if importlib.util.find_spec("SegmentStatistics") is None:
        return False
    from SegmentStatistics import SegmentStatisticsLogic  # type: ignore[import-not-found]

    from .segmentstatisticsplugin import ImageTranslationRadiomicsPlugin

    known = [plugin.__name__ for plugin in SegmentStatisticsLogic.registeredPlugins]
    if ImageTranslationRadiomicsPlugin.__name__ in known:
        return False
    SegmentStatisticsLogic.registerPlugin(ImageTranslationRadiomicsPlugin())
    return True
