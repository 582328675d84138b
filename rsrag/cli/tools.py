"""`rsrag tools`: the geo tools one by one, with arguments as they are typed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UsageError
from .session import JsonOption, KbOption, Session, session_of

if TYPE_CHECKING:
    from ..toolbox import Tool
    from ..types import Quantity, ToolResult

app = typer.Typer(help="Geo tools: list, show, run.", no_args_is_help=True)


@app.command("list")
def list_(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show every geo tool with what it takes."""
    session = session_of(context)
    tools = [_made(session, name) for name in sorted(session.plugins.offers("tool"))]
    if as_json:
        session.json([_told(tool) for tool in tools])
        return
    from rich.table import Table

    from .render import escaped

    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    table.add_column("Tool", no_wrap=True)
    table.add_column("Takes", no_wrap=True)
    table.add_column("Does", overflow="fold", ratio=1)
    for tool in tools:
        table.add_row(escaped(tool.name), _taken(tool), escaped(_first(tool.description)))
    session.out.print(table)
    session.note("`rsrag tools show NAME` tells its arguments; `rsrag tools run NAME IMAGE` runs it.")


@app.command("show")
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which tool.")],
    as_json: JsonOption = False,
) -> None:
    """Show a tool's arguments and what they mean."""
    session = session_of(context)
    tool = _made(session, name)
    if as_json:
        session.json(_told(tool))
        return
    from .control import harmless
    from .render import escaped

    session.out.print(harmless(tool.name), style="bold", markup=False)
    for paragraph in re.split(r"\n\s*\n", harmless(tool.description)):
        session.out.print(" ".join(paragraph.split()), markup=False)
    session.out.print()
    images = {"scene": "IMAGE", "scenes": "IMAGE...", "": ""}[tool.takes]
    usage = " ".join(
        p for p in ("rsrag tools run", tool.name, images, "[ARGUMENT=VALUE]..." * bool(tool.arguments)) if p
    )
    session.out.print(escaped(usage), style="dim")
    if tool.arguments:
        from rich.table import Table

        table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
        for column in ("Argument", "Kind", "Default"):
            table.add_column(column, no_wrap=column == "Argument", overflow="fold")
        table.add_column("Meaning", overflow="fold", ratio=1)
        for argument, schema in tool.arguments.items():
            default = schema.get("default")
            shown = "" if default is None else str(default) or '""'
            cells = (argument, _kind(schema), shown, str(schema.get("description") or ""))
            table.add_row(*(escaped(cell) for cell in cells))
        session.out.print(table)
    if tool.asks:
        session.note(f"Asks before it runs: {', '.join(tool.asks)}.")


@app.command("run")
def run(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which tool; `rsrag tools list` shows them.")],
    given: Annotated[
        list[str] | None, typer.Argument(metavar="[IMAGE]... [ARGUMENT=VALUE]...", help="Images, then arguments.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE|DIR", help="Where its picture goes (.png) or its map (.geojson).")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Agree to what the tool asks for.")] = False,
    bands: Annotated[str, typer.Option(metavar="A,B,C", help="What the bands of the images are, in order.")] = "",
    sensor: Annotated[str, typer.Option(metavar="NAME", help="What took the images (sentinel-2-l2a).")] = "",
    kb: KbOption = "",
    as_json: JsonOption = False,
) -> None:
    """Run a geo tool on images.

    Example: rsrag tools run spectral_index scene.tif index=NDWI --out ndwi.png
    """
    from .control import harmless

    session = session_of(context)
    tool = _made(session, name)
    images, arguments = _sorted(tool, given or ())
    checked = tool.from_text(arguments)  # before anything is opened: a typing error costs no wait
    with session.kb(kb) as store:
        assistant = session.assistant(store)
        assistant.confirm = lambda spec, values: yes or _agreed(session, spec.name, spec.asks, values)
        scenes = assistant.query("", images or None, task="search", bands=_list(bands), sensor=sensor).scenes
        with session.err.status(f"Running {tool.name} ..."):
            result, _ = assistant.run_tool(tool.name, checked, list(scenes))
    kept = _kept(result, out) if out else {}
    if as_json:
        session.json(result_json(tool.name, result, kept))
        return
    print_result(session, result)
    for path in kept.values() or result.images:
        # A path that is cut into lines cannot be opened.
        session.err.print(harmless(f"picture or map: {path}"), style="dim", markup=False, soft_wrap=True)


def _made(session: Session, name: str) -> Tool:
    from ..toolbox import Tool

    return Tool(session.plugins.create("tool", name, **session.config.table("tools", name)))


def _sorted(tool: Tool, given: Sequence[str]) -> tuple[list[str], list[str]]:
    """(images, arguments): name=value is an argument unless it is a file, or the tool takes no such thing."""
    arguments = [
        item for item in given if re.match(r"[A-Za-z_]\w*=", item) and not (Path(item).exists() and "/" in item)
    ]
    images = [item for item in given if item not in arguments]
    if images and not tool.takes:
        first = next(iter(tool.arguments), "")
        hint = f"Did you mean {first}={images[0]!r}?" if first else ""
        raise UsageError(f"tool '{tool.name}' takes no image, and '{images[0]}' is not ARGUMENT=VALUE.", hint)
    if tool.takes == "scene" and len(images) > 1:
        raise UsageError(f"tool '{tool.name}' takes one image, and {len(images)} are given.", "Run it for each.")
    return images, arguments


def _list(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _agreed(session: Session, name: str, asks: Sequence[str], values: Mapping[str, Any]) -> bool:
    import sys

    if not sys.stdin.isatty():
        return False
    told = ", ".join(f"{k}={v}" for k, v in values.items())
    return typer.confirm(f"{name}({told}) wants: {', '.join(asks)}. Run it?", err=True)


def _kept(result: ToolResult, out: Path) -> dict[str, str]:
    """Copies of pictures, and the GeoJSON, where the user wants them. Raises `UsageError` when there is none."""
    if out.suffix.lower() in (".geojson", ".json"):
        if result.geojson is None:
            raise UsageError("this result has nothing to draw on a map.", "Give a .png or a folder for its picture.")
        out.write_text(json.dumps(dict(result.geojson)), encoding="utf-8")
        return {"geojson": str(out)}
    if not result.images:
        raise UsageError("this result has no picture.", "Leave --out away.")
    if out.suffix:
        shutil.copyfile(result.images[0], out)
        return {"picture": str(out)}
    out.mkdir(parents=True, exist_ok=True)
    kept = {Path(image).name: shutil.copyfile(image, out / Path(image).name) for image in result.images}
    if result.geojson is not None:
        (out / "map.geojson").write_text(json.dumps(dict(result.geojson)), encoding="utf-8")
        kept["map.geojson"] = out / "map.geojson"
    return {name: str(path) for name, path in kept.items()}


# -- how a result looks ---------------------------------------------------------------------------


def print_result(session: Session, result: ToolResult) -> None:
    """The text, its numbers in a table, and what limits them."""
    from rich.table import Table

    from .control import harmless
    from .render import escaped

    session.out.print(harmless(result.text), markup=False)
    if result.values:
        table = Table(box=None, padding=(0, 1), pad_edge=False, show_header=False)
        table.add_column(overflow="fold")
        table.add_column(justify="right", no_wrap=True)
        for name, quantity in result.values.items():
            table.add_row(escaped(name), escaped(str(quantity)))
        session.out.print()
        session.out.print(table)
    for caveat in result.caveats:
        session.warn(caveat)
    if result.attribution:
        session.note(f"After: {result.attribution}")


def result_json(name: str, result: ToolResult, kept: Mapping[str, str]) -> dict[str, Any]:
    """The documented shape of `tools run --json`."""
    return {
        "tool": name,
        "text": result.text,
        "values": {key: _quantity(value) for key, value in result.values.items()},
        "images": list(result.images),
        "written": dict(kept),
        "geojson": result.geojson,
        "caveats": list(result.caveats),
        "attribution": result.attribution or None,
    }


def _quantity(quantity: Quantity) -> dict[str, Any]:
    return {"value": quantity.value, "unit": quantity.unit}


def _told(tool: Tool) -> dict[str, Any]:
    spec = tool.spec()
    return {
        "name": spec.name,
        "description": spec.description,
        "takes": tool.takes or None,
        "asks": list(spec.asks),
        "parameters": spec.parameters,
    }


def _taken(tool: Tool) -> str:
    return {"scene": "an image", "scenes": "images", "": "no image"}[tool.takes]


def _kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(str(item) for item in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_kind(item) for item in schema["anyOf"] if item.get("type") != "null")
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}s"
    return {"string": "text", "integer": "whole number", "boolean": "true | false"}.get(
        str(schema.get("type", "")), str(schema.get("type", "any"))
    )


def _first(text: str) -> str:
    return re.split(r"(?<=[.!?])\s", " ".join(text.split()))[0]
