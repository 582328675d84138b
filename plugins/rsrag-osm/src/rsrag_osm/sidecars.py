"""Sidecars in GeoLink's form: beside scene.jpg lie scene_point.geojson, scene_line.geojson, scene_polygon.geojson.

Each holds the features inside the image, clipped to it, with a property `label` of "key:value;key:value".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from .features import Feature, Losses
from .geojson import read_geojson

FORMS: Final = ("point", "line", "polygon")


def sidecars_of(image: Path) -> list[Path]:
    """The sidecars that lie beside an image; an image whose stem ends in "_" may have one or two before the form."""
    stems = (image.stem, image.stem.rstrip("_"))
    return [
        file
        for form in FORMS
        for file in dict.fromkeys(image.with_name(f"{stem}_{form}.geojson") for stem in stems)
        if file.is_file()
    ]


def read_sidecars(files: Sequence[Path], losses: Losses) -> list[Feature]:
    """The features of an image's sidecars. Raises `RsragError` for one that cannot be read."""
    return [
        Feature(f"{file.stem}/{feature.osm}", feature.tags, feature.shape)
        for file in files
        for feature in read_geojson(file, losses)
    ]


def ground_of(features: Sequence[Feature]) -> Any:
    """The ground of an image that is known only by its features: the box around them, in degrees.

    They are clipped to the image, so that the box is the image's wherever a feature reaches each of its edges.
    """
    import shapely

    box = shapely.box(*shapely.total_bounds([feature.shape for feature in features]))
    return box if box.area > 0 else box.buffer(1e-5)  # one lonely point still lies somewhere
