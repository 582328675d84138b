"""The features of a scene by kind: how many, how large, how long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rsrag import Quantity

from .features import Feature
from .geometry import hectares, kilometres
from .kinds import Kind, kind_of
from .sizes import area_of, length_of
from .wording import listed


class Group:
    """The features of one kind, with the size of all of them together; `parts` are kinds within that kind."""

    def __init__(self, kind: Kind, features: Sequence[Feature], parts: Sequence[Group] = ()) -> None:
        import shapely

        self.kind = kind
        self.parts = parts
        self.features = features
        shapes = [feature.shape for feature in features]
        self.areas = shapely.union_all([s for s in shapes if "Polygon" in s.geom_type])
        lines = [part for shape in shapes for part in shapely.get_parts(shape) if part.geom_type == "LineString"]
        self.lines = shapely.MultiLineString(lines)

    @property
    def noun(self) -> str:
        if self.kind.mass:
            return f"pieces of {self.kind.one}" if len(self.features) > 1 else f"piece of {self.kind.one}"
        return self.kind.one if len(self.features) == 1 else self.kind.many

    @property
    def order(self) -> tuple[float, float, str]:
        """What covers or crosses most of the scene first."""
        return (-hectares(self.areas) - kilometres(self.lines), -len(self.features), self.kind.one)

    def values(self) -> dict[str, Quantity]:
        area, length = area_of(self.areas), length_of(self.lines)
        values = {self.kind.many: Quantity(len(self.features))}
        if area:
            values[f"area of {self.kind.many}"] = area
        if length:
            values[f"length of {self.kind.many}"] = length
        for part in self.parts:
            values.update(part.values())
        return values

    def sentence(self, ground: float) -> str:
        """As in "There are 12 buildings covering 1.3 ha (14 % of the scene)."; `ground` is the scene in hectares."""
        verb = "is" if len(self.features) == 1 else "are"
        parts = [f"{len(part.features):,} {part.noun}" for part in self.parts]
        among = f", among them {listed(parts)}" if parts else ""
        return f"There {verb} {len(self.features):,} {self.noun}{self._size(ground)}{among}."

    def _size(self, ground: float) -> str:
        text = ""
        if area := area_of(self.areas):
            share = 100 * hectares(self.areas) / ground if ground else 0.0
            text += f" covering {area} ({'less than 1' if share < 1 else f'{share:.0f}'} % of the scene)"
        if length := length_of(self.lines):
            text += f" {'with' if area else 'of'} {length}{' of lines' if area else ''}"
        return text


def groups_of(features: Sequence[Feature]) -> list[Group]:
    """Features by what they are called; buildings of several kinds are one group with parts."""
    by_noun: dict[str, tuple[Kind, list[Feature]]] = {}
    for feature in features:
        kind = kind_of(feature.tags)
        if kind is not None:
            by_noun.setdefault(kind.one, (kind, []))[1].append(feature)
    # Houses are buildings too: where there are several kinds, "2 buildings" beside "5 houses" would be wrong.
    buildings = [feature for feature in features if feature.tags.get("building", "no") != "no"]
    kinds = [kind for noun, (kind, _) in by_noun.items() if kind.key == "building" and noun != "building"]
    if not buildings or not kinds:
        return _sorted(Group(kind, members) for kind, members in by_noun.values())
    plain, untold = by_noun.pop("building", (None, []))
    parts = [Group(*by_noun.pop(kind.one)) for kind in kinds]
    if plain is not None:
        told = replace(plain, one="building of no further kind", many="buildings of no further kind")
        parts.append(Group(told, untold))
    every = Group(Kind("building", "building", "buildings"), buildings, _sorted(parts))
    return _sorted([every, *(Group(kind, members) for kind, members in by_noun.values())])


def _sorted(groups: Iterable[Group]) -> list[Group]:
    return sorted(groups, key=lambda group: group.order)
