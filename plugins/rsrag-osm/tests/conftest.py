"""A small region, made by the tests themselves: nothing of OpenStreetMap's is shipped."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from rsrag import Scene, open_scene
from rsrag.testing import make_geotiff, make_image

settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
settings.load_profile("ci")

Ring = Sequence[tuple[float, float]]
LON, LAT = 10.0, 53.5
STEP = 0.001  # degrees: 66 m to the east, 111 m to the north


class Region:
    """Builds an .osm file: positions are in steps from (LON, LAT), nodes are made as they are needed."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.ways: list[str] = []
        self.relations: list[str] = []
        self.count = 1000

    def node(self, x: float, y: float, number: int = 0, **tags: str) -> int:
        self.count += 1
        number = number or self.count
        lon, lat = LON + x * STEP, LAT + y * STEP
        self.parts.append(f'<node id="{number}" version="1" lon="{lon:.7f}" lat="{lat:.7f}">{_xml(tags)}</node>')
        return number

    def way(self, number: int, points: Ring, **tags: str) -> int:
        """A closed ring where the first point comes last again."""
        nodes = [self.node(x, y) for x, y in (points[:-1] if points[0] == points[-1] else points)]
        return self.way_of(number, nodes + nodes[:1] if points[0] == points[-1] else nodes, **tags)

    def way_of(self, number: int, nodes: Sequence[int], **tags: str) -> int:
        refs = "".join(f'<nd ref="{n}"/>' for n in nodes)
        self.ways.append(f'<way id="{number}" version="1">{refs}{_xml(tags)}</way>')
        return number

    def relation(self, number: int, members: Sequence[tuple[int, str]], **tags: str) -> None:
        refs = "".join(f'<member type="way" ref="{ref}" role="{role}"/>' for ref, role in members)
        self.relations.append(f'<relation id="{number}" version="1">{refs}{_xml(tags)}</relation>')

    def write(self, path: Path) -> Path:
        body = "".join([*self.parts, *self.ways, *self.relations])
        path.write_text(f'<?xml version="1.0"?><osm version="0.6">{body}</osm>', encoding="utf-8")
        return path


def _xml(tags: Mapping[str, str]) -> str:
    from xml.sax.saxutils import quoteattr

    return "".join(f"<tag k={quoteattr(k.replace('__', ':'))} v={quoteattr(v)}/>" for k, v in tags.items())


def square(x: float, y: float, side: float = 1.0) -> list[tuple[float, float]]:
    return [(x, y), (x + side, y), (x + side, y + side), (x, y + side), (x, y)]


def village() -> Region:
    """A hospital with a height in feet, a school among four houses, a road, a wood with a clearing, a café."""
    region = Region()
    region.node(8, 8, 1, amenity="cafe", name="Zum Anker", **{"name:en": "The Anchor", "addr:city": "Altdorf"})
    region.node(5, 9, 2, amenity="bench")
    region.node(9, 1, 3, natural="tree")
    hospital = {"name": "St. Mary's", "height": "60 ft", "beds": "120", "start_date": "1924", "operator": "County"}
    region.way(11, square(1, 1, 2), amenity="hospital", **hospital)
    region.way(12, square(6, 4, 1), amenity="school", name="Dorfschule", capacity="tall")
    for number, (x, y) in enumerate([(5.4, 3.4), (7.3, 3.4), (5.4, 5.3), (7.3, 5.3)], 21):
        region.way(number, square(x, y, 0.3), building="yes")
    region.way(
        31, [(0, 3.5), (10, 3.5)], highway="residential", name="Hauptstraße", maxspeed="50 mph", surface="gravel"
    )
    outer = region.way(41, square(1, 6, 3))
    inner = region.way(42, square(2, 7, 1))
    region.relation(
        51, [(outer, "outer"), (inner, "inner")], type="multipolygon", natural="wood", name="Kirchholz",
        leaf_type="mixed",
    )  # fmt: skip
    return region


@pytest.fixture(autouse=True)
def private_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the user's own cache, settings or stores."""
    home = tmp_path_factory.mktemp("home")
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(home if name == "HOME" else home / name.lower()))
    return home


@pytest.fixture
def extract(tmp_path: Path) -> Path:
    return village().write(tmp_path / "village.osm")


@pytest.fixture
def make_scene(tmp_path: Path) -> Callable[..., Scene]:
    """A georeferenced scene over a box in steps: west, south, east, north."""

    def make(west: float = 0, south: float = 0, east: float = 10, north: float = 10, name: str = "scene") -> Scene:
        bounds = (LON + west * STEP, LAT + south * STEP, LON + east * STEP, LAT + north * STEP)
        return open_scene(make_geotiff(tmp_path / f"{name}.tif", crs="EPSG:4326", bounds=bounds, size=(32, 32)))

    return make


@pytest.fixture
def labelled(tmp_path: Path) -> Callable[..., Path]:
    """An image with sidecars in GeoLink's form: form -> [(label, coordinates in steps)]."""

    def make(name: str, **forms: list[tuple[str, Any]]) -> Path:
        folder = tmp_path / "labelled"
        image = make_image(folder / f"{name}.jpg", size=(24, 24), seed=len(name))
        for form, items in forms.items():
            kind = {"point": "Point", "line": "LineString", "polygon": "Polygon"}[form]
            write_geojson(folder / f"{name}_{form}.geojson", [(kind, at, {"label": label}) for label, at in items])
        return image

    return make


def write_geojson(path: Path, items: Sequence[tuple[str, Any, Mapping[str, Any]]], **more: Any) -> Path:
    """Features of (geometry type, coordinates in steps, properties)."""

    def placed(at: Any) -> Any:
        if isinstance(at[0], int | float):
            return [LON + at[0] * STEP, LAT + at[1] * STEP]
        return [placed(each) for each in at]

    features = [
        {"type": "Feature", "properties": dict(properties), "geometry": {"type": kind, "coordinates": placed(at)}}
        for kind, at, properties in items
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, **more}), encoding="utf-8")
    return path
