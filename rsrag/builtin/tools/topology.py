"""Outlines of areas that share their lines: each border is kept once, as a line that two areas refer to."""

from __future__ import annotations

import json
import zlib
from io import BytesIO
from itertools import accumulate
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import shapely

if TYPE_CHECKING:
    from numpy.typing import NDArray


def outlines(raw: bytes) -> tuple[list[dict[str, Any]], list[Any]]:
    """(properties, multipolygons in degrees) of a NumPy archive whose arrays follow the parts of a TopoJSON file.

    `x` and `y` (n,) are whole steps along the lines, one line after the other, each beginning with its first point as
    counted from 0, 0; `grid` (1,) says how many steps make a degree and `lines` how many points each line has. `rings`
    names the lines of each ring in turn, ~i being line i from its end; `of_ring`, `of_polygon` and `of_area` say how
    many lines, rings and polygons each ring, polygon and area has. `properties` are the bytes of a JSON list with an
    object for each area. Raises ValueError or LookupError for another file.
    """
    try:
        with np.load(BytesIO(raw), allow_pickle=False) as given:
            file = {name: given[name] for name in given.files}
    except (BadZipFile, EOFError, OSError, zlib.error) as error:
        raise ValueError(str(error)) from error
    ends = np.cumsum(file["lines"])
    points = _positions(np.stack([file["x"], file["y"]], axis=1), ends) / file["grid"]
    lines = np.split(points, ends[:-1])
    numbers = file["rings"].tolist()
    stops = list(accumulate(file["of_ring"].tolist()))
    rings = [_ring(lines, numbers[i:j]) for i, j in zip([0, *stops], stops, strict=False)]
    offsets = tuple(
        np.cumsum([0, *sizes]) for sizes in ([len(ring) for ring in rings], file["of_polygon"], file["of_area"])
    )
    areas = shapely.from_ragged_array(shapely.GeometryType.MULTIPOLYGON, np.concatenate(rings), offsets)
    return json.loads(file["properties"].tobytes()), areas.tolist()


def _positions(steps: NDArray[np.int32], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Points (n, 2) on the grid from the steps of all lines, each of which ends before an index of `ends`."""
    walked = np.cumsum(steps, axis=0, dtype=np.int64)
    before = np.concatenate([np.zeros((1, 2), np.int64), walked[ends[:-1] - 1]])  # where the line before has ended
    return np.asarray(walked - np.repeat(before, np.diff(ends, prepend=0), axis=0))


def _ring(lines: list[NDArray[np.float64]], numbers: list[int]) -> NDArray[np.float64]:
    parts = [lines[i] if i >= 0 else lines[~i][::-1] for i in numbers]
    # A line starts where the one before it ended.
    return np.concatenate([parts[0], *(part[1:] for part in parts[1:])]) if len(parts) > 1 else parts[0]
