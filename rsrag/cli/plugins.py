"""`rsrag plugins`: what they offer, whether they keep their contracts, and a new one to begin with."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .session import JsonOption, session_of

if TYPE_CHECKING:
    from ..plugins import PluginInfo

app = typer.Typer(help="Plugins: list, check, new.", no_args_is_help=True)


@app.command("list")
def list_(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show every plugin, its state, what it offers, and what importing it costs. No model is loaded."""
    session = session_of(context)
    rows = session.plugins.listing()
    if as_json:
        session.json([asdict(row) for row in rows])
        return
    from rich.markup import escape
    from rich.table import Table

    from .control import harmless

    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    for column in ("Plugin", "State", "From"):
        table.add_column(column, overflow="fold")
    table.add_column("Offers", overflow="fold", ratio=1)
    table.add_column("Import", justify="right", no_wrap=True)
    for row in rows:
        origin = f"{row.distribution} {row.version}".strip() or row.path or "-"
        import_ms = f"{row.import_ms:,.0f} ms" if row.state in ("built-in", "ok", "faulty") else ""
        cells = (row.name, row.state, origin, _offers(row))
        table.add_row(*(escape(harmless(cell)) for cell in cells), import_ms)
    session.out.print(table)
    if len(rows) == 1:
        session.note("None but the built-ins. `rsrag plugins new NAME --kind tool` begins one.")


def _offers(row: PluginInfo) -> str:
    offers = [f"{kind}: {', '.join(names)}" for kind, names in row.offers.items()]
    return "; ".join([*offers, *row.hooks])


@app.command("check")
def check(
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="PATH_OR_NAME", help="A plugin's name, its file, or its project.")],
    options: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KIND.NAME.KEY=VALUE]...", help="Options that its components need."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run the contracts of rsrag.testing over all that a plugin offers. Exit code 1 when it breaks one.

    Example: rsrag plugins check ./rsrag-places source.places.path=towns.csv
    """
    from ..plugin_check import check_plugin

    session = session_of(context)
    findings = []
    with session.err.status("Checking ..."):
        findings = check_plugin(what, options or (), session.config.table("plugins").get("paths", ()))
    if as_json:
        session.json([asdict(finding) for finding in findings])
    else:
        from .control import harmless

        for finding in findings:
            mark = {True: "ok", False: "!!", None: "--"}[finding.passed]
            line = harmless(f"{mark}  {finding.what}: {finding.detail}")
            session.out.print(line, markup=False, soft_wrap=True, style="bold" if finding.passed is False else None)
    if any(finding.passed is False for finding in findings):
        raise typer.Exit(1)


@app.command("new")
def new(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the package, such as rsrag-places.")],
    kind: Annotated[str, typer.Option(help="source, captioner, retriever, reranker, encoder, model, tool, benchmark.")],
    folder: Annotated[Path, typer.Option("--in", metavar="DIR", help="Where to make its folder.")] = Path(),
) -> None:
    """Write a package with one working component and the tests of its contract.

    Example: rsrag plugins new rsrag-greenness --kind tool
    """
    from .scaffold import write_package

    written = write_package(name, kind, folder, session_of(context).plugins.offers)
    typer.echo(str(written))
    session_of(context).note(f"Next: cd {written} && pip install -e . && pytest; then `rsrag plugins check .`")
