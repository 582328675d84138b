"""The contract of captioners: one caption per scene, in order, whatever the number of scenes."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest

from rsrag import Scene
from rsrag.interfaces import Captioner

from ..scenes import pixels_of, sample_scenes
from .base import ComponentContract


class CaptionerContract(ComponentContract):
    """Override `component`; override `scenes` where the sample scenes tell a captioner nothing."""

    protocol = Captioner

    @pytest.fixture
    def scenes(self, tmp_path: Path) -> list[Scene]:
        """Scenes of different sizes and formats to describe."""
        return sample_scenes(tmp_path / "contract-scenes")

    def test_one_text_per_scene(self, component: Any, scenes: list[Scene]) -> None:
        captions = component.caption(scenes)
        assert isinstance(captions, list), f"caption() returned {type(captions).__name__}; return a list of str."
        assert len(captions) == len(scenes), (
            f'{len(scenes)} scenes got {len(captions)} captions; return one for each, "" where there is nothing to say.'
        )
        strange = [c for c in captions if not isinstance(c, str)]
        assert not strange, f'a caption is {strange[0]!r}; return str, "" where there is nothing to say.'

    def test_it_says_something(self, component: Any, scenes: list[Scene]) -> None:
        assert any(c.strip() for c in component.caption(scenes)), (
            "no scene got a caption; override the fixture `scenes(self)` with scenes that it can describe."
        )

    def test_no_scenes_no_captions(self, component: Any) -> None:
        assert component.caption([]) == [], "caption([]) must return []."

    def test_any_number_of_scenes_in_order(self, component: Any, scenes: list[Scene]) -> None:
        alone = [component.caption([scene])[0] for scene in scenes]
        for many in (scenes, scenes[::-1], [*scenes] * 3):
            expected = [alone[next(i for i, s in enumerate(scenes) if s is scene)] for scene in many]
            assert component.caption(many) == expected, (
                f"{len(many)} scenes together got other captions than one by one; keep the order of the scenes, and "
                "fix the seed of a captioner that samples."
            )

    def test_captions_are_plain_text(self, component: Any, scenes: list[Scene]) -> None:
        for caption in component.caption(scenes):
            control = [c for c in caption if unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn")]
            assert not control, f"the caption {caption!a} holds {control[0]!a}; remove control characters."
            assert caption == caption.strip(), f"the caption {caption!r} begins or ends with white space; strip it."

    def test_it_leaves_the_scenes_alone(self, component: Any, scenes: list[Scene]) -> None:
        before = [pixels_of(scene) for scene in scenes]
        component.caption(scenes)
        assert [pixels_of(scene) for scene in scenes] == before, (
            "a scene's pixels changed; copy the array of `rgb()` or `read()` before writing into it."
        )
