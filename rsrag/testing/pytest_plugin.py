"""Fixtures for the tests of plugins. pytest finds them by the entry point `pytest11: rsrag`; nothing to import.

Imports pytest and no more: every run of pytest where rsrag is installed loads this module.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rsrag import KnowledgeBase, Scene

    from .encoders import FakeEncoder


@pytest.fixture
def rsrag_encoder() -> FakeEncoder:
    """A `FakeEncoder`: no weights, and it ranks meaningfully."""
    from .encoders import FakeEncoder

    return FakeEncoder()


@pytest.fixture(scope="session")
def rsrag_kb_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The knowledge base that every `rsrag_kb` is a copy of: made once, for making one takes a quarter of a second."""
    from .stores import make_knowledge_base

    folder = tmp_path_factory.mktemp("rsrag-kb")
    make_knowledge_base(folder).close()
    return folder


@pytest.fixture
def rsrag_kb(tmp_path: Path, rsrag_kb_folder: Path) -> Iterator[KnowledgeBase]:
    """A knowledge base of six records, the test's own, with a `FakeEncoder` and the built-in plugins alone."""
    from rsrag import KnowledgeBase, Plugins

    from .encoders import FakeEncoder

    folder = shutil.copytree(rsrag_kb_folder, tmp_path / "rsrag-kb")
    encoder: Any = FakeEncoder()
    with KnowledgeBase(folder, encoder, plugins=Plugins(external=False)) as kb:
        yield kb


@pytest.fixture
def rsrag_scene(tmp_path: Path) -> Scene:
    """A georeferenced scene of four bands near one of the records; see `rsrag.testing.make_scene`."""
    from .stores import make_scene

    return make_scene(tmp_path / "rsrag-scene.tif")


@pytest.fixture
def make_geotiff(tmp_path: Path) -> Callable[..., Path]:
    """`rsrag.testing.make_geotiff` with paths relative to the test's folder."""

    def make(path: str | Path = "scene.tif", **options: Any) -> Path:
        from .rasters import make_geotiff

        return make_geotiff(tmp_path / path, **options)

    return make


@pytest.fixture
def make_image(tmp_path: Path) -> Callable[..., Path]:
    """`rsrag.testing.make_image` with paths relative to the test's folder."""

    def make(path: str | Path = "image.png", *pattern: Any, **options: Any) -> Path:
        from .rasters import make_image

        return make_image(tmp_path / path, *pattern, **options)

    return make
