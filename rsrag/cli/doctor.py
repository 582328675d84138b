"""`rsrag doctor`: what is installed, what can run here, whether the store is sound; each finding with its remedy."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import typer

from .session import JsonOption, Session, session_of

PACKAGES = ("chromadb", "langchain", "onnxruntime", "open_clip_torch", "rasterio", "torch", "transformers")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `ok` is None for plain information."""

    what: str
    ok: bool | None
    detail: str
    remedy: str = ""


def doctor(context: typer.Context, as_json: JsonOption = False) -> None:
    """Check the installation. Exit code 1 when something is broken."""
    session = session_of(context)
    findings = list(_findings(session))
    if as_json:
        session.json([asdict(f) for f in findings])
    else:
        for f in findings:
            mark = {True: "ok", False: "!!", None: "--"}[f.ok]
            session.out.print(
                f"{mark}  {f.what}: {f.detail}", markup=False, style=None if f.ok is not False else "bold"
            )
            if f.remedy:
                session.out.print(f"      {f.remedy}", markup=False, style="dim")
    if any(f.ok is False for f in findings):
        raise typer.Exit(1)


def _findings(session: Session) -> Iterator[Finding]:
    from .. import __version__
    from ..errors import RsragError

    yield Finding("rsrag", True, f"{__version__} on Python {platform.python_version()}, {platform.machine()}")
    yield from _packages()
    try:
        yield Finding("settings", True, f"read; knowledge bases in {session.config.data_dir}")
    except RsragError as error:
        yield Finding("settings", False, error.message, error.hint)
        return
    yield from _weights(session)
    for kind in ("source", "encoder", "model", "tool", "retriever"):
        session.plugins.offers(kind)
    for problem in session.plugins.problems:
        yield Finding("plugin", False, str(problem), "Update it, uninstall it, or list it under [plugins] disabled.")
    yield Finding("models", None, ", ".join(sorted(session.plugins.offers("model"))))
    yield from _store(session)


def _packages() -> Iterator[Finding]:
    from importlib.metadata import PackageNotFoundError, version

    missing, found = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    yield Finding(
        "packages", not missing, ", ".join(found), f"Missing: pip install {' '.join(missing)}" if missing else ""
    )


def _weights(session: Session) -> Iterator[Finding]:
    from ..errors import RsragError

    try:
        encoder = session.plugins.create("encoder", "starter", **session.config.table("encoders", "starter"))
        yield Finding("encoder starter", True, f"{encoder.id} in {encoder.folder}")
    except RsragError as error:
        yield Finding("encoder starter", False, error.message, error.hint)


def _store(session: Session) -> Iterator[Finding]:
    from ..errors import RsragError
    from ..store.knowledge_base import KnowledgeBase

    path = session.config.kb_path()
    if not (path / "catalog.sqlite").exists():
        yield Finding("knowledge base", None, f"{path} does not exist yet; the first question makes it")
        return
    try:
        at = {key: session.config[key] for key in ("store", "store_token_env")}
        with KnowledgeBase(path, plugins=session.plugins, create=False, **at) as kb:
            kb.spaces.check()
            about = kb.info()
            short = [name for name, _, _, vectors in about.spaces if vectors and kb.index.count(name) != vectors]
        detail = f"{path.name}: {about.records:,} records, {about.chunks:,} passages and images"
        if short:
            yield Finding(
                "knowledge base",
                False,
                f"{detail}; the vector index lacks rows of {', '.join(short)}",
                "`rsrag kb verify --repair` mends it from the catalog.",
            )
        else:
            yield Finding("knowledge base", True, detail)
    except RsragError as error:
        yield Finding("knowledge base", False, error.message, error.hint)
