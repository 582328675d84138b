"""Pictures that tools write: plain PNGs, and figures through matplotlib in one house style.

Figures go through matplotlib's objects and the Agg canvas, never through pyplot, so that threads may draw at once.
A file is named after its content: drawing the same thing twice gives one file.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rsrag import RsragError, Scene

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from numpy.typing import NDArray

DPI: Final = 120
SMALL: Final = 8.0  # points; titles are TITLE
TITLE: Final = 10.0
INK: Final = "#222222"
GAP: Final = "#d9d9d9"  # where there is no data
# Okabe and Ito's eight colours, which people with any kind of colour vision can tell apart (Okabe & Ito 2008).
PALETTE: Final = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7", "#F0E442", "#000000")
_ROUND: Final = (1, 2, 5)


def picture(pictures: Path, stem: str, rgb: NDArray[np.uint8]) -> str:
    """Write uint8 (H, W, 3) as `stem-HASH.png` into the folder `pictures`; returns the file's path.

    Raises `RsragError` when the folder cannot be written."""
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(rgb).save(data, "PNG")
    return _keep(pictures, stem, data.getvalue())


def figure(pictures: Path, stem: str, size_inches: tuple[float, float], draw: Callable[[Figure], None]) -> str:
    """Write what `draw` puts into a fresh figure as `stem-HASH.png`; returns the file's path.

    The layout fits everything drawn inside `size_inches` (width, height), at 120 dots per inch.
    Raises `RsragError` when the folder cannot be written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    sheet = Figure(figsize=size_inches, dpi=DPI, layout="constrained", facecolor="white")
    canvas = FigureCanvasAgg(sheet)
    draw(sheet)
    data = io.BytesIO()
    # A version in the file would change its hash.
    canvas.print_png(data, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return _keep(pictures, stem, data.getvalue())


def side_by_side(
    pictures: Path, stem: str, panels: Sequence[tuple[str, NDArray[np.uint8]]], pixel_m: float | None = None
) -> str:
    """Write pictures uint8 (H, W, 3) next to each other (at most four in a row), each under its title.

    `pixel_m` is the size of a pixel of the first picture in metres, for its scale bar."""

    def draw(sheet: Figure) -> None:
        for n, (axes, (title, image)) in enumerate(zip(grid(sheet, len(panels)), panels, strict=True)):
            show(axes, image, title)
            if n == 0 and pixel_m:
                scale_bar(axes, pixel_m, image.shape[1])

    shape = panels[0][1].shape
    return figure(pictures, stem, sheet_size(len(panels), shape[1] / shape[0]), draw)


def sheet_size(
    count: int, aspect: float, panel: float = 3.2, extra: float = 0.0, columns: int = 4
) -> tuple[float, float]:
    """(width, height) in inches for `count` panels of that width:height, `extra` inches of height for a legend."""
    columns = min(count, columns)
    rows = math.ceil(count / columns)
    high = min(max(panel / aspect, 1.2), 2 * panel)
    return columns * panel + 0.1, rows * (high + 0.35) + extra


def grid(sheet: Figure, count: int, columns: int = 4) -> list[Axes]:
    """`count` axes, at most `columns` in a row."""
    columns = min(count, columns)
    rows = math.ceil(count / columns)
    return [sheet.add_subplot(rows, columns, n + 1) for n in range(count)]


def show(
    axes: Axes,
    image: NDArray[np.uint8] | NDArray[np.float32],
    title: str = "",
    colours: str = "viridis",
    limits: tuple[float, float] | None = None,
) -> AxesImage:
    """Draw a picture (H, W, 3), or values (H, W) in `colours` over `limits`, NaN in grey; no ticks."""
    import numpy as np
    from matplotlib import colormaps

    if image.ndim == 3:
        drawn = axes.imshow(image, interpolation="nearest")
    else:
        table = colormaps[colours].with_extremes(bad=GAP)
        low, high = limits or (None, None)
        drawn = axes.imshow(np.ma.masked_invalid(image), cmap=table, vmin=low, vmax=high, interpolation="nearest")
    axes.set_axis_off()
    if title:
        axes.set_title("\n".join(textwrap.wrap(plain(title), 44)), fontsize=TITLE, color=INK)
    return drawn


def colour_bar(sheet: Figure, axes: Axes, drawn: ScalarMappable, label: str) -> None:
    """A colour bar to the right of `axes`, pointed at both ends: values may lie beyond it."""
    bar = sheet.colorbar(drawn, ax=axes, fraction=0.046, pad=0.02, extend="both")
    bar.set_label(plain(label), fontsize=SMALL, color=INK)
    bar.ax.tick_params(labelsize=SMALL, colors=INK)


def natural(scene: Scene, max_side: int) -> NDArray[np.uint8]:
    """uint8 (H, W, 3) in natural colour: one stretch for red, green and blue together, so that sand stays yellow and
    water blue. The scene as it is usually shown where its scale or one of the bands is not known."""
    import numpy as np

    roles = ("red", "green", "blue")
    if not scene.scale or not set(roles) <= set(scene.roles):
        return scene.rgb(max_side)
    image = np.moveaxis(scene.reflectance(roles, max_side=max_side), 0, 2)
    if not np.isfinite(image).any():
        return scene.rgb(max_side)
    low, high = np.nanpercentile(image, (1, 99))
    return np.asarray(np.nan_to_num(np.clip((image - low) / max(high - low, 1e-6), 0, 1)) * 255, np.uint8)


def classes_as_rgb(classes: NDArray[np.integer], colours: Sequence[str]) -> NDArray[np.uint8]:
    """uint8 (H, W, 3): class numbers from 0 in `colours` (#rrggbb), negative numbers (no data) in grey."""
    import numpy as np

    table = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in (*colours, GAP)], np.uint8)
    return np.asarray(table[np.where(classes < 0, len(colours), classes)])


def map_legend(sheet: Figure, entries: Sequence[tuple[str, str]], columns: int = 0) -> None:
    """A legend of (label, colour) patches below all panels."""
    from matplotlib.patches import Patch

    patches = [Patch(facecolor=colour, edgecolor=INK, linewidth=0.4, label=plain(label)) for label, colour in entries]
    sheet.legend(
        handles=patches,
        loc="outside lower center",
        ncols=columns or min(len(patches), 4),
        fontsize=SMALL,
        frameon=False,
        labelcolor=INK,
    )


def scale_bar(axes: Axes, pixel_m: float, width: int) -> None:
    """A bar of a round length, about a quarter of a picture `width` pixels wide, at its lower left."""
    target = pixel_m * width / 4
    power = 10.0 ** math.floor(math.log10(target))
    metres = max(n * power for n in _ROUND if n * power <= target)
    share = metres / pixel_m / width
    label = f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"
    for colour, thick in (("black", 4.5), ("white", 2.5)):
        axes.plot([0.04, 0.04 + share], [0.05, 0.05], transform=axes.transAxes, color=colour, linewidth=thick,
                  solid_capstyle="butt")  # fmt: skip
    from matplotlib.patheffects import withStroke

    axes.text(
        0.04 + share / 2, 0.065, label, transform=axes.transAxes, ha="center", va="bottom", fontsize=SMALL,
        color="white", path_effects=[withStroke(linewidth=2, foreground="black")],
    )  # fmt: skip


def tidy(axes: Axes, title: str = "", x: str = "", y: str = "") -> None:
    """House style for a chart: light grid, no box, small type."""
    axes.grid(True, color="#e5e5e5", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=SMALL, colors=INK)
    axes.set_xlabel(plain(x), fontsize=SMALL, color=INK)
    axes.set_ylabel(plain(y), fontsize=SMALL, color=INK)
    if title:
        axes.set_title(plain(title), fontsize=TITLE, color=INK, loc="left")


def plain(text: str) -> str:
    """Text from files as matplotlib should draw it: a dollar sign must not start mathematics."""
    return "".join(c for c in text if c.isprintable() or c == "\n").replace("$", r"\$")


def _keep(pictures: Path, stem: str, data: bytes) -> str:
    """Write under a name made of the stem and the content; a file that is there already is the same one."""
    words = re.sub(r"[^\w.-]+", "-", stem).strip("-.")[:80] or "picture"
    path = pictures / f"{words}-{hashlib.sha256(data).hexdigest()[:10]}.png"
    try:
        if not path.exists():
            partly = path.with_name(f".{path.name}.{id(data):x}")  # readers never see half a picture
            partly.write_bytes(data)
            partly.replace(path)
    except OSError as error:
        raise RsragError(f"the picture {path} cannot be written: {error.strerror}.", "Check the folder.") from error
    return str(path)
