"""`rsrag kb verify|rebuild|reencode|enrich|snapshot|restore|export|import`: keeping what was gathered."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from .session import JsonOption, KbOption, Progress, Session, session_of


def add_to(app: typer.Typer) -> None:
    """Register these commands beside the others of `rsrag kb`."""
    for command in (verify, rebuild, reencode, enrich, snapshot, restore, export, import_):
        app.command(command.__name__.rstrip("_"))(command)


def verify(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[NAME]")] = "",
    repair: Annotated[bool, typer.Option("--repair", help="Mend the vector index from the catalog.")] = False,
    samples: Annotated[int, typer.Option(min=0, help="Vectors of each space to look up neighbours of.")] = 100,
    kb: KbOption = "",
    as_json: JsonOption = False,
) -> None:
    """Check a knowledge base against itself. Exit code 1 when something is wrong.

    Compares ids, counts and neighbours of the vector index with the catalog, and looks through the catalog.
    """
    session = session_of(context)
    with session.kb(name or kb) as store:
        verdict = store.verify(repair=repair, samples=samples)
        path = store.path
    if as_json:
        session.json({"path": str(path), "ok": verdict.ok, **asdict(verdict)})
    else:
        typer.echo(f"{path}: {verdict.records:,} records, {verdict.chunks:,} passages and images")
        for check in verdict.spaces:
            found = (
                "" if check.recall is None else f", {check.recall:.1%} of neighbours found ({check.sampled} looked up)"
            )
            typer.echo(f"  {check.space}: {check.vectors:,} vectors{found}")
        for line in verdict.repaired:
            typer.echo(f"repaired {line}")
        for line in verdict.problems:
            typer.echo(f"wrong    {line}")
        typer.echo("Sound." if verdict.ok else _way_out(verdict.beyond_repair))
    if not verdict.ok:
        raise typer.Exit(1)


def _way_out(beyond_repair: bool) -> str:
    if beyond_repair:
        return "Not sound. `rsrag kb snapshot` lists the copies that `rsrag kb restore` can take."
    return "Not sound. `rsrag kb verify --repair` mends it from the catalog."


def rebuild(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[NAME]")] = "",
    wait: Annotated[float | None, typer.Option(help="Seconds to wait for another writer.")] = None,
    kb: KbOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make the vector index anew from the catalog; nothing is embedded again.

    Searches go on with the old index until the new one is whole. Interrupted, it goes on where it was.
    """
    session = session_of(context)
    session.override(wait=wait)
    with session.kb(name or kb) as store:
        bar = Progress(session, "Indexing")
        try:
            count = store.rebuild(bar)
        finally:
            bar.close()
    if as_json:
        session.json({"path": str(store.path), "vectors": count})
    else:
        typer.echo(f"Indexed {count:,} vectors of {store.path.name} anew.")


def reencode(
    context: typer.Context,
    encoder: Annotated[str, typer.Option(metavar="E", help="Image-text encoder from now on.")] = "",
    text_encoder: Annotated[str, typer.Option(metavar="E", help="Encoder for texts from now on.")] = "",
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Take out images of which neither file nor preview is there.")
    ] = False,
    wait: Annotated[float | None, typer.Option(help="Seconds to wait for another writer.")] = None,
    kb: KbOption = "",
    as_json: JsonOption = False,
) -> None:
    """Encode everything again, with other encoders or newer weights.

    Searches go on with the old vectors until the new ones are complete. Interrupted, it goes on where it was.
    """
    session = session_of(context)
    session.override(wait=wait, encoder="", text_encoder="")  # those of the configuration would refuse the old vectors
    with session.kb(kb, fill=False) as store:
        bar = Progress(session, "Encoding")
        try:
            done = store.reencode(encoder or None, text_encoder or None, skip_missing=skip_missing, progress=bar)
        finally:
            bar.close()
    if as_json:
        session.json(asdict(done))
    else:
        for space, before, now, count in done.spaces:
            typer.echo(f"{space}: {count:,} vectors by {now} (before: {before})")
        if not done.spaces:
            typer.echo(f"Nothing to do: the vectors of {store.path.name} were made by these encoders.")
        if done.previews:
            session.note(f"{done.previews:,} images were encoded from their previews: the original is gone or differs.")
        if done.split:
            session.note(f"{done.split:,} texts are too long for the new encoder and got the mean of their parts.")
        if done.removed:
            session.warn(f"{done.removed:,} images were taken out; adding their source again brings them back.")
    for problem in done.problems:
        session.warn(problem)
    if done.problems:
        raise typer.Exit(1)


def enrich(
    context: typer.Context,
    model: Annotated[str | None, typer.Option(help="Language model that is asked.")] = None,
    source: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only passages of this source (repeatable).")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="At most so many passages; 0 for all.")] = 0,
    again: Annotated[bool, typer.Option("--again", help="Also passages that another model gave terms.")] = False,
    wait: Annotated[float | None, typer.Option(help="Seconds to wait for another writer.")] = None,
    kb: KbOption = "",
    as_json: JsonOption = False,
) -> None:
    """Ask a language model for key concepts and topics of passages, as words to find them by.

    One short call for each passage that has none. Interrupted, it goes on where it was. Exit code 1 when some failed.
    """
    from ..enrichment import enrich as run

    session = session_of(context)
    session.override(model=model, wait=wait)
    with session.kb(kb) as store:
        bar = Progress(session, "Asking about")
        try:
            done = run(
                store, session.assistant(store).model, sources=source or (), limit=limit, again=again, progress=bar
            )
        finally:
            bar.close()
    if as_json:
        session.json(asdict(done))
    else:
        typer.echo(f"{done.done:,} passages got terms; {done.unchanged:,} had them, {len(done.failed):,} got none.")
        for where, why in done.failed[:20]:
            session.warn(f"{where}: {why}")
        if len(done.failed) > 20:
            session.warn(f"... and {len(done.failed) - 20:,} more; --json lists them all.")
    if done.failed:
        raise typer.Exit(1)


def snapshot(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Without a name: list them.")] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Remove this snapshot.")] = False,
    kb: KbOption = "",
    as_json: JsonOption = False,
) -> None:
    """Keep a copy of what a knowledge base knows, or list the copies there are."""
    from ..errors import StoreError, UsageError
    from ..store.snapshots import drop, snapshots, take

    session = session_of(context)
    path = session.config.kb_path(kb)
    if not path.exists():
        raise StoreError(f"there is no knowledge base at {path}.", "Make one with `rsrag kb create`.")
    if remove and not name:
        raise UsageError("--remove needs the name of a snapshot.", "`rsrag kb snapshot` lists them.")
    if remove:
        drop(path, name)
        typer.echo(f"Removed the snapshot '{name}'.")
        return
    if name:
        with session.kb(kb) as store:
            made = take(store, name)
        if as_json:
            session.json(asdict(made))
        else:
            typer.echo(f"Kept {made.records:,} records as '{made.name}' ({made.bytes / 1e6:.1f} MB).")
        return
    known = snapshots(path)
    if as_json:
        session.json([asdict(one) for one in known])
        return
    for one in known:
        kind = "automatic" if one.automatic else ""
        typer.echo(
            f"{one.name:<24} {one.made[:16]} {one.records:>9,} records {one.bytes / 1e6:>8.1f} MB  {kind}".rstrip()
        )
    if not known:
        session.note("None yet. One is made before a change, and by `rsrag kb snapshot NAME`.")


def restore(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="A snapshot (default: the last automatic one).")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    kb: KbOption = "",
    as_json: JsonOption = False,
) -> None:
    """Bring a knowledge base back to a snapshot. What is there now is kept as 'before-restore'."""
    from ..store.snapshots import restore as bring_back

    session = session_of(context)
    path = session.config.kb_path(kb)
    if not yes:
        typer.confirm(f"Bring {path.name} back to {name or 'its last automatic backup'}?", abort=True, err=True)
    snapshot, kept = bring_back(path, name)
    with session.kb(kb) as store:
        held = f"{store.info().records:,} records"
    if as_json:
        session.json({"restored": asdict(snapshot), "kept": kept})
        return
    typer.echo(f"{path.name} is as of {snapshot.made[:16]} again ('{snapshot.name}'): {held}.")
    if kept:
        session.note(f"What was there before is kept as {kept}.")


def export(
    context: typer.Context,
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="A folder that does not exist yet.")],
    source: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this source (repeatable).")] = None,
    kb: KbOption = "",
    as_json: JsonOption = False,
) -> None:
    """Write a knowledge base as plain files: JSON lines, NumPy vectors, previews."""
    from pathlib import Path

    session = session_of(context)
    with session.kb(kb) as store:
        bar = Progress(session, "Writing")
        try:
            counts = store.export(Path(folder).expanduser(), sources=source, progress=bar)
        finally:
            bar.close()
    _tell(
        session, f"Wrote {counts['records']:,} records with {counts['vectors']:,} vectors to {folder}.", counts, as_json
    )


def import_(
    context: typer.Context,
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="What `rsrag kb export` wrote.")],
    wait: Annotated[float | None, typer.Option(help="Seconds to wait for another writer.")] = None,
    kb: KbOption = "",
    as_json: JsonOption = False,
) -> None:
    """Take in what `rsrag kb export` wrote; nothing is embedded again. Doing it twice changes nothing."""
    from pathlib import Path

    session = session_of(context)
    session.override(wait=wait)
    new = bool(kb) and not (session.config.kb_path(kb) / "catalog.sqlite").exists()
    with session.kb(kb, create=new) as store:
        bar = Progress(session, "Reading")
        try:
            counts = store.import_(Path(folder).expanduser(), progress=bar)
        finally:
            bar.close()
    text = f"Took in {counts['added']:,} records; {counts['updated']:,} updated, {counts['unchanged']:,} unchanged."
    _tell(session, text, counts, as_json)


def _tell(session: Session, text: str, counts: dict[str, int], as_json: bool) -> None:
    if as_json:
        session.json(counts)
    else:
        typer.echo(text)
