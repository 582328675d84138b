"""The captioner `osm`: describes a scene by what OpenStreetMap maps inside it; looks at no pixel."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rsrag import RsragError, Scene

if TYPE_CHECKING:
    from .features import Feature

log = logging.getLogger("rsrag.osm")


class OsmCaptioner:
    """Captions from labelled sidecars beside an image, else from a local extract.

    `extract` is an .osm.pbf, .osm or .geojson file; "" takes those read before (by `rsrag kb add`) that cover a scene.
    A scene that nothing is known of, or where nothing visible is mapped, gets "".
    """

    name: ClassVar[str] = "osm"

    def __init__(self, extract: str = "") -> None:
        self.extract = extract

    def caption(self, scenes: Sequence[Scene]) -> list[str]:
        """One caption per scene, in order. A scene that cannot be looked up costs itself, and one warning for all."""
        captions: list[str] = []
        silent: list[str] = []
        for scene in scenes:
            try:
                captions.append(self._one(scene))
            except RsragError as error:
                captions.append("")
                silent.append(error.message)
        if silent:
            count = f"{len(silent)} of {len(scenes)}"
            log.warning("%s scenes got no caption from OpenStreetMap; the first: %s", count, silent[0])
        return captions

    def _one(self, scene: Scene) -> str:
        from .captions import scene_sentences
        from .inside import inside

        found = inside(scene, self.extract)
        return " ".join(kept(scene_sentences(found.features, found.ground), found.features))


def kept(sentences: Sequence[str], features: Sequence[Feature]) -> list[str]:
    """The sentences whose every noun and number is in the tags; one that is not is logged and left out."""
    from .checking import check

    tags: list[Any] = [feature.tags for feature in features if _visible(feature)]
    good = []
    for sentence in sentences:
        if faults := check(sentence, tags):
            log.warning("left out a caption that tags do not bear out (%s): %s", "; ".join(faults), sentence)
        else:
            good.append(sentence)
    return good


def _visible(feature: Feature) -> bool:
    from .kinds import kind_of
    from .view import is_seen

    kind = kind_of(feature.tags)
    return kind is not None and is_seen(feature.tags, kind)
