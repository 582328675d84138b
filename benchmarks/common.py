"""What the benchmarks share: both sides interleaved in one run, medians of ratios, a small table.

Absolute times of a shared machine are noise, so the two sides of a comparison take turns, in an order that
alternates, and what is reported is the median of the ratios of neighbours. Data that may not ship is taken from
$RSRAG_DATA: a folder with imagetext/ucm.tar, imagetext/aid.tar and scenes/.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
RSRAG = Path(sys.executable).with_name("rsrag")


@dataclass(frozen=True)
class Row:
    """One comparison. `value` and `baseline` are medians in `unit`; `met` is None where no target was set."""

    name: str
    value: float
    baseline: float | None = None
    ratio: float | None = None
    target: float | None = None
    unit: str = "s"
    more_is_better: bool = False
    note: str = ""

    @property
    def met(self) -> bool | None:
        if self.target is None or self.ratio is None:
            return None
        return self.ratio >= self.target if self.more_is_better else self.ratio <= self.target


def arguments(description: str | None, **defaults: int) -> argparse.ArgumentParser:
    """A parser with --json and --runs; `runs` gives its default."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="write one JSON object instead of a table")
    if "runs" in defaults:
        parser.add_argument("--runs", type=int, default=defaults["runs"], help="pairs to measure")
    return parser


def interleaved(sides: Mapping[str, Callable[[int], Any]], runs: int, warm_up: int = 1) -> dict[str, list[float]]:
    """Seconds of each side per round; the sides take turns and the order turns round every round.

    A side is called with the number of its round. It may return its own seconds; otherwise the call is timed.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(-warm_up, runs):
        names = list(sides)
        for name in names if number % 2 else reversed(names):
            start = time.perf_counter()
            own = sides[name](number)
            spent = float(own) if isinstance(own, int | float) else time.perf_counter() - start
            if number >= 0:
                seconds[name].append(spent)
    return seconds


def compare(name: str, ours: Sequence[float], theirs: Sequence[float], target: float | None, **more: Any) -> Row:
    """Medians of both sides and the median of the ratios of neighbours."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return Row(name, statistics.median(ours), statistics.median(theirs), statistics.median(ratios), target, **more)


def show(title: str, rows: Sequence[Row], *, as_json: bool, extra: Mapping[str, Any] | None = None) -> None:
    """The table, or the same as JSON."""
    if as_json:
        found = [{**asdict(row), "met": row.met} for row in rows]
        print(json.dumps({"benchmark": title, "rows": found, **(extra or {})}, indent=2))
        return
    width = max(len(row.name) for row in rows)
    print(f"\n{title}\n{'':{width}}  {'rsrag':>10}  {'compared':>10}  {'ratio':>6}  target   ")
    for row in rows:
        target = f"{'>=' if row.more_is_better else '<='} {row.target:g}" if row.target is not None else ""
        met = {True: "met", False: "NOT MET", None: ""}[row.met]
        print(
            f"{row.name:{width}}  {_number(row.value, row.unit):>10}  {_number(row.baseline, row.unit):>10}"
            f"  {'' if row.ratio is None else f'{row.ratio:.2f}':>6}  {target:7}  {met}"
        )
        if row.note:
            print(f"{'':{width}}  {row.note}")


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    if unit == "s":
        return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.1f} ms"
    return f"{value:.4g} {unit}"


def say(text: str) -> None:
    """Progress, to stderr."""
    print(text, file=sys.stderr, flush=True)


def skipped(title: str, why: str, *, as_json: bool) -> None:
    """Say loudly that nothing was measured, and end with 0."""
    print(json.dumps({"benchmark": title, "skipped": why}) if as_json else f"{title}: SKIPPED: {why}")
    if as_json:
        say(f"{title}: SKIPPED: {why}")
    sys.exit(0)


# -- data -----------------------------------------------------------------------------------------


def data(*needed: str) -> Path | None:
    """$RSRAG_DATA, if it is set and holds every file that is needed."""
    folder = os.environ.get("RSRAG_DATA", "")
    if folder and all((Path(folder) / name).exists() for name in needed):
        return Path(folder)
    return None


def unpack(folder: Path, target: Path, names: Sequence[str], *, first: int | None = None) -> list[Path]:
    """Images of imagetext/NAME.tar below `target`, taken evenly from the whole archive; at most `first` in all."""
    files: list[Path] = []
    for position, name in enumerate(names):
        with tarfile.open(folder / "imagetext" / f"{name}.tar") as archive:
            members = [m for m in archive.getmembers() if m.isfile()]
            if first is not None:
                share = min((first - len(files)) // (len(names) - position), len(members))
                members = [members[i * len(members) // share] for i in range(share)]
            archive.extractall(target, members, filter="data")
            files += [target / m.name for m in members]
    return files


def textured(target: Path, count: int, side: int = 256, seed: int = 0) -> list[Path]:
    """JPEGs of blotches, edges and grain, all different: something to decode where no real images are at hand."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(seed)
    target.mkdir(parents=True, exist_ok=True)
    files = []
    for number in range(count):
        picture = np.zeros((side, side, 3), np.float32)
        for cells in (4, 16, 64):
            noise = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
            picture += np.asarray(Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC), np.float32) / 3
        file = target / f"texture{number:05d}.jpg"
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(file, quality=88)
        files.append(file)
    return files


@contextlib.contextmanager
def default_store(home: str = "") -> Iterator[Path]:
    """A data folder whose default store has been built from the packs; `home` keeps it for the next time."""
    with tempfile.TemporaryDirectory(prefix="rsrag-bench-") as temporary:
        folder = Path(home or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        run([str(RSRAG), "kb", "info"], folder)
        yield folder


def environment(home: Path | None) -> dict[str, str]:
    """The environment for a process with its own data folder, and no user's or project's configuration."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RSRAG_") or k in ("RSRAG_DATA", "RSRAG_STARTER")}
    return kept if home is None else {**kept, "RSRAG_DATA_DIR": str(home)}


def run(command: Sequence[str], home: Path | None = None, cwd: Path | None = None) -> str:
    """Run to the end; its stdout. A failure is shown and ends the benchmark."""
    done = subprocess.run(command, env=environment(home), cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def starter_folder() -> Path:
    """Where the weights of the encoder are."""
    import rsrag

    folder: Path = rsrag.create("encoder", "starter").folder
    return folder
