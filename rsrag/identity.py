"""Which bands an image holds: as the user says, a sidecar, the file itself, its name, or as a guess. Pure.

What is said for a call (`--bands`, `--sensor`) wins over everything, then come the sidecar and the file's own names;
only where all are silent does a file's name or a well-known number of bands decide, and then a note says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from .bands import Band, Profile, find_profile, is_spectral, profile, profile_of_file, profiles, role_of, roles_of
from .errors import UsageError

_IN_STEM: Final = re.compile(r"(?i)[_.-]((?:s[rt]_)?b\d{1,2}a?|vv|vh|hh|hv)(?=$|[_.-])")
_BASELINE: Final = re.compile(r"_N(\d{4})_")
_COLOURS: Final = ("red", "green", "blue", "alpha")
SCALED_FROM: Final = 2.0
"""No reflectance is as high as this: floating-point values above it are still the product's whole numbers."""


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody says about an image's bands; `where` is how notes and answers call them."""

    bands: tuple[str, ...] = ()
    sensor: str = ""
    scale: tuple[float, ...] = ()
    offset: tuple[float, ...] = ()
    where: str = ""


@dataclass(frozen=True, slots=True)
class InFile:
    """What the file says: `colours` are GDAL's colour interpretations, `stem` its name, `middle()` the median of some
    of its values (None without any), asked only where it decides something."""

    count: int
    dtype: str
    colours: tuple[str, ...]
    descriptions: tuple[str, ...] = ()
    scales: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()
    stem: str = ""
    sensor: str = ""
    middle: Callable[[], float | None] = field(default=lambda: None)

    @property
    def names(self) -> tuple[str, ...]:
        """The bands' descriptions, where they name anything: some writers give every band the same one."""
        useful = any(self.descriptions) and len(set(self.descriptions)) == self.count
        return self.descriptions if useful else ()


@dataclass(slots=True)
class Identity:
    """The bands, named and understood. Fields as in `Scene`; `origin` is `Scene.bands_from`, and `sensor` is set only
    where the user said which it is."""

    names: tuple[str, ...]
    roles: tuple[str, ...]
    origin: str = ""
    sensor: str = ""
    scale: tuple[float, ...] = ()
    offset: tuple[float, ...] = ()
    stretched: bool | None = None
    notes: list[str] = field(default_factory=list)

    def enter(self, facts: dict[str, Any]) -> None:
        """Put it into the facts that a reader makes its scenes of."""
        facts |= {"bands": self.names, "roles": self.roles, "bands_from": self.origin}
        facts |= {"scale": self.scale, "offset": self.offset, "stretched": self.stretched}
        facts["notes"] += self.notes
        if self.sensor:
            facts["sensor"] = self.sensor


@dataclass(frozen=True, slots=True)
class _Found:
    """Names, roles, where from, and the profile they belong to."""

    names: tuple[str, ...]
    roles: tuple[str, ...]
    origin: str = ""
    profile: Profile | None = None
    notes: tuple[str, ...] = ()


def identify(file: InFile, sidecar: Said, call: Said) -> Identity:
    """What the bands are. Raises `UsageError` when what is said for the call does not fit the file."""
    found = _from_call(file, call) or _from_sidecar(file, sidecar) or _from_file(file) or _guess(file)
    notes = list(found.notes)
    if sidecar.bands and len(sidecar.bands) != file.count:
        where = _capital(sidecar.where)
        notes.append(f"{where} names {len(sidecar.bands)} bands, the file has {file.count}; not used.")
    if call.bands or call.sensor:
        notes += _contradictions(file, found)
    sensor = profile(call.sensor).sensor if call.sensor else ""
    identity = Identity(found.names, found.roles, found.origin, sensor, notes=notes)
    _scale(identity, file, sidecar, found.profile)
    if identity.scale:
        identity.stretched = False
    elif file.dtype == "uint8" and is_spectral(identity.roles):
        identity.stretched = True  # eight bits hold no reflectance: somebody made them for display
    return identity


# -- where from -----------------------------------------------------------------------------------


def _from_call(file: InFile, call: Said) -> _Found | None:
    known = profile(call.sensor) if call.sensor else _announced(file)
    if call.bands:
        names = _padded(file, tuple(name.strip() for name in call.bands))
        if len(names) != file.count:
            raise UsageError(
                f"{len(call.bands)} bands are named ({', '.join(call.bands)}), the image has {file.count}.",
                "Name all in file order, _ for those that do not matter.",
            )
        roles, by, assumed = roles_of(names, known)
        if not any(roles):
            raise UsageError(
                f"none of the bands {', '.join(call.bands)} is known.",
                "Use roles such as red, nir, swir1, vv, or codes such as B08.",
            )
        strange = [n for n, role in zip(names, roles, strict=True) if not role and n not in ("_", "-", "")]
        notes = [f"No role is known for {', '.join(strange)}."] if strange else []
        return _Found(names, roles, "--bands", by, (*notes, *filter(None, [assumed])))
    if known is None or not call.sensor:
        return None
    origin = f"sensor profile {known.name}"
    if found := _by_profile(file, known, origin):
        return found
    counts = ", ".join(str(len(order)) for order in known.orders)
    raise UsageError(
        f"the sensor profile {known.name} knows files of {counts} bands; this one has {file.count}, without codes.",
        "Name them in file order: --bands red,green,...",
    )


def _from_sidecar(file: InFile, sidecar: Said) -> _Found | None:
    known = find_profile(sidecar.sensor) or _announced(file)
    if len(sidecar.bands) == file.count:
        roles, by, assumed = roles_of(sidecar.bands, known)
        return _Found(sidecar.bands, roles, sidecar.where, by, tuple(filter(None, [assumed])))
    named = find_profile(sidecar.sensor)
    return _by_profile(file, named, f"{sidecar.where} (sensor profile {named.name})") if named else None


def _from_file(file: InFile) -> _Found | None:
    known = _announced(file)
    if file.names:
        roles, by, assumed = roles_of(file.names, known)
        names = tuple(n or f"band {i}" for i, n in enumerate(file.names, 1))
        return _Found(names, roles, "the file", by, tuple(filter(None, [assumed])))
    if file.count == 1 and (code := _IN_STEM.search(file.stem)):
        roles, by, assumed = roles_of((code[1].upper(),), known)
        if any(roles):
            return _Found((code[1].upper(),), roles, "the file's name", by, tuple(filter(None, [assumed])))
    if file.count == 1 and file.dtype != "uint8" and role_of(file.stem) == "elevation":
        note = "By its name it is taken to hold elevations."
        return _Found(("elevation",), ("elevation",), "a guess: the file's name", None, (note,))
    colours = file.colours
    if {"red", "green", "blue"} <= set(colours) and len(set(colours)) == file.count:
        if file.count == 4 and colours[3] == "undefined" and file.dtype == "uint8":
            note = "The fourth of four bands, beside red, green and blue, is taken to be near infrared."
            names = (*colours[:3], "nir")
            return _Found(names, names, "the file; near infrared is a guess", None, (note,))
        return _Found(colours, tuple(c if c in _COLOURS else "" for c in colours), "the file")
    return None


def _guess(file: InFile) -> _Found:
    known, deep = _announced(file), file.dtype != "uint8"
    if known and file.dtype in known.dtypes:
        note = f"The bands have no names; they are taken to be those of {known.name}, as its name or a tag suggests."
        if found := _by_profile(file, known, f"a guess: the file's name or a tag says {known.sensor}"):
            return _Found(found.names, found.roles, found.origin, known, (note,))
    if file.count in (12, 13) and deep:
        known = profiles()["sentinel-2-l2a" if file.count == 12 else "sentinel-2-l1c"]
        names = tuple(band.code for band in known.bands)
        note = f"{file.count} bands without names are taken to be Sentinel-2's, in the order {', '.join(names)}."
        origin = f"a guess: {file.count} bands without names are usually Sentinel-2's"
        return _Found(names, tuple(band.role for band in known.bands), origin, known, (note,))
    names = file.colours if len(set(file.colours)) == file.count and set(file.colours) & {*_COLOURS, "grey"} else ()
    names = names or tuple(f"band {i}" for i in range(1, file.count + 1))
    return _Found(names, tuple("alpha" if c == "alpha" else "" for c in file.colours))


def _announced(file: InFile) -> Profile | None:
    return profile_of_file(file.stem) or find_profile(file.sensor)


def _by_profile(file: InFile, known: Profile, origin: str) -> _Found | None:
    """By the codes that the file or its name uses, else by the product's usual order of so many bands."""
    own = file.names or tuple(c[1] for c in _IN_STEM.finditer(file.stem) if file.count == 1)[-1:]
    bands = [known.find(name) for name in own]
    if own and all(bands):
        return _Found(own, tuple(b.role for b in bands if b), origin, known)
    for count, rest in ((file.count, ()), (file.count - 1, ("alpha",))):
        order = known.order(count)
        if order and (not rest or file.colours[-1] == "alpha"):
            return _Found(tuple(b.code for b in order) + rest, tuple(b.role for b in order) + rest, origin, known)
    return None


def _padded(file: InFile, names: tuple[str, ...]) -> tuple[str, ...]:
    """A last band that is only transparency need not be named."""
    extra = len(names) == file.count - 1 and file.colours[-1] == "alpha"
    return (*names, "alpha") if extra else names


def _contradictions(file: InFile, found: _Found) -> list[str]:
    own = roles_of(file.names)[0] if file.names else tuple(c if c in _COLOURS else "" for c in file.colours)
    wrong = [
        f"band {i} is {said}, the file says {has}"
        for i, (said, has) in enumerate(zip(found.roles, own, strict=True), 1)
        if said and has and said != has
    ]
    return [f"By {found.origin}, {'; '.join(wrong[:4])}."] if wrong else []


# -- scale ----------------------------------------------------------------------------------------


def _scale(identity: Identity, file: InFile, sidecar: Said, known: Profile | None) -> None:
    """Sidecar, then file, then profile: as numbers go, whoever wrote them down beside the pixels knows best."""
    count = file.count
    if sidecar.scale or sidecar.offset:
        scale, offset = _spread(sidecar.scale or (1.0,), count), _spread(sidecar.offset or (0.0,), count)
        if scale and offset:
            identity.scale, identity.offset = scale, offset
            return
        identity.notes.append(f"{_capital(sidecar.where)} has scales for another number of bands; not used.")
    if any(s != 1 for s in file.scales) or any(o != 0 for o in file.offsets):
        identity.scale, identity.offset = file.scales, file.offsets
        return
    if known is None:
        return
    bands = [_same(known, name, role) for name, role in zip(identity.names, identity.roles, strict=True)]
    if not any(band and band.scale is not None for band in bands):
        return
    if file.dtype.startswith("float"):
        middle = file.middle()
        if middle is None or middle < SCALED_FROM:
            return
        identity.notes.append(f"The values are taken to be whole numbers of {known.name}, stored as {file.dtype}.")
    elif file.dtype not in known.dtypes:
        return
    shift = _baseline_offset(identity, file, known)
    identity.scale = tuple(1.0 if b is None or b.scale is None else b.scale for b in bands)
    identity.offset = tuple(0.0 if b is None or b.scale is None else b.offset + shift for b in bands)


def _baseline_offset(identity: Identity, file: InFile, known: Profile) -> float:
    if not known.baseline:
        return 0.0
    said = _BASELINE.search(file.stem)
    if not said:
        identity.notes.append("Its processing baseline is not known: reflectance is taken as value / 10,000.")
        return 0.0
    return known.later_offset if int(said[1]) >= known.baseline else 0.0


def _same(known: Profile, name: str, role: str) -> Band | None:
    return known.find(name) or next((b for b in known.bands if role and b.role == role), None)


def _spread(values: Sequence[float], count: int) -> tuple[float, ...]:
    """One value for all bands, or one each; () for another number."""
    return tuple(values) * count if len(values) == 1 else tuple(values) if len(values) == count else ()


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
