"""The short ways in: make a component, open a scene, and put everything together from the configuration."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import config as configuration
from .packs import bundled_packs
from .plugins import Plugins
from .types import PathLike, Scene

if TYPE_CHECKING:
    from .assistant import Assistant
    from .store.knowledge_base import KnowledgeBase

Progress = Callable[[int, int | None, str], None]


def create(kind: str, name: str, **options: Any) -> Any:
    """Any component by kind and name: `create("encoder", "starter")`. Raises `UsageError` for unknown ones."""
    return _installed_plugins().create(kind, name, **options)


def open_scene(
    uri: PathLike,
    plugins: Plugins | None = None,
    *,
    bands: str | Sequence[str] = (),
    sensor: str = "",
    remote: bool = False,
) -> Scene:
    """Open an image file; http(s):// and s3:// with `remote`. `bands` (names or roles in file order) or `sensor` (a
    profile) say what its bands are. Raises `SceneError` and `UsageError`; see `rsrag.scene.open_scene`."""
    from .scene import open_scene as opener

    return opener(uri, plugins or _installed_plugins(), bands=bands, sensor=sensor, remote=remote)


@functools.cache
def _installed_plugins() -> Plugins:
    """The plugins of this process, looked for once: a folder of images asks for them at every file."""
    return Plugins()


def make_plugins(config: configuration.Config, *, external: bool = True) -> Plugins:
    """The plugins as configured ([plugins] disabled, paths and timeout; RSRAG_STRICT_PLUGINS)."""
    return Plugins.configured(config.table("plugins"), external=external)


def open_kb(
    config: configuration.Config,
    plugins: Plugins | None = None,
    name: str = "",
    *,
    create: bool = False,
    fill: bool = True,
    progress: Progress | None = None,
) -> KnowledgeBase:
    """The configured knowledge base. The one called "default" is made when missing, and filled from the packs."""
    from .store.knowledge_base import KnowledgeBase

    path = config.kb_path(name)
    is_default = path == config.kb_folder / "default"
    kb = KnowledgeBase(
        path,
        config["encoder"] or None,
        config["text_encoder"] or None,
        plugins=plugins or make_plugins(config),
        create=create or is_default,
        wait=config["wait"],
        encoder_options=config.table("encoders"),
        store=config["store"],
        store_token_env=config["store_token_env"],
    )
    if is_default and fill:
        try:
            fill_from_packs(kb, progress)
        except BaseException:
            kb.close()
            raise
    return kb


def fill_from_packs(kb: KnowledgeBase, progress: Progress | None = None) -> list[Any]:
    """Add the packs that came with the program and are new or have changed; returns their reports."""
    reports = []
    for name, folder in bundled_packs().items():
        digest = _pack_digest(folder)
        if kb.catalog.meta(f"pack:{name}") != digest and not kb.catalog.read_only:
            reports.append(kb.add(str(folder), source=name, kind="pack", progress=progress))
            kb.catalog.set_meta(f"pack:{name}", digest)
    return reports


def _pack_digest(folder: Path) -> str:
    """Changes when a pack's texts or list of images change; reads the text files only."""
    digest = hashlib.blake2b(digest_size=12)
    for file in sorted([*folder.glob("*.jsonl"), folder / "pack.toml"]):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def from_config(overrides: Mapping[str, Any] | None = None) -> Assistant:
    """An assistant as configured by files and environment, with `overrides` ({"k": 5, "model": ...}) on top."""
    config = configuration.load(overrides)
    return make_assistant(config, open_kb(config))


def make_assistant(config: configuration.Config, kb: KnowledgeBase) -> Assistant:
    """An assistant over a knowledge base as configured."""
    from .assistant import Assistant

    model = config["model"]
    return Assistant(
        kb,
        model,
        fusion=config["fusion"],
        alpha=config["alpha"],
        k=config["k"],
        reranker=config["reranker"],
        captioner=config["captioner"],
        tools=config["run_tools"],
        tool_calls=config["tool_calls"],
        tool_seconds=config["tool_seconds"],
        remote_scenes=config["remote_scenes"],
        model_options=config.table("models", model.partition(":")[0]) if isinstance(model, str) else None,
        component_options={kind: config.table(f"{kind}s") for kind in ("retriever", "reranker", "captioner", "tool")},
    )
