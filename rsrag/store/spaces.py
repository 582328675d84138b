"""The vector spaces of a store: which encoder made each, whether it is the one at hand, and what chance scores."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..confidence import null_of
from ..errors import StoreError, UsageError
from ..plugins import Plugins
from .catalog import Catalog

if TYPE_CHECKING:
    from ..interfaces import Encoder, TextEncoder

Space = Literal["images", "names", "texts"]
SPACES: tuple[Space, ...] = ("images", "names", "texts")
KIND: dict[str, str] = {"images": "image", "names": "text", "texts": "text"}

_SAME = "same"  # spec of a `texts` space that uses the joint encoder's own text side


def needs_images(encoder: Any) -> None:
    """Raises `UsageError` for an encoder that sees no images."""
    if not callable(getattr(encoder, "encode_scenes", None)):
        raise UsageError(
            f"encoder '{encoder.name}' compares texts only.",
            "Give it as text_encoder; encoder needs one that sees images.",
        )


def _spec_of(wish: Any, encoder: Any) -> str:
    """What to create to get an encoder again."""
    return wish if isinstance(wish, str) else str(encoder.name)


class Spaces:
    """Encoders of one store, made on first use and checked against what the catalog remembers.

    `encoder` and `text_encoder` are wishes: a name, an instance, or None for what the store was made with.
    """

    def __init__(
        self,
        catalog: Catalog,
        plugins: Plugins,
        encoder: str | Encoder | None,
        text_encoder: str | TextEncoder | None,
        options: dict[str, Any] | None,
        path: Path,
    ) -> None:
        self.catalog = catalog
        self.plugins = plugins
        self.path = path
        self._wish = encoder
        self._text_wish = text_encoder
        self._options = options or {}
        self._made: dict[str, Any] = {}
        self._checked: set[str] = set()
        self._known: dict[str, tuple[str, str, int, dict[str, list[float]]]] = {}
        self.reload()

    def reload(self) -> None:
        """Read again what the catalog says; an encoder that no longer made the vectors is made anew, or refused."""
        before, self._known = self._known, self.catalog.spaces()
        for space, about in self._known.items():
            if space in before and before[space][0] != about[0]:
                self._checked.discard(space)
                if (self._text_wish if space == "texts" else self._wish) is None:
                    self._made.pop("texts" if space == "texts" else "images", None)

    def __contains__(self, space: object) -> bool:
        return space in self._known

    def __bool__(self) -> bool:
        return bool(self._known)

    def null(self, space: str, by: str) -> list[float] | None:
        """(mean, deviation) of unrelated pairs, when asked by "scene" or by "text"."""
        return self._known[space][3].get(by)

    def maker(self, space: str) -> str:
        """The id of the encoder that made the vectors of a space, as of the last `reload`."""
        return self._known[space][0]

    @property
    def joint(self) -> Encoder:
        """The encoder of images and texts. Raises `UsageError` for one that sees no images."""
        if "images" not in self._made:
            wish = self._wish or self._spec("images") or "starter"
            made = self._make(wish)
            needs_images(made)
            self._made["images"] = made
        encoder: Encoder = self._made["images"]
        return encoder

    @property
    def text(self) -> TextEncoder:
        """The encoder of texts among themselves."""
        if "texts" not in self._made:
            wish = self._text_wish or self._spec("texts")
            if wish is None or wish == _SAME:
                self._made["texts"] = self.joint if self.joint.text_to_text else self._make("starter")
            else:
                self._made["texts"] = self._make(wish)
        encoder: TextEncoder = self._made["texts"]
        return encoder

    def _make(self, wish: Any) -> Any:
        options = self._options.get(wish.partition(":")[0], {}) if isinstance(wish, str) else {}
        return self.plugins.resolve("encoder", wish, **options)

    def _spec(self, space: str) -> str | None:
        return self._known[space][1] if space in self._known else None

    def encoder_of(self, space: str) -> Any:
        """The encoder of a space. Raises `StoreError` when other weights made the vectors in it."""
        encoder: Any = self.text if space == "texts" else self.joint
        if space not in self._checked:
            if space in self._known and self._known[space][0] != encoder.id:
                raise StoreError(
                    f"{self.path} was made with encoder {self._known[space][0]}, not {encoder.id}; "
                    f"{self._way_over(space, encoder.name)} makes its vectors anew.",
                    "Or open it with the encoder it was made with: vectors of two encoders cannot be compared.",
                )
            self._checked.add(space)
        return encoder

    def _way_over(self, space: str, name: str) -> str:
        wish, option = (self._text_wish, "--text-encoder") if space == "texts" else (self._wish, "--encoder")
        asked = shlex.join(["--kb", str(self.path), option, wish if isinstance(wish, str) else name])
        return f"`rsrag kb reencode {asked}`"

    def made_by(self, encoder: Any, text_encoder: Any) -> dict[str, tuple[Any, str]]:
        """space -> (encoder, spec) if these were wanted from now on; None: what the store was made with, as its name
        means it today. Raises `UsageError` for an `encoder` that sees no images."""
        wish = encoder or self._wish or self._spec("images") or "starter"
        joint = self._make(wish)
        needs_images(joint)
        both = (joint, _spec_of(wish, joint))
        wish = text_encoder or self._text_wish or self._spec("texts") or _SAME
        if wish == _SAME and joint.text_to_text:
            return {"images": both, "names": both, "texts": (joint, _SAME)}
        wish = "starter" if wish == _SAME else wish
        text = self._make(wish)
        return {"images": both, "names": both, "texts": (text, _spec_of(wish, text))}

    def adopt(self, made: dict[str, tuple[Any, str]]) -> None:
        """From now on use these, which the catalog says made its vectors."""
        self._wish = self._text_wish = None
        self._made = {space: made[space][0] for space in ("images", "texts")}
        self._checked.clear()
        self._known = self.catalog.spaces()

    def check(self) -> None:
        """Raise `StoreError` now, rather than at the first search, when the store was made with other weights."""
        for space in self._known:
            self.encoder_of(space)

    def declare(self) -> None:
        """Write down, before the first vector, which encoders make them."""
        for space in SPACES:
            encoder = self.encoder_of(space)
            if space not in self._known:
                wish = self._text_wish if space == "texts" else self._wish
                spec = wish if isinstance(wish, str) else encoder.name
                if space == "texts" and encoder is self.joint:
                    spec = _SAME
                self.catalog.set_space(space, encoder.id, spec, encoder.dim)
        self.reload()

    def learn_nulls(self) -> None:
        """Measure what unrelated pairs score in each space, so that a cosine can be told from chance.

        Labels and captions stand in for what people ask images by.
        """
        samples = {space: self.catalog.vectors.sample(space, 1000) for space in SPACES}
        by_name = null_of(samples["names"], samples["images"])
        nulls = {
            "images": {"scene": null_of(samples["images"], samples["images"]), "text": by_name},
            "names": {"scene": by_name},
            "texts": {"text": null_of(samples["texts"], samples["texts"])},
        }
        for space, values in nulls.items():
            self.catalog.set_nulls(space, values)
        self.reload()
