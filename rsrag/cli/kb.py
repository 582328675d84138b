"""`rsrag kb`: make knowledge bases, add to them, look into them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from . import kb_care
from .session import JsonOption, KbOption, Progress, Session, session_of

app = typer.Typer(help="Knowledge bases: make, fill, look into, check, copy.", no_args_is_help=True)


@app.command("create")
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name, or a folder.")],
    encoder: Annotated[str | None, typer.Option(help="Image-text encoder.")] = None,
    text_encoder: Annotated[str | None, typer.Option(help="Encoder for texts.")] = None,
) -> None:
    """Make an empty knowledge base."""
    from ..errors import StoreError
    from ..store.spaces import needs_images

    session = session_of(context)
    session.override(encoder=encoder, text_encoder=text_encoder)
    path = session.config.kb_path(name)
    if (path / "catalog.sqlite").exists():
        raise StoreError(f"{path} exists already.", "Choose another name, or add to it with `rsrag kb add`.")
    # Before there is a folder: a misspelt name or missing weights must leave nothing behind.
    for wish, joint in ((session.config["encoder"] or "starter", True), (session.config["text_encoder"], False)):
        if wish:
            made = session.plugins.create("encoder", wish, **session.config.table("encoders", wish.partition(":")[0]))
            assert made.id
            if joint:
                needs_images(made)
    with session.kb(name, create=True) as store:
        with store.writer():
            store.spaces.declare()
        typer.echo(f"Made {store.path} with encoder {store.encoder.name}.")
        if session.config["store"]:
            session.note(f"Its vectors go to {store.index.where}, everything else into that folder.")


@app.command("add")
def add(
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="WHAT", help="A folder, a file, a pack, or a kind of source.")],
    options: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="The source's options.")] = None,
    source: Annotated[str, typer.Option(metavar="NAME", help="What to call it (default: the folder's name).")] = "",
    captioner: Annotated[str, typer.Option(help="Describe images that have no text with this captioner.")] = "",
    prune: Annotated[bool, typer.Option("--prune", help="Remove what has vanished from the source.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would be added; write nothing.")] = False,
    wait: Annotated[float | None, typer.Option(help="Seconds to wait for another writer.")] = None,
    kb: KbOption = "",
    as_json: JsonOption = False,
) -> None:
    """Add images and documents. Doing it again adds what is new and costs nothing for the rest.

    Example: rsrag kb add ~/imagery license="CC BY 4.0"
    """
    from pathlib import Path

    from ..errors import UsageError
    from ..ingest import guess_kind

    session = session_of(context)
    session.override(wait=wait)
    given: dict[str, Any] = {}
    for pair in options or []:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"'{pair}' is not an option.", "Give key=value, such as license=CC0.")
        given[key] = value
    known = session.plugins.offers("source")
    kind = what if what in known and not Path(what).exists() else guess_kind(session.plugins, what)
    session.note(f"Reading {what} as a source of kind '{kind}'.")
    configured = session.config.table("sources", kind)
    if kind != what:
        configured.pop("path", None)
    # What comes from the environment is text too.
    texts = {key: value for key, value in configured.items() if isinstance(value, str)}
    typed = configured | _typed(known[kind], texts | given)
    new = bool(kb) and not (session.config.kb_path(kb) / "catalog.sqlite").exists()
    if new and not dry_run:
        session.note(f"Making a new knowledge base: {session.config.kb_path(kb)}")
    with session.kb(kb, create=new and not dry_run) as store:
        bar = Progress(session)
        try:
            report = store.add(
                what,
                source=source,
                kind="" if kind == what else kind,
                captioner=_captioner(session, captioner),
                progress=bar,
                dry_run=dry_run,
                prune=prune,
                **typed,
            )
        finally:
            bar.close()
    if as_json:
        session.json(
            {
                "source": report.source,
                "kind": kind,
                "added": report.added,
                "updated": report.updated,
                "unchanged": report.unchanged,
                "failed": [{"what": what, "why": why} for what, why in report.failed],
                "skipped": dict(report.skipped),
                "removed": report.removed,
                "embedded": report.embedded,
                "seconds": round(report.seconds, 3),
                "dry_run": dry_run,
            }
        )
        return
    verb = "Would add" if dry_run else "Added"
    skipped = "".join(f", {count:,} {what} left out" for what, count in report.skipped)
    skipped += f", {report.removed:,} {'to be ' if dry_run else ''}removed" if report.removed else ""
    typer.echo(
        f"{verb} {report.added:,} to '{report.source}'; {report.updated:,} updated, {report.unchanged:,} unchanged, "
        f"{len(report.failed):,} failed{skipped} ({report.seconds:.1f} s)."
    )
    _list_failures(session, report.failed)


def _captioner(session: Session, name: str) -> Any:
    if not name:
        return None
    return session.plugins.create("captioner", name, **session.config.table("captioners", name.partition(":")[0]))


def _list_failures(session: Session, failed: tuple[tuple[str, str], ...], most: int = 20) -> None:
    for where, why in failed[:most]:
        session.warn(f"{where}: {why}")
    if len(failed) > most:
        session.warn(f"... and {len(failed) - most:,} more; --json lists them all.")


def _typed(cls: type[Any], options: dict[str, str]) -> dict[str, Any]:
    """Options from the command line in the types of the constructor's defaults."""
    import inspect

    from ..errors import UsageError

    parameters = inspect.signature(cls).parameters
    typed: dict[str, Any] = {}
    for key, text in options.items():
        default = parameters[key].default if key in parameters else ""
        try:
            if isinstance(default, bool):
                typed[key] = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[
                    text.lower()
                ]
            elif isinstance(default, int | float):
                typed[key] = type(default)(text)
            else:
                typed[key] = text
        except (KeyError, ValueError):
            raise UsageError(f"{key}={text} is not a {type(default).__name__}.") from None
    return typed


@app.command("info")
def info(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[NAME]")] = "",
    kb: KbOption = "",
    as_json: JsonOption = False,
) -> None:
    """What a knowledge base holds."""
    session = session_of(context)
    with session.kb(name or kb) as store:
        about = store.info()
    if as_json:
        session.json(
            {
                "path": str(about.path),
                "records": about.records,
                "chunks": about.chunks,
                "facts": about.facts,
                "settled": about.settled,
                "index": about.index,
                "spaces": [{"name": n, "encoder": e, "dim": d, "vectors": v} for n, e, d, v in about.spaces],
                "sources": [
                    {"name": s.name, "kind": s.kind, "role": s.role, "root": s.root, "records": s.records,
                     "chunks": s.chunks, "license": s.license, "updated": s.updated}
                    for s in about.sources
                ],
            }
        )  # fmt: skip
        return
    from rich.markup import escape
    from rich.table import Table

    from .control import harmless

    session.out.print(f"{about.path}", markup=False, soft_wrap=True)
    if "://" in about.index:
        session.out.print(f"vectors on {about.index}", markup=False, soft_wrap=True)
    session.out.print(f"{about.records:,} records, {about.chunks:,} passages and images, {about.facts:,} facts")
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    for column in ("Source", "Kind", "Whose"):
        table.add_column(column)
    for column in ("Records", "Chunks"):
        table.add_column(column, justify="right")
    table.add_column("Root", overflow="fold")
    for s in about.sources:
        whose = "yours" if s.role == "mine" else s.role
        cells = (s.name, s.kind, whose, f"{s.records:,}", f"{s.chunks:,}", s.root)
        table.add_row(*(escape(harmless(cell)) for cell in cells))
    session.out.print(table)
    for space, encoder, dim, vectors in about.spaces:
        session.out.print(f"space {space}: {vectors:,} vectors of {dim}, {encoder}", style="dim")
    if not about.settled:
        session.warn("the vector index is behind the catalog; the next write catches up.")


@app.command("list")
def list_(context: typer.Context, as_json: JsonOption = False) -> None:
    """The knowledge bases that have a name."""
    session = session_of(context)
    folder = session.config.kb_folder
    names = sorted(p.parent.name for p in folder.glob("*/catalog.sqlite"))
    if as_json:
        session.json([{"name": name, "path": str(folder / name)} for name in names])
        return
    for name in names:
        mark = "*" if name == session.config["kb"] else " "
        typer.echo(f"{mark} {name:<20} {folder / name}")
    if not names:
        session.note("None yet. The first question makes 'default'; `rsrag kb create NAME` makes another.")


@app.command("remove")
def remove(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The source to take out.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    kb: KbOption = "",
) -> None:
    """Take a source out of a knowledge base for good; the files it came from stay.

    Its texts, vectors and previews are gone from every file, automatic backups included. Snapshots that were given a
    name stay, and are named where they hold it.
    """
    session = session_of(context)
    with session.kb(kb) as store:
        if not yes:
            typer.confirm(f"Remove '{source}' from {store.path.name} and its backups for good?", abort=True, err=True)
        bar = Progress(session, "Indexing")
        try:
            count = store.delete(source, bar)
        finally:
            bar.close()
        typer.echo(f"Removed {count:,} records of '{source}'.")


kb_care.add_to(app)
