"""Runs a benchmark: asks every question once, writes each answer at once, and goes on where it was interrupted."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

import platformdirs

from ..assistant import Assistant
from ..errors import RsragError, UsageError
from .asking import Answered, Asker, can_ask_at_once, sees
from .benchmarks import Chosen, drawn
from .formats import plain
from .leakage import REASONS, Guard
from .manifest import FILE, manifest, refuse_if_different
from .samples import Prediction, Sample
from .searching import SearchCache
from .setup import Setup

log = logging.getLogger("rsrag")
Progress = Callable[[int, int | None, str], None]
PREDICTIONS: Final = "predictions.jsonl"
_SYNC_EVERY: Final = 20  # answers; so many at most are lost with the power
_MOST_ERRORS: Final = 20  # one after the other, before a run is given up


def no_progress(done: int, total: int | None, what: str) -> None:
    """Nobody watches."""


@dataclass(slots=True)
class Tally:
    """What happened in this session: questions asked now and `kept` from before, seconds, (id, why) of those that
    failed, searches that were run anew."""

    asked: int = 0
    kept: int = 0
    seconds: float = 0.0
    searched: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Bench:
    """What the runs of one benchmark over one store share: its questions, its guard, what was searched before."""

    chosen: Chosen
    assistant: Assistant
    samples: list[Sample]
    guard: Guard
    cache: SearchCache
    tables: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def opened(
    chosen: Chosen,
    assistant: Assistant,
    setup: Setup,
    tables: Mapping[str, Any] | None = None,
    cache: Path | None = None,
    progress: Progress = no_progress,
) -> Iterator[Bench]:
    """Everything that is needed to run; `cache` is the folder that keeps searches, by default the user's cache."""
    samples = drawn(chosen, setup.split, setup.limit, setup.seed)
    folder = cache or Path(platformdirs.user_cache_dir("rsrag")) / "searches"
    conditions = manifest(assistant, setup, {}, [])["store"]
    kept = SearchCache(folder / f"{conditions['digest']}.sqlite", assistant.kb)
    try:
        yield Bench(chosen, assistant, samples, Guard(assistant.kb, progress=progress), kept, tables or {})
    finally:
        kept.close()


def run(bench: Bench, setup: Setup, out: Path, progress: Progress = no_progress) -> Tally:
    """Ask all questions that have no answer in `out` yet. An interruption loses none that was answered.

    A question that fails costs itself and is asked again by the next run. Raises `UsageError` when `out` holds a run
    under other conditions, and `RsragError` when nothing works at all.
    """
    assistant = bench.assistant
    if setup.workers > 1 and not can_ask_at_once(assistant.model):
        raise UsageError(
            f"model '{assistant.model.name}' answers on this machine, one question at a time.",
            "Leave --workers out; it is for models on servers.",
        )
    conditions = manifest(assistant, setup, bench.chosen.described(), bench.samples, bench.tables)
    goes_on = refuse_if_different(out, conditions)
    out.mkdir(parents=True, exist_ok=True)
    if not goes_on:
        _write_whole(out / FILE, json.dumps(conditions, indent=2, ensure_ascii=False) + "\n")
    tally = Tally()
    done = _clean(out / PREDICTIONS) if goes_on else set()
    missing = [sample for sample in bench.samples if sample.id not in done]
    tally.kept = len(bench.samples) - len(missing)
    if setup.lanes == () and not sees(assistant.model) and not hasattr(assistant.model, "use_language"):
        tally.notes.append(f"model '{assistant.model.name}' sees neither images nor evidence")
    asker = Asker(assistant, setup, None if setup.allow_self else bench.guard, bench.cache, bench.chosen.root)
    before, start = bench.cache.searched, time.perf_counter()
    answers = _asked(asker, missing, setup.workers)
    try:
        with (out / PREDICTIONS).open("a", encoding="utf-8") as stream:
            in_a_row = 0
            progress(tally.kept, len(bench.samples), "questions")
            for sample, found in answers:
                stream.write(json.dumps(_line(sample, found), ensure_ascii=False) + "\n")
                tally.asked += 1
                if isinstance(found, Exception):
                    tally.failed.append((sample.id, _said(found)))
                    in_a_row += 1
                else:
                    in_a_row = 0
                stream.flush()
                if tally.asked % _SYNC_EVERY == 0:
                    os.fsync(stream.fileno())
                if in_a_row >= _MOST_ERRORS or (len(tally.failed) == len(missing) > 0):
                    raise RsragError(
                        f"{in_a_row} questions in a row failed; the last: {tally.failed[-1][1]}.",
                        "What was answered is kept; the same command goes on.",
                    )
                progress(tally.kept + tally.asked, len(bench.samples), "questions")
    finally:
        answers.close()
        tally.seconds = time.perf_counter() - start
        tally.searched = bench.cache.searched - before
    return tally


def _asked(
    asker: Asker, samples: Sequence[Sample], workers: int
) -> Generator[tuple[Sample, Answered | Exception], None, None]:
    def ask(sample: Sample) -> Answered | Exception:
        try:
            return asker(sample)
        except UsageError:
            raise  # a setting that is wrong for all
        except Exception as error:  # costs this question
            return error

    if workers <= 1:
        for sample in samples:
            yield sample, ask(sample)
        return
    with ThreadPoolExecutor(workers, "ask") as pool:
        waiting: dict[Future[Answered | Exception], Sample] = {}
        left = iter(samples)
        try:
            while True:
                for sample in islice(left, 2 * workers - len(waiting)):
                    waiting[pool.submit(ask, sample)] = sample
                if not waiting:
                    return
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    yield waiting.pop(future), future.result()
        finally:
            for future in waiting:
                future.cancel()


def _line(sample: Sample, found: Answered | Exception) -> dict[str, Any]:
    """A question with its answer as `rsrag eval score` reads it, and what the report shows beside it."""
    if isinstance(found, Exception):
        return plain.record(sample) | {"error": _said(found)}
    line = plain.record(sample, found.prediction)
    more = {
        "excluded": {reason: n for reason, n in found.excluded.counts().items() if n},
        "shown": [dict(item) for item in found.shown],
        "warnings": list(found.warnings),
    }
    return line | {key: value for key, value in more.items() if value}


def _said(error: Exception) -> str:
    return error.message.rstrip(".") if isinstance(error, RsragError) else f"{type(error).__name__}: {error}"


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a run's predictions; a line that was being written when the power went is left out."""
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as stream:
        for text in stream:
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict) and text.endswith("\n"):
                yield line


def _clean(path: Path) -> set[str]:
    """Drop half lines and questions that failed, so that they are asked again; the ids of the others."""
    kept = {str(line["id"]): line for line in lines_of(path) if "error" not in line and "id" in line}
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept.values())
    if not path.exists() or path.read_text(encoding="utf-8", errors="replace") != text:
        _write_whole(path, text)
    return set(kept)


def _write_whole(path: Path, text: str) -> None:
    """All of it or nothing."""
    half = path.with_name(f".{path.name}.half")
    half.write_text(text, encoding="utf-8")
    half.replace(path)


def leaked(folder: Path) -> dict[str, int]:
    """What the guard kept from all questions of a run: records for each reason, and `questions` that had any."""
    found = dict.fromkeys(REASONS, 0) | {"questions": 0}
    for line in lines_of(folder / PREDICTIONS):
        for reason, count in line.get("excluded", {}).items():
            found[reason] += count
        found["questions"] += bool(line.get("excluded"))
    return found


def oracle(samples: Sequence[Sample]) -> Iterator[tuple[Sample, Prediction]]:
    """Every question with its right answer, as a perfect system would give it: what a benchmark must score 1 for."""
    for sample in samples:
        if sample.task == "retrieve":
            yield sample, Prediction(ranking=sample.references)
        elif not sample.references:
            yield sample, Prediction("", declined=True)
        else:
            yield sample, Prediction(sample.references[0], declined=False if "answerable" in sample.meta else None)
