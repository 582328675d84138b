"""docs/scenes.md is true: its lists are those of the code, its sidecar and its commands work."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rsrag.bands import ROLES, profiles
from rsrag.display import COMPOSITES
from rsrag.scene import open_scene
from rsrag.testing.rasters import make_geotiff

PAGE = (Path(__file__).parent.parent / "docs" / "scenes.md").read_text(encoding="utf-8")


def test_the_roles_are_all() -> None:
    (listed,) = re.findall(r"\n    (aerosol .*?)\n\n", PAGE, re.DOTALL)
    assert tuple(listed.split()) == ROLES


def test_the_profiles_are_all() -> None:
    listed = re.search(r"with the source of each\): (.*?)\.\n", PAGE, re.DOTALL)
    assert listed
    names = [part.split(" (")[0].strip() for part in listed[1].replace("\n", " ").split(",")]
    assert sorted(names) == sorted(profiles())


def test_the_composites_are_all() -> None:
    assert all(f'"{name}"' in PAGE for name in [*COMPOSITES, "sar"])


def test_the_sidecar_works(tmp_path: Path) -> None:
    (text,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    path = make_geotiff(tmp_path / "scene.tif", bands=4, dtype="uint16")
    path.with_suffix(".json").write_text(text)
    scene = open_scene(path)
    assert scene.roles == tuple(json.loads(text)["bands"]) and scene.sensor == "Landsat 5" and scene.gsd_m == 89
    assert scene.scale == (0.0001,) * 4 and scene.acquired_precision == "year"
    assert not any("sense" in note for note in scene.notes)


@pytest.mark.parametrize(
    "name", ["20200715", "2020-07-15", "20200715T101031", "2020-197", "2020197", "15-Jul-2020", "2020_07", "1985"]
)
def test_the_dates_are_read(tmp_path: Path, name: str) -> None:
    assert f"`{name}`" in PAGE
    assert open_scene(make_geotiff(tmp_path / f"a_{name}.tif")).acquired is not None
