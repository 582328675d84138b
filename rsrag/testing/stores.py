"""A knowledge base of six records and a scene that lies near one of them: small, real, and made in a moment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from rsrag import BBox, Fact, KnowledgeBase, Plugins, Record, Scene, Section, open_scene

from .encoders import COLOURS, FakeEncoder
from .rasters import make_geotiff, make_image

if TYPE_CHECKING:
    from rsrag.interfaces import Encoder

# Subject, colour of its image, what is known about it. FakeEncoder ranks images by their colours.
_CLASSES = (
    ("class/harbour", "Harbour", "blue", "A harbour shelters ships. Seen from above it shows quays and blue water."),
    ("class/forest", "Forest", "green", "A forest is land under trees. Its canopy is green in summer."),
    ("class/desert", "Desert", "yellow", "A desert gets less than 250 mm of rain a year. Its sand looks yellow."),
    ("class/town", "Town", "red", "A town has streets and houses. Red roofs of tiles are typical."),
)
PLACE = BBox(9.90, 53.50, 10.00, 53.56)
"""Where the record "port" lies, in degrees; `make_scene` writes a scene inside it."""


class SampleSource:
    """Six records: four classes with text and an image of one colour each, a port with a box, facts and a date, and a
    passage of its own about it. `folder` receives the images, 32 x 32 pixels."""

    name: ClassVar[str] = "sample"
    role: Literal["reference", "mine"] = "reference"

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.problems: list[tuple[str, str]] = []

    @property
    def root(self) -> Path:
        """The folder that images are relative to."""
        return self.folder

    def __len__(self) -> int:
        return len(_CLASSES) + 2

    def records(self) -> Iterator[Record]:
        for subject, title, colour, text in _CLASSES:
            image = f"{title.lower()}.png"
            if not (self.folder / image).exists():
                make_image(self.folder / image, color=COLOURS[colour], size=(32, 32))
            yield Record(
                id=title.lower(),
                subject=subject,
                title=title,
                sections=(Section("label", title.lower()), Section("about", text)),
                images=(image,),
                facets={"feature": "class", "colour": colour},
                license="CC0-1.0",
            )
        yield Record(
            id="port",
            subject="place/port",
            title="Port of Hamburg",
            aliases=("Hamburger Hafen",),
            text="The port of Hamburg is a harbour on the river Elbe. Its container terminals were opened in 1968.",
            facts=(Fact("place/port", "quay length", 43, "km"), Fact("place/port", "opened", 1189)),
            facets={"feature": "port", "country": "Germany"},
            bbox=PLACE,
            acquired=datetime(2021, 6, 1, tzinfo=UTC),
            url="https://example.org/port",
            license="CC0-1.0",
        )
        yield Record(
            id="port-history",
            subject="place/port",
            title="History of the port",
            text="The harbour grew after 1866, when the basin Sandtorhafen was dug.",
            facets={"feature": "history", "country": "Germany"},
            license="CC0-1.0",
        )


def make_knowledge_base(
    path: str | Path, encoder: Encoder | None = None, plugins: Plugins | None = None
) -> KnowledgeBase:
    """A knowledge base at `path` that holds the records of `SampleSource`; close it when done.

    `encoder` defaults to a `FakeEncoder`, `plugins` to the built-ins alone.
    """
    chosen: Any = encoder or FakeEncoder()
    kb = KnowledgeBase(path, chosen, plugins=plugins or Plugins(external=False))
    kb.add(SampleSource(Path(path) / "sample"))
    return kb


def make_scene(path: str | Path) -> Scene:
    """Write a GeoTIFF of 64 x 64 pixels of 10 m inside `PLACE` and open it: uint8, bands red, green, blue and nir,
    water on the left half and meadow on the right, acquired on 2021-07-01."""
    import numpy as np

    data = np.empty((4, 64, 64), np.uint8)
    data[:3, :, :32] = np.array(COLOURS["blue"], np.uint8)[:, None, None]
    data[:3, :, 32:] = np.array(COLOURS["green"], np.uint8)[:, None, None]
    data[3, :, :32], data[3, :, 32:] = 10, 220
    file = make_geotiff(
        path,
        data=data,
        crs="EPSG:32632",
        origin=(563_000.0, 5_931_600.0),
        res=10.0,
        descriptions=("red", "green", "blue", "nir"),
        tags={"TIFFTAG_DATETIME": "2021:07:01 10:30:00"},
    )
    return open_scene(file, Plugins(external=False))
