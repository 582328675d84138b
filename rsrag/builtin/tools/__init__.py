"""The geo tools that come with rsrag: what a scene is, where it lies, what its bands say, and what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsrag import hookimpl

if TYPE_CHECKING:
    from rsrag.interfaces import GeoTool


@hookimpl
def rsrag_tools() -> list[type[GeoTool]]:
    """What a scene is and where it lies; what its bands say; what changed, and what is like it."""
    from .burn import BurnSeverity
    from .change import Change
    from .compare import Compare
    from .describe import DescribeScene
    from .geocode import Geocode
    from .land_cover import LandCoverEstimate
    from .locate import Locate
    from .measure import Measure
    from .nearby import Nearby
    from .sar import SarStats
    from .similar_places import SimilarPlaces
    from .spectral_index import SpectralIndex
    from .time_series import TimeSeries
    from .water import WaterExtent

    spectral: list[type] = [SpectralIndex, Measure, LandCoverEstimate, WaterExtent, BurnSeverity, SarStats]
    return [DescribeScene, Locate, *spectral, Change, TimeSeries, Compare, SimilarPlaces, Geocode, Nearby]
