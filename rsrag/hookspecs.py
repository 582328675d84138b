"""The contract between rsrag and its plugins.

A plugin is a module (or object) named by an entry point of the group `rsrag`, a .py file or package in a folder given
by `--plugin-dir` or `[plugins] paths`, or a built-in found the same way. It implements any of these hooks with
`rsrag.hookimpl`. Importing it must be cheap: heavy packages belong inside the methods that use them. A hook may take
fewer parameters than its specification, and none that are not in it.

Hooks that offer return a list of classes, each with a `name` and the methods of its Protocol in
`rsrag.interfaces`. They are called once, when a component of that kind is first asked for; all lists are
joined. A name that is already taken is refused with one line naming both plugins, and the first stays. A hook
that raises costs that plugin's offers of that kind, and one line.

What runs in a plugin has a time: 10 s for a hook, `[plugins] timeout` (60 s) for its import, for one call of a lane,
reranker or tool, and for each image of a captioner; ten times that for a source's next record and a model's whole
answer; encoders have no limit. A plugin whose hook is late is not called again; a component that is late fails like
one that raises. What a plugin prints to stdout goes to stderr, after its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

from .types import Answer, Query, Scene

if TYPE_CHECKING:
    import typer

    from .interfaces import Benchmark, Captioner, Encoder, GeoTool, Model, Reranker, Retriever, Source, TextEncoder

PLUGIN_API = 1
"""Version of this contract. A plugin may set `RSRAG_PLUGIN_API = 1` to say what it was written for."""

hookspec = pluggy.HookspecMarker("rsrag")
hookimpl = pluggy.HookimplMarker("rsrag")


@hookspec
def rsrag_sources() -> list[type[Source]]:  # type: ignore[empty-body]
    """Offer data sources.

    :return: classes with `records()`; `matches(what: str) -> float` (a static method, 0..1) lets
        `rsrag kb add WHAT` guess the kind of source from a path or URL.
    """


@hookspec
def rsrag_captioners() -> list[type[Captioner]]:  # type: ignore[empty-body]
    """Offer captioners, which fill in missing text for images while they are ingested.

    :return: classes with `caption(scenes)`.
    """


@hookspec
def rsrag_encoders() -> list[type[Encoder] | type[TextEncoder]]:  # type: ignore[empty-body]
    """Offer encoders: joint image-text ones, or text-only ones for the `texts` space.

    :return: classes with `encode_texts` and, for a joint encoder, `encode_scenes`.
    """


@hookspec
def rsrag_retrievers() -> list[type[Retriever]]:  # type: ignore[empty-body]
    """Offer retrieval lanes. Every offered lane runs for every query that has what it `needs`.

    :return: classes with `retrieve(query, kb, k)`.
    """


@hookspec
def rsrag_rerankers() -> list[type[Reranker]]:  # type: ignore[empty-body]
    """Offer rerankers; one runs when it is configured by name.

    :return: classes with `rerank(query, hits)`.
    """


@hookspec
def rsrag_models() -> list[type[Model]]:  # type: ignore[empty-body]
    """Offer models that write answers. `model = "name:rest"` passes `rest` as the first argument.

    :return: classes with `generate(prompt)`.
    """


@hookspec
def rsrag_tools() -> list[type[GeoTool]]:  # type: ignore[empty-body]
    """Offer geo tools, run by the assistant when they apply to a question.

    :return: classes with `applies(query)` and a typed, documented `__call__(scene, ...)`.
    """


@hookspec
def rsrag_benchmarks() -> list[type[Benchmark]]:  # type: ignore[empty-body]
    """Offer benchmarks for `rsrag eval run NAME`.

    :return: classes with `samples(split)`, and `sources(split)` where they bring knowledge of their own.
    """


@hookspec
def rsrag_commands(app: typer.Typer) -> None:
    """Add commands to the command line. Called once when the command line starts.

    A plugin that was seen to add none is not even imported for this until its files change. A name that is taken,
    by rsrag or an earlier plugin, is refused with one line.

    :param app: the typer application to register on. Keep the commands' imports inside them.
    """


@hookspec(firstresult=True)
def rsrag_open_scene(uri: str) -> Scene | None:
    """Open an image of a format or URL scheme that rsrag does not know.

    Called for every image before rsrag tries itself, from several threads; the first answer that is not None wins.
    A `SceneError` or `UsageError` is shown to the user; anything else is reported, and the next is asked.

    :param uri: a path or URL, without the `#xywh=` part, which rsrag applies to the result.
    :return: a Scene, or None to leave it to others.
    """


@hookspec
def rsrag_answered(query: Query, answer: Answer) -> None:
    """Observe an answer after it is complete. What it raises is reported and otherwise ignored.

    :param query: the question as it was asked.
    :param answer: the finished answer. Changing it has no effect: it is frozen.
    """
