"""Where in a scene something is, as one html file that needs nothing else: the scene, a heat map, the best tiles.

It shares the look and the cards of the gallery. It works without script; the one there is, allowed by its hash alone,
tells the score of the tile under the pointer.
"""

from __future__ import annotations

import base64
import hashlib
import io
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final

from ..errors import RsragError
from ..transcript.files import replace_file
from .gallery import Card, _card, _safe
from .search_tiles import place_of, score_of, word

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..tile_search import TileHit, TileSearch

SIDE: Final = 1400  # pixels of the scene's picture
THUMB: Final = 320
MOST: Final = 6000  # tiles drawn; the best of them

_SCRIPT: Final = """
const told = document.getElementById("told"), first = told.textContent;
for (const cell of document.querySelectorAll("rect.heat")) {
  const say = () => { told.textContent = cell.querySelector("title").textContent; };
  cell.addEventListener("pointerenter", say);
  cell.addEventListener("click", say);
  cell.addEventListener("pointerleave", () => { told.textContent = first; });
}
"""


def write_heat_page(path: Path, found: TileSearch) -> None:
    """Write the page. All text is untrusted and escaped. Raises `RsragError` when it cannot be written."""
    scene = found.scene
    shown = found.tiles[:MOST]
    font = max(scene.width, scene.height) / 45
    style = Path(__file__).with_name("gallery.html").read_text("utf-8").partition("<style>")[2].partition("</style>")[0]
    blank = f" · {found.blank:,} blank tiles left out" if found.blank else ""
    page = Template(Path(__file__).with_name("heat_page.html").read_text("utf-8")).substitute(
        digest=base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode(),
        script=_SCRIPT,
        style=style,
        query=_safe(found.query),
        scene=_safe(Path(scene.uri).name),
        tally=f"{len(found.best):,} best of {len(found.tiles):,} tiles{blank}"
        + (f" · the map shows the best {MOST:,}" if len(shown) < len(found.tiles) else ""),
        width=scene.width,
        height=scene.height,
        font=f"{font:.0f}",
        halo=f"{font / 6:.1f}",
        picture=_picture(found),
        cells="\n".join(_cells(found, shown)),
        marks="\n".join(_mark(hit, font) for hit in reversed(found.best)),
        high=score_of(shown[0]),
        cards="\n".join(f"<li>{_card(_of(found, hit))}</li>" for hit in found.best),
        footer=_explained(found),
    )
    replace_file(path, page.encode("utf-8", "replace"))


def _cells(found: TileSearch, shown: Sequence[TileHit]) -> list[str]:
    """A square for each tile, which ends in the middle of what it shares with its neighbours; clear up to the mean."""
    low, high = sum(hit.cosine for hit in found.tiles) / len(found.tiles), shown[0].cosine
    starts = [sorted({hit.region[axis] for hit in found.tiles}) for axis in (0, 1)]
    cells = []
    for hit in shown:
        x, w = _cell(hit.region.x, hit.region.w, starts[0])
        y, h = _cell(hit.region.y, hit.region.h, starts[1])
        share = max(0.0, hit.cosine - low) / (high - low) if high > low else 0.0
        place = place_of(found, hit)
        title = (
            f"Score {score_of(hit)}{f', {word(hit)}' if word(hit) else ''} · pixels {','.join(map(str, hit.region))}"
        )
        title += f" · {place}" if place else ""
        cells.append(
            f'<rect class="heat" x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" fill-opacity="{0.7 * share:.2f}">'
            f"<title>{title}</title></rect>"
        )
    return cells


def _cell(start: int, size: int, starts: Sequence[int]) -> tuple[float, float]:
    """(beginning, length) without half of each overlap with the tiles beside."""
    position = bisect_left(starts, start)
    before = starts[position - 1] + size if position else start
    after = starts[position + 1] if position + 1 < len(starts) else start + size
    # Where blank tiles are missing between, there is no overlap.
    left = (start + before) / 2 if before > start else start
    right = (start + size + after) / 2 if after < start + size else start + size
    return left, right - left


def _mark(hit: TileHit, font: float) -> str:
    x, y, w, h = hit.region
    box = f'x="{x}" y="{y}" width="{w}" height="{h}"'
    return (
        f'<rect class="under" {box} pointer-events="none"/><rect class="best" {box} pointer-events="none"/>'
        f'<a href="#r{hit.rank}"><text x="{x + font / 4:.0f}" y="{y + font:.0f}">{hit.rank}</text></a>'
    )


def _of(found: TileSearch, hit: TileHit) -> Card:
    window = found.window(hit)
    try:
        thumbnail = _jpeg(window.rgb(THUMB))
    except RsragError:  # gone or changed since it was looked at; the card says so
        thumbnail = None
    return Card(
        rank=hit.rank,
        kind="image",
        title=f"Row {hit.row}, column {hit.column}",
        text=f"Score {score_of(hit)}\nPixels {','.join(map(str, hit.region))}"
        + (f"\nMiddle {place}" if (place := place_of(found, hit)) else ""),
        bbox=window.bbox,
        strength=word(hit),
        image_bytes=thumbnail,
    )


def _picture(found: TileSearch) -> str:
    return base64.b64encode(_jpeg(found.scene.rgb(SIDE))).decode()


def _jpeg(pixels: NDArray) -> bytes:  # type: ignore[type-arg]
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=82)
    return buffer.getvalue()


def _explained(found: TileSearch) -> str:
    scored = "standard deviations above all tiles of the scene" if found.tiles[0].lead is not None else "cosines"
    text = f"Scores are {scored}; the scene's best tile is where to look first, and need not show what was asked for."
    if any(word(hit) for hit in found.best):
        text += " Strong, fair and weak tell how far a tile lies above unrelated images and texts."
    return text
