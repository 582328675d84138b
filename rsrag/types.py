"""The nouns everything else is said in: frozen, slotted dataclasses without any I/O.

Angles are degrees in EPSG:4326, lengths metres unless the name says otherwise, times aware datetimes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from .errors import SceneError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FacetValue = str | int | float | bool | tuple[str, ...]
Interval = tuple[datetime | None, datetime | None]


# -- places, numbers ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BBox:
    """A box in EPSG:4326 degrees. `west > east` means that it crosses the antimeridian.

    Raises `UsageError` for a latitude outside -90..90, a longitude outside -180..180, or south > north.
    """

    west: float
    south: float
    east: float
    north: float

    def __post_init__(self) -> None:
        values = (self.west, self.south, self.east, self.north)
        if not all(-1e9 < v < 1e9 for v in values):  # also refuses NaN
            raise UsageError(f"box {values} holds a value that is not a finite number.", "Give W,S,E,N in degrees.")
        if not (-90 <= self.south <= 90 and -90 <= self.north <= 90):
            raise UsageError(
                f"latitude outside -90..90 in box {self.west:g},{self.south:g},{self.east:g},{self.north:g}.",
                "The order is west,south,east,north (longitude first); latitude and longitude look swapped.",
            )
        if not (-180 <= self.west <= 180 and -180 <= self.east <= 180):
            raise UsageError(
                f"longitude outside -180..180 in box {self.west:g},{self.south:g},{self.east:g},{self.north:g}.",
                "Give W,S,E,N in degrees; a box over the antimeridian has west > east.",
            )
        if self.south > self.north:
            raise UsageError(
                f"south {self.south:g} lies above north {self.north:g}.", "The order is west,south,east,north."
            )

    @property
    def crosses_antimeridian(self) -> bool:
        return self.west > self.east

    @property
    def center(self) -> tuple[float, float]:
        """(longitude, latitude) of the middle."""
        east = self.east + 360 if self.crosses_antimeridian else self.east
        lon = (self.west + east) / 2
        return (lon - 360 if lon > 180 else lon, (self.south + self.north) / 2)

    def parts(self) -> list[tuple[float, float, float, float]]:
        """One (w, s, e, n) or, over the antimeridian, two; each with w <= e."""
        if self.crosses_antimeridian:
            return [(self.west, self.south, 180.0, self.north), (-180.0, self.south, self.east, self.north)]
        return [(self.west, self.south, self.east, self.north)]

    def intersects(self, other: BBox) -> bool:
        return any(
            a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3] for a in self.parts() for b in other.parts()
        )

    def as_tuple(self) -> tuple[float, float, float, float]:
        return (self.west, self.south, self.east, self.north)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit, as written after a number ("m", "km", "degrees", "" for none)."""

    value: float
    unit: str = ""

    def __str__(self) -> str:
        # From 9999.5 on, four significant digits would be written as 1e+04.
        number = f"{self.value:,.4g}" if abs(self.value) < 9999.5 else f"{self.value:,.0f}"
        return f"{number} {self.unit}".strip()


@dataclass(frozen=True, slots=True)
class Fact:
    """One attribute of a subject: Fact("sensor/sentinel-2", "swath width", 290, "km")."""

    subject: str
    attribute: str
    value: float | str
    unit: str = ""
    when: str = ""


# -- imagery --------------------------------------------------------------------------------------


class PixelReader(Protocol):
    """What a Scene needs to reach its pixels. `rsrag.scene` supplies one for files, plugins for the rest.

    A reader may also have `reduced(bands, max_side)`: float32 (C, h, w), averages whose longer side is at most
    `max_side`, through overviews and without reading everything; and `sample(bands)`: float32 (C, h, w), values from
    across the whole file and the same for each of its windows, from which `Scene.composite` takes its stretch. Where
    they are missing, the scene makes do with `read`. For tiles it may have `steady()`: the same reader, except that
    `rgb` stretches all windows alike; and `reduces(bands, max_side)`: whether so many bands are `reduced` cheaply.
    """

    def rgb(self, max_side: int) -> NDArray[np.uint8]:
        """(H, W, 3), the longer side at most `max_side`."""
        ...

    def read(self, bands: tuple[int, ...]) -> NDArray[np.float32]:
        """(C, H, W) at full resolution, nodata as NaN; `bands` count from 1, empty means all."""
        ...

    def window(self, x: int, y: int, w: int, h: int) -> Scene:
        """A scene over w x h pixels from column x, row y."""
        ...


@dataclass(frozen=True, slots=True)
class Scene:
    """An image, possibly georeferenced. Holds facts about the pixels and a reader for them, not the pixels.

    `uri` is a path or URL; a window's is `file.tif#xywh=x,y,w,h`. `width`, `height` in pixels; `gsd_m` is the
    ground sample distance in metres at the scene's middle; `bands` are names in file order; `footprint` is a
    ring of (lon, lat) corners.

    `acquired` is when; of what is known only to the year or the month, its beginning, and `acquired_precision`
    ("year", "month", "day", "time"; "" where nobody said) tells. `roles` are the bands' standard roles in file order
    (`rsrag.bands.ROLES`: "red", "nir", "swir1" ...; "" where unknown), and `bands_from` says where names and roles
    are from. A physical value is `value * scale + offset`, one of each per band; both empty: not known.
    `stretched`: whether values are stretched for display and no measure of reflectance; None: not known.
    """

    uri: str
    width: int
    height: int
    reader: PixelReader = field(repr=False, compare=False)
    bbox: BBox | None = None
    footprint: tuple[tuple[float, float], ...] = ()
    crs: str | None = None
    transform: tuple[float, ...] | None = None
    gsd_m: float | None = None
    acquired: datetime | None = None
    sensor: str | None = None
    bands: tuple[str, ...] = ()
    dtype: str = "uint8"
    nodata: float | None = None
    notes: tuple[str, ...] = ()
    acquired_precision: Literal["", "year", "month", "day", "time"] = ""
    roles: tuple[str, ...] = ()
    scale: tuple[float, ...] = ()
    offset: tuple[float, ...] = ()
    bands_from: str = ""
    stretched: bool | None = None

    def rgb(self, max_side: int = 512) -> NDArray[np.uint8]:
        """uint8 (H, W, 3) for display and encoding, the longer side at most `max_side` pixels.

        Other than 8-bit values are stretched by the percentiles of this very part: most contrast, whatever is beside.
        """
        return self.reader.rgb(max_side)

    def composite(self, name: str = "true-colour", max_side: int = 512) -> NDArray[np.uint8]:
        """uint8 (H, W, 3) of named bands: "true-colour", "false-colour" (near infrared, red, green), "swir" (shortwave
        and near infrared, red) or "sar" (backscatter in dB).

        Stretched by the 2nd and 98th percentile over valid pixels of the whole file, so that its windows match; 8-bit
        values stay as they are. Raises `UsageError` for another name, `SceneError` when a band is missing.
        """
        from .display import composite

        return composite(self, name, max_side)

    def read(self, bands: tuple[int, ...] = (), max_side: int | None = None) -> NDArray[np.float32]:
        """float32 (C, H, W) in the file's own values, nodata as NaN; bands count from 1, none means all.

        At full resolution, or averaged until the longer side is at most `max_side`.
        """
        if max_side is None or 0 < max(self.width, self.height) <= max_side:
            return self.reader.read(bands)
        if hasattr(self.reader, "reduced"):
            values: NDArray[np.float32] = self.reader.reduced(bands, max_side)
            return values
        from .display import averaged

        return averaged(self.reader.read(bands), max_side)

    def band(self, role: str) -> int | None:
        """The number, from 1, of the band with that role; None where it is not known to have one."""
        return self.roles.index(role) + 1 if role and role in self.roles else None

    def reflectance(self, roles: Sequence[str], max_side: int | None = None) -> NDArray[np.float32]:
        """float32 (len(roles), H, W) of the bands with those roles, nodata as NaN: physical values where the scale is
        known, else the file's own. `max_side` as in `read`. Raises `SceneError` naming a role that is missing."""
        numbers = tuple(self.band(role) or 0 for role in roles)
        if 0 in numbers:
            missing = ", ".join(role for role, number in zip(roles, numbers, strict=True) if not number)
            known = ", ".join(role for role in self.roles if role) or "none"
            raise SceneError(
                f"{self.uri} has no band known as {missing} (known: {known}).",
                "Say what its bands are: --bands red,green,... in file order, --sensor, or a sidecar.",
            )
        values = self.read(numbers, max_side)
        if not self.scale:
            return values
        import numpy as np

        factors, shifts = (np.array([v[n - 1] for n in numbers], np.float32) for v in (self.scale, self.offset))
        scaled: NDArray[np.float32] = values * factors[:, None, None] + shifts[:, None, None]
        return scaled

    def window(self, x: int, y: int, w: int, h: int) -> Scene:
        """A scene over part of the same file. Raises `UsageError` when the part lies outside."""
        if w < 1 or h < 1 or x < 0 or y < 0 or x + w > self.width or y + h > self.height:
            raise UsageError(
                f"region {x},{y},{w},{h} is not inside {self.uri} ({self.width} x {self.height} pixels).",
                "Give x,y,w,h in pixels from the top left corner.",
            )
        part = self.reader.window(x, y, w, h)
        return replace(part, **{name: getattr(self, name) for name in _SHARED_BY_WINDOWS})

    def tiles(self, size: int, overlap: int = 0) -> Iterator[Scene]:
        """Windows of `size` pixels over the whole scene, row by row; the last ones are moved inside."""
        for y in tile_starts(self.height, size, overlap):
            for x in tile_starts(self.width, size, overlap):
                yield self.window(x, y, min(size, self.width), min(size, self.height))


def tile_starts(length: int, size: int, overlap: int = 0) -> list[int]:
    """Where tiles of `size` pixels begin along a side of `length`; the last is moved inside. Raises `UsageError`."""
    if overlap < 0:
        raise UsageError(f"overlap {overlap} is negative; it would leave gaps between the tiles.")
    if overlap >= size:
        raise UsageError(f"overlap {overlap} is not smaller than the tile size {size}.")
    return [0] if length <= size else [*range(0, length - size, size - overlap), length - size]


_SHARED_BY_WINDOWS = (
    *("sensor", "acquired", "acquired_precision"),
    *("bands", "roles", "scale", "offset", "bands_from", "stretched"),
)


# -- what sources yield, what is stored -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Section:
    """A named part of a record's text: part "history", "caption", "bands" ...; page and heading for citations.

    Parts "label" and "caption" are short names of what an image shows; they also enter the `names` space.
    """

    part: str
    text: str
    page: int | None = None
    heading: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One thing a source knows about. `id` is stable within its source; `subject` joins images with texts.

    `images` are paths relative to the source's root, or URLs. `version` is a cheap fingerprint of the
    input (size and time of a file, say): equal version means unchanged; "" makes ingest hash the content.
    `vectors=False` keeps a record out of the vector spaces and the words (still found by name and by place), which is
    right for a gazetteer of bare names. `footprint` is a GeoJSON geometry in degrees, where the box alone would claim
    too much. What took some time (a composite of a month) was `acquired` from then until `acquired_until`.
    """

    id: str
    subject: str
    title: str
    text: str = ""
    sections: tuple[Section, ...] = ()
    images: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    facets: Mapping[str, FacetValue] = field(default_factory=dict)
    bbox: BBox | None = None
    acquired: datetime | None = None
    url: str = ""
    license: str = ""
    attribution: str = ""
    version: str = ""
    vectors: bool = True
    footprint: Mapping[str, Any] | None = None
    acquired_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a chunk comes from, in enough detail to find it again in one step."""

    source: str
    record: str
    subject: str = ""
    role: Literal["reference", "mine"] = "mine"
    url: str = ""
    license: str = ""
    attribution: str = ""
    path: str = ""
    page: int | None = None
    heading: str = ""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The unit of retrieval: a text that fits its encoder, or one image.

    `id` = hash(source, record, part, ordinal); `content_hash` decides re-embedding: chunks with equal text or
    equal pixels share one vector.
    """

    id: str
    kind: Literal["text", "image"]
    part: str
    ordinal: int
    title: str
    text: str
    content_hash: str
    provenance: Provenance
    image: str = ""
    facets: Mapping[str, FacetValue] = field(default_factory=dict)
    bbox: BBox | None = None
    acquired: datetime | None = None
    aliases: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        return self.provenance.subject


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What one ingest did. `failed` lists (record or file, reason); `skipped` (what was left out on purpose, how many);
    `seconds` is wall time; `removed` counts records that the source no longer has."""

    source: str
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    failed: tuple[tuple[str, str], ...] = ()
    embedded: int = 0
    seconds: float = 0.0
    skipped: tuple[tuple[str, int], ...] = ()
    removed: int = 0


# -- asking ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Circle:
    """All that lies within `radius_m` metres of a place in degrees, along the ellipsoid."""

    lon: float
    lat: float
    radius_m: float

    def __post_init__(self) -> None:
        BBox(self.lon, self.lat, self.lon, self.lat)  # refuses what are no degrees
        if not 0 < self.radius_m < 1e9:
            raise UsageError(f"a distance of {self.radius_m:g} m is no distance.", "Give a number greater than 0.")


@dataclass(frozen=True, slots=True)
class Season:
    """Months of any year, 1 to 12. With `local` they are those of the northern half of the Earth, and six months later
    south of the equator: "summer" is June to August in Spain and December to February in Chile."""

    months: tuple[int, ...]
    local: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """A demand on facets: one of the facets `keys` stands in relation `op` to one of `values`. Numbers compare as
    numbers. `!=` wants a record that has one of the facets, and none of the values."""

    keys: tuple[str, ...]
    op: Literal["<", "<=", ">", ">=", "=", "!="]
    values: tuple[str | float, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """What excludes. `box`, `polygon` (a GeoJSON geometry) and `circle` must each touch the record's footprint, or its
    box where it has none; `interval` must overlap its time, and `season` be its time of year; each facet must equal (or
    contain) the value and each of `comparisons` hold; `sources` are the only ones searched. Of passages only those of
    `parts` are left; images have no part.

    What a record does not tell excludes it: no place, no time, no such facet. `notes` say how the demands were
    understood, where that is not plain.
    """

    box: BBox | None = None
    polygon: Mapping[str, Any] | None = None
    interval: Interval | None = None
    facets: Mapping[str, FacetValue] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    kind: Literal["", "text", "image"] = ""
    circle: Circle | None = None
    season: Season | None = None
    comparisons: tuple[Comparison, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)
    parts: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.narrows or self.sources or self.kind or self.parts)

    @property
    def narrows(self) -> bool:
        """Whether it excludes by place, time or facets, and not only by source or kind."""
        place = self.box or self.polygon or self.circle
        return bool(place or self.interval or self.season or self.facets or self.comparisons)


Task = Literal["ask", "caption", "classify", "search", "rewrite"]


def lettered(scenes: Sequence[Scene], letters: Sequence[str] = ()) -> tuple[tuple[str, Scene], ...]:
    """(letter, scene): A, B, C ... where no letters are given; after Z come AA, AB and so on."""
    return tuple(zip(letters or [letter(i) for i in range(len(scenes))], scenes, strict=True))


def letter(index: int) -> str:
    """What the scene of that index, from 0, is called: A to Z, then AA, AB ..."""
    first, last = divmod(index, 26)
    return (letter(first - 1) if first else "") + chr(ord("A") + last)


@dataclass(frozen=True, slots=True)
class Query:
    """A question. `near` ranks and never excludes; `where` excludes; `exclude` are record ids left out;
    `k` is how many text passages may become evidence. `letters` are what the scenes are called, A, B, C unless a
    conversation has dropped some."""

    text: str = ""
    scenes: tuple[Scene, ...] = ()
    task: Task = "ask"
    labels: tuple[str, ...] = ()
    near: BBox | None = None
    where: Filter = field(default_factory=Filter)
    exclude: tuple[str, ...] = ()
    k: int = 8
    letters: tuple[str, ...] = ()

    @property
    def lettered(self) -> tuple[tuple[str, Scene], ...]:
        """(letter, scene) of each scene."""
        return lettered(self.scenes, self.letters)

    def with_(self, **changes: Any) -> Query:
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Hit:
    """A retrieved chunk. `lanes` maps a lane's name to (rank from 1, raw score); `score` is the fused one.

    `z` is the best similarity of any lane in standard deviations above what unrelated pairs score; `facts` are those
    that the query asks for and the chunk holds.
    """

    chunk: Chunk
    score: float = 0.0
    lanes: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    z: float | None = None
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True)
class LaneReport:
    """How a lane ended: ok, empty, skipped (the query lacks what it needs) or failed (`detail` says why)."""

    name: str
    status: Literal["ok", "empty", "skipped", "failed"]
    hits: int = 0
    seconds: float = 0.0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What the lanes found together: fused hits, best first, and how each lane ended."""

    hits: tuple[Hit, ...]
    lanes: tuple[LaneReport, ...]
    subjects: tuple[tuple[str, float], ...] = ()
    warnings: tuple[str, ...] = ()


# -- answering ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a geo tool found: prose, numbers with units, pictures (paths), a GeoJSON object, and caveats."""

    text: str
    values: Mapping[str, Quantity] = field(default_factory=dict)
    images: tuple[str, ...] = ()
    geojson: Mapping[str, Any] | None = None
    caveats: tuple[str, ...] = ()
    attribution: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Anything an answer may rest on, under the number it is cited by. `via` names the lanes or the tool.

    `images` are paths that can be opened now; `part` is the part of the record it comes from. A tool's result also
    brings its numbers as `values` and, where it drew something on the map, `geojson`; its `score` is how well the
    tool fits the question, 0..1. `facts` are those of a passage that the question asks for.
    """

    number: int
    kind: Literal["text", "image", "tool", "scene"]
    title: str
    text: str
    provenance: Provenance
    part: str = ""
    images: tuple[str, ...] = ()
    via: tuple[str, ...] = ()
    score: float = 0.0
    bbox: BBox | None = None
    z: float | None = None
    key: str = ""
    aliases: tuple[str, ...] = ()
    values: Mapping[str, Quantity] = field(default_factory=dict)
    geojson: Mapping[str, Any] | None = None
    facts: tuple[Fact, ...] = ()

    @property
    def subject(self) -> str:
        return self.provenance.subject


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier exchange of a conversation."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class SceneVote:
    """What a scene's nearest images and names say it shows.

    `subjects` are (subject, title, share 0..1), best first; `label` is set only when share, margin and
    similarity suffice, else `reason` says why not.
    """

    scene: str
    subjects: tuple[tuple[str, str, float], ...] = ()
    label: str = ""
    z: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """All a model needs to answer, as data: `answering.prompting` renders it for a chat model.

    `evidence` is everything that may be cited, what `steps` brought included. `letters` are the scenes' names,
    `tools` what the model may call, `steps` what it called in this turn so far.
    """

    task: Task
    question: str
    scenes: tuple[Scene, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    history: tuple[Turn, ...] = ()
    labels: tuple[str, ...] = ()
    votes: tuple[SceneVote, ...] = ()
    letters: tuple[str, ...] = ()
    tools: tuple[ToolSpec, ...] = ()
    steps: tuple[ToolStep, ...] = ()

    @property
    def lettered(self) -> tuple[tuple[str, Scene], ...]:
        """(letter, scene) of each scene."""
        return lettered(self.scenes, self.letters)


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of a model's answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's wish to run a tool."""

    name: str
    arguments: Mapping[str, Any]
    id: str = ""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a model is told of it: `parameters` is a JSON schema of an object. `asks` says what a person must
    agree to before it runs: "write" (files outside the pictures folder) or "network"."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    asks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolStep:
    """A call that was made in this turn, and what came back: numbers of the evidence it became, or an error."""

    call: ToolCall
    evidence: tuple[int, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer cost, in tokens."""

    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """A model that judges its own answer yields this last: `extractive` declines by it. `confidence` as in `Answer`."""

    status: Literal["answered", "partial", "declined"]
    trace: Mapping[str, Any] = field(default_factory=dict)
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """What a model has to say about its answer and not in it, in a line: a picture it was not shown, an answer cut
    short. It becomes one of `answer.warnings`."""

    text: str


ModelEvent = Text | ToolCall | Usage | Notice | Verdict


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model can take: images? tools? how many tokens of context (0: unknown)?"""

    images: bool = False
    tools: bool = False
    context: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with everything it rests on.

    `evidence` is all that was shown to the model, `citations` what its text cites; `invalid_markers` are
    cited numbers that do not exist. `usage` is what the model says it cost. `grounded`: not declined, and every
    factual sentence has a valid [n]. `confidence` is how probable it is, 0..1, that the evidence answers the question;
    None where the model does not say.
    """

    text: str
    status: Literal["answered", "partial", "declined"]
    evidence: tuple[Evidence, ...] = ()
    citations: tuple[Evidence, ...] = ()
    invalid_markers: tuple[str, ...] = ()
    grounded: bool = False
    warnings: tuple[str, ...] = ()
    model: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    trace: Mapping[str, Any] = field(default_factory=dict)
    usage: Usage | None = None
    confidence: float | None = None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Classification:
    """Labels of an image with their shares (sum 1), best first; `label` is empty when none stands out.

    `image` is its uri and `plain` the label that the prompts alone give it. In a collection `scores` are the five best.
    """

    label: str
    scores: tuple[tuple[str, float], ...]
    reason: str = ""
    image: str = ""
    plain: str = ""


@dataclass(frozen=True, slots=True)
class Classifications:
    """A classified collection: `images` in the order they were given, and (image, reason) of those not readable."""

    images: tuple[Classification, ...]
    failed: tuple[tuple[str, str], ...] = ()


# -- events of assistant.stream() -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Retrieved:
    retrieval: Retrieval
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """`scene` is the letter, or the letters, it looks at; `arguments` what else it was given."""

    name: str
    scene: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolDone:
    """`number` is that of the evidence which the result became; None when it failed."""

    name: str
    result: ToolResult | None
    error: str = ""
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Done:
    answer: Answer


Event = Retrieved | ToolStarted | ToolDone | Text | Done
PathLike = str | Path
