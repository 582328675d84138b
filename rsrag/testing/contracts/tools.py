"""The contract of geo tools: a schema that can be read off, a finite result with units, and errors for people."""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rsrag import Query, RsragError, Scene, ToolResult, open_scene
from rsrag.interfaces import GeoTool

from ..scenes import pixels_of, sample_scenes
from .base import ComponentContract

INJECTED = ("scene", "scenes", "kb", "pictures")
QUESTIONS = ("", "What is this?", "Where is it, and what lies around?", "How green is it?", "洪水?", "a" * 5000)


class ToolContract(ComponentContract):
    """Override `component`; override `scene` with one that the tool can measure where the sample does not suit it, or
    `scenes` for a tool that looks at several together, and `arguments` where it cannot do without some."""

    protocol = GeoTool

    @pytest.fixture
    def scene(self, rsrag_scene: Scene) -> Scene:
        """A scene that the tool can work on."""
        return rsrag_scene

    @pytest.fixture
    def scenes(self, scene: Scene) -> Sequence[Scene]:
        """The scenes for a tool that looks at several together."""
        return (scene, scene)

    @pytest.fixture
    def arguments(self) -> dict[str, Any]:
        """What the tool is given besides."""
        return {}

    @pytest.fixture
    def run(
        self, component: Any, arguments: dict[str, Any], tmp_path: Path, request: pytest.FixtureRequest
    ) -> Callable[[Sequence[Scene]], Any]:
        """Calls the tool with what the parameters of its `__call__` name, as the assistant does."""
        named = inspect.signature(component.__call__).parameters
        given: dict[str, Any] = dict(arguments)
        if "kb" in named:
            given["kb"] = request.getfixturevalue("rsrag_kb")
        if "pictures" in named:
            given["pictures"] = tmp_path / "contract-pictures"
            given["pictures"].mkdir()

        def call(scenes: Sequence[Scene]) -> Any:
            looks = {"scene": scenes[0], "scenes": tuple(scenes)}
            return component(**{name: value for name, value in looks.items() if name in named}, **given)

        return call

    @pytest.fixture
    def result(self, run: Callable[[Sequence[Scene]], Any], scenes: Sequence[Scene]) -> ToolResult:
        found = run(scenes)
        assert isinstance(found, ToolResult), f"it returned {type(found).__name__}; return rsrag.ToolResult."
        return found

    def test_its_schema_can_be_read(self, component: Any) -> None:
        call = type(component).__call__
        doc = inspect.getdoc(call) or ""
        assert doc.strip(), "__call__ has no docstring; say what the tool does: it is what a model reads."
        _, *parameters = inspect.signature(call).parameters.values()
        assert parameters, "__call__ takes nothing; write __call__(self, scene)."
        for parameter in parameters:
            if parameter.kind is parameter.VAR_KEYWORD or parameter.name in INJECTED:
                continue
            name = parameter.name
            assert parameter.annotation is not parameter.empty, f"parameter '{name}' has no type; annotate it."
            assert parameter.default is not parameter.empty or hasattr(component, "arguments"), (
                f"parameter '{name}' has no default; the assistant runs a tool with the scene alone, unless its "
                "`arguments(query)` says what a question implies."
            )
            assert re.search(rf"\b{re.escape(name)}\b", doc), f"__call__'s docstring does not explain '{name}'."

    def test_applies_lies_between_0_and_1(self, component: Any, scene: Scene) -> None:
        for text in QUESTIONS:
            for query in (Query(text), Query(text, (scene,)), Query(text, (scene, scene), "caption", near=scene.bbox)):
                fit = component.applies(query)
                assert isinstance(fit, int | float) and 0 <= fit <= 1, (
                    f"applies() returned {fit!r} for {text[:40]!r} and {len(query.scenes)} scenes; return 0..1."
                )

    def test_it_says_what_it_found(self, result: ToolResult) -> None:
        assert isinstance(result.text, str) and result.text.strip(), (
            "`text` is empty; say in a sentence what was found: it is what an answer quotes."
        )

    def test_values_are_finite_and_have_units(self, result: ToolResult) -> None:
        for name, quantity in result.values.items():
            value, unit = getattr(quantity, "value", None), getattr(quantity, "unit", None)
            assert isinstance(value, int | float) and isinstance(unit, str), (
                f"value {name!r} is {quantity!r}; give rsrag.Quantity(number, unit)."
            )
            assert math.isfinite(value), f"value {name!r} is {value}; leave out what could not be measured and say so."
            assert unit == unit.strip(), f"the unit of {name!r} is {unit!r}; strip it."

    def test_images_can_be_opened(self, result: ToolResult) -> None:
        for image in result.images:
            try:
                open_scene(image).rgb(64)
            except RsragError as error:
                raise AssertionError(f"image {image!r} cannot be opened ({error.message}); write it first.") from error

    def test_the_result_is_json(self, result: ToolResult) -> None:
        try:
            json.dumps(dataclasses.asdict(result), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise AssertionError(
                f"the result cannot be written as JSON ({error}); use plain int, float, list and dict, not numpy's."
            ) from error
        if result.geojson is not None:
            assert "type" in result.geojson, "`geojson` has no type; give a GeoJSON object."

    def test_other_scenes_are_measured_or_refused_politely(
        self, run: Callable[[Sequence[Scene]], Any], tmp_path: Path
    ) -> None:
        for scene in sample_scenes(tmp_path / "contract-scenes"):
            try:
                found = run((scene, scene))
            except RsragError:
                continue
            except Exception as error:
                raise AssertionError(
                    f"{scene.uri} ({scene.width} x {scene.height}, bands {', '.join(scene.bands)}, crs {scene.crs}) "
                    f"raised {type(error).__name__}: {error}; raise rsrag.SceneError(what is wrong, what to do)."
                ) from error
            assert isinstance(found, ToolResult), f"{scene.uri}: it returned {type(found).__name__}, not a ToolResult."

    def test_it_leaves_the_scene_alone(self, run: Callable[[Sequence[Scene]], Any], scenes: Sequence[Scene]) -> None:
        before = [pixels_of(scene) for scene in scenes]
        run(scenes)
        assert [pixels_of(scene) for scene in scenes] == before, (
            "the scene's pixels changed; copy the array before writing into it."
        )

    def test_the_same_scene_gives_the_same_result(
        self, run: Callable[[Sequence[Scene]], Any], scenes: Sequence[Scene], result: ToolResult
    ) -> None:
        again = run(scenes)
        assert (again.text, dict(again.values)) == (result.text, dict(result.values)), (
            "two runs over one scene differ; a result is cited by tool and scene and has to stay."
        )
