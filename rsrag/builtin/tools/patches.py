"""The largest patches of a class map as GeoJSON, to be opened in a map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from rsrag import Scene

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST: Final = 25


def patches(
    classes: NDArray[np.int8], labels: Mapping[int, str], scene: Scene, areas: NDArray[np.float64]
) -> dict[str, Any] | None:
    """A FeatureCollection of the 25 largest patches whose class has a label, the largest first.

    Each has properties `change` (the label) and `hectares`, and a polygon in degrees (four-connected pixels, edges
    along them). `classes` and `areas` (square metres) are (H, W) over `scene`; None when that has no place on Earth.
    """
    import numpy as np
    from pyproj import Transformer
    from rasterio.features import rasterize, shapes

    if not scene.crs or not scene.transform:
        return None
    kept = np.where(np.isin(classes, list(labels)), classes, -128).astype(np.int16)
    found = [(shape, int(value)) for shape, value in shapes(kept, mask=kept > -128)]
    # Corners of a patch are pixels: the shoelace formula counts them, which is enough to tell the largest.
    found = sorted(found, key=lambda item: -_pixels(item[0]["coordinates"]))[:MOST]
    to_degrees = Transformer.from_crs(scene.crs, "EPSG:4326", always_xy=True)
    a, b, c, d, e, f = scene.transform[:6]
    features = []
    for shape, value in found:
        inside = rasterize([shape], out_shape=classes.shape).astype(bool)
        rings = []
        for ring in shape["coordinates"]:
            x, y = np.array(ring, float).T
            lon, lat = to_degrees.transform(a * x + b * y + c, d * x + e * y + f)
            # Over the antimeridian longitudes run on, so that no edge goes around the Earth.
            rings.append(np.round(np.column_stack([np.unwrap(lon, period=360), lat]), 6).tolist())
        facts = {"change": labels[value], "hectares": round(float(areas[inside].sum()) / 1e4, 2)}
        geometry = {"type": "Polygon", "coordinates": rings}
        features.append({"type": "Feature", "geometry": geometry, "properties": facts})
    return {"type": "FeatureCollection", "features": features}


def _pixels(rings: list[list[tuple[float, float]]]) -> float:
    import numpy as np

    sizes = []
    for ring in rings:
        x, y = np.array(ring, float).T
        sizes.append(abs(float(x[:-1] @ y[1:] - x[1:] @ y[:-1])) / 2)
    return sizes[0] - sum(sizes[1:])
