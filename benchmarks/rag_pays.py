"""Does retrieval pay? Naming, describing and asking with and without a knowledge base, on images never trained on.

UC Merced and AID ($RSRAG_DATA), val rows against a store of train rows; what `rsrag.evaluation.leakage` takes for a
copy of a query is hidden from it. Three towers that lack something are needed for the first two tables, in folders of
--towers (the commands are those of examples/training, see docs/evaluation.md):

    without-ucm   trained on AID alone          without-aid   trained on UC Merced alone
    left-out      trained on AID without Bridge, Pond, RailwayStation, Stadium and Mountain

    RSRAG_DATA=... python benchmarks/rag_pays.py --towers runs --home cache [--json]

The wording of an unseen set's prompts is chosen on the other set's experiment.
Intervals: 95 %, paired bootstrap over the queries.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import arguments, data, say, skipped
from encoder import HELD_OUT
from rag_answers import JOINED, NONE, Answers
from rag_classify import SETS, WORDINGS, Case, Images, case, with_packs

import rsrag
from rsrag.evaluation.bootstrap import paired
from rsrag.evaluation.metrics.score import Score, mean

TITLE = "does retrieval pay?"
ADDED = 20
DRAWS = 5
TITLES = {"ucm": "UC Merced", "aid": "AID"}
PRODUCT = "prompts and labelled images: `classify(knowledge=True)`"


@dataclass(frozen=True)
class Row:
    """A way to answer beside the one without retrieval; `gain` with its interval in points (100 x the difference)."""

    table: str
    data: str
    way: str
    metric: str
    n: int
    without: float
    value: float
    gain: float
    low: float
    high: float


def row(table: str, data: str, way: str, metric: str, without: Score, found: Score) -> Row:
    d = paired({"": (without, found)})[""]
    return Row(table, data, way, metric, d.n, d.a, d.b, 100 * d.value, 100 * d.low, 100 * d.high)


def named(table: str, data: str, found: Case) -> Iterator[Row]:
    """The ways to name a scene, each beside the prompts alone."""
    prompts = mean(found.named().tolist())
    ways = {
        "prompts alone": found.named(),
        "image lane: label of the nearest": found.nearest(),
        "join, rrf": found.joined("rrf"),
        "join, weighted (no question: every alpha)": found.joined("weighted"),
        PRODUCT: found.known(),
    }
    for way, right in ways.items():
        yield row(table, data, way, "accuracy", prompts, mean(right.tolist()))


# -- naming ---------------------------------------------------------------------------------------


def split(images: Images, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Places of the val rows and of the train rows."""
    val = images.rows[name].val
    return np.flatnonzero(val), np.flatnonzero(~val)


def unseen(images: Images, towers: dict[str, Any]) -> Iterator[Row]:
    """A set that the encoder was trained without; its train rows are the store."""
    cases = {
        (name, wording): case(images, towers[f"without-{name}"], name, *split(images, name), wording)
        for name in SETS
        for wording in WORDINGS
    }
    for name, other in (SETS, SETS[::-1]):
        wording = max(WORDINGS, key=lambda w: cases[other, w].named().mean())
        found = cases[name, wording]
        told(found, name)
        yield from named("unseen by the encoder", f"{TITLES[name]}, wording '{wording}'", found)


def left_out(images: Images, tower: Any) -> Iterator[Row]:
    """Five classes that the encoder was trained without: 20 images of each are added to a store of the others."""
    rows = images.rows["aid"]
    new = np.array([label in HELD_OUT for label in rows.labels])
    val, train = split(images, "aid")
    asked = {"the five": val[new[val]], "the other 25": val[~new[val]]}
    drawn = [_drawn(rows.right, train[new[train]], draw) for draw in range(DRAWS)]
    even = [np.concatenate([added, _drawn(rows.right, train[~new[train]], draw)]) for draw, added in enumerate(drawn)]
    stores = {
        "none of them in the store": [train[~new[train]]],
        f"{ADDED} of each added": [np.concatenate([train[~new[train]], added]) for added in drawn],
        f"{ADDED} of each class of all 30": even,
    }
    for which, queries in asked.items():
        for store, kinds in stores.items():
            cases = [case(images, tower, "aid", queries, kind) for kind in kinds]
            prompts = mean(cases[0].named().tolist())
            ways = {
                "image lane: label of the nearest": [one.nearest() for one in cases],
                "join, rrf": [one.joined("rrf") for one in cases],
                PRODUCT: [one.known() for one in cases],
            }
            for way, found in ways.items():
                right = np.mean(found, axis=0).tolist()
                yield row("five classes left out", f"{which}, {store}", way, "accuracy", prompts, mean(right))


def _drawn(right: np.ndarray, places: np.ndarray, seed: int) -> np.ndarray:
    """20 images of each class among the places."""
    rng = np.random.default_rng(seed)
    found = [rng.choice(places[right[places] == c], ADDED, replace=False) for c in np.unique(right[places])]
    return np.concatenate(found)


def seen(images: Images, encoder: Any) -> Iterator[Row]:
    """The default encoder, which was trained on both train splits."""
    for name in SETS:
        found = case(images, encoder, name, *split(images, name))
        told(found, name)
        yield from named("seen by the encoder", f"{TITLES[name]}, store of its train rows", found)
    packs = with_packs(images, encoder, "aid", split(images, "aid")[0])
    prompts = mean(packs.named().tolist())
    right = mean(packs.known().tolist())
    yield row("seen by the encoder", "AID, store of the packs (21 other classes)", PRODUCT, "accuracy", prompts, right)


def told(found: Case, name: str) -> None:
    say(
        f"{TITLES[name]}: {int(found.hidden.any(1).sum())} of {len(found.right)} queries have copies in the store, "
        f"{int(found.hidden.sum())} in all, which are hidden; classify_one agrees in {found.agreement():.0%}"
    )


# -- describing and asking ------------------------------------------------------------------------


def answered(answers: Answers, table: str, captioner: str) -> Iterator[Row]:
    """Captions, and questions that only knowledge answers. Nothing is asked for a caption, so that text lanes have
    nothing to go by, and every alpha is the same."""
    set_ = TITLES[answers.name]
    quoting = {mode: setup for mode, setup in JOINED.items() if "alpha" not in mode or mode.endswith("0.7")}
    alone = answers.captions(captioner, {"no retrieval": NONE})["no retrieval"]
    both = answers.captions(captioner, {"join, rrf, and the captioner": JOINED["join, rrf"]}) if captioner else {}
    quoted = answers.captions("", {mode: setup for mode, setup in quoting.items() if mode != "text lanes"})
    before = "captioner alone" if captioner else "no retrieval, no captioner"
    for way, scores in {before: alone, **both, **quoted}.items():
        for metric, score in scores.items():
            yield row(table, f"captions, {set_}", way, metric, alone[metric], score)
    found = answers.questions({"no retrieval": NONE, **JOINED})
    for way, scores in found.items():
        for what, score in scores.items():
            yield row(table, f"questions, {set_}", way, what, found["no retrieval"][what], score)


# -- the tables -----------------------------------------------------------------------------------


def show(rows: Sequence[Row]) -> None:
    """A table as Markdown: what stands in docs/evaluation.md."""
    for table in dict.fromkeys(r.table for r in rows):
        print(f"\n**{table[:1].upper()}{table[1:]}**\n\n| data | way | metric | n | value | gain, 95 % |")
        print("|---|---|---|---|---|---|")
        for r in rows:
            if r.table == table:
                gain = f"{r.gain:+.1f} [{r.low:+.1f}, {r.high:+.1f}]" if r.gain or r.low or r.high else ""
                print(f"| {r.data} | {r.way} | {r.metric} | {r.n:,} | {r.value:.3f} | {gain} |")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--towers", type=Path, default=None, help="folder of the encoders that lack something")
    parser.add_argument("--home", type=Path, default=None, help="keeps vectors and stores for the next time")
    parser.add_argument("--asked", type=int, default=2, help="images per class for questions; 0 for all (default: 2)")
    parser.add_argument("--described", type=int, default=4, help="and for captions (default: 4)")
    parser.add_argument("--stored", type=int, default=100, help="train images per class in the store (default: 100)")
    parser.add_argument("--set", dest="sets", action="append", choices=SETS, help="answers of this set (repeatable)")
    parser.add_argument("--only", action="append", choices=["naming", "answers"], help="only this part (repeatable)")
    options = parser.parse_args()
    folder = data(*(f"imagetext/{name}.{kind}" for name in SETS for kind in ("tar", "jsonl")))
    if folder is None:
        skipped(TITLE, "RSRAG_DATA is not set or lacks imagetext/{ucm,aid}.{tar,jsonl}", as_json=options.json)
        return
    wanted = options.only or ["naming", "answers"]
    with tempfile.TemporaryDirectory(prefix="rsrag-bench-") as temporary:
        home = options.home or Path(temporary)
        sizes = {"stored": options.stored, "asked": options.asked, "described": options.described}
        rows = list(measured(folder, home, options.towers, wanted, options.sets or SETS, sizes))
    if options.json:
        print(json.dumps({"benchmark": TITLE, "rows": [asdict(r) for r in rows]}, indent=2))
    else:
        show(rows)


def measured(
    folder: Path, home: Path, towers: Path | None, wanted: Sequence[str], sets: Sequence[str], sizes: dict[str, int]
) -> Iterator[Row]:
    """Everything that the towers at hand allow; what is left out is said."""
    make = partial(rsrag.create, "encoder", "starter")
    names = ("without-ucm", "without-aid", "left-out")
    there = {n: make(path=str(towers / n)) for n in names if towers and (towers / n / "image.onnx").exists()}
    if missing := [name for name in names if name not in there]:
        say(f"SKIPPED: --towers has no {', '.join(missing)}; docs/evaluation.md has the commands that train them")
    if "naming" in wanted:
        images = Images(folder, home / "vectors")
        if {"without-ucm", "without-aid"} <= there.keys():
            yield from unseen(images, there)
        if "left-out" in there:
            yield from left_out(images, there["left-out"])
        yield from seen(images, make())
    if "answers" in wanted:
        sides = [("answers, seen by encoder and captioner", make(), name, "starter") for name in sets]
        unknown = [(name, there.get(f"without-{name}")) for name in sets]
        sides += [("answers, unseen by the encoder", encoder, name, "") for name, encoder in unknown if encoder]
        for table, encoder, name, captioner in sides:
            answers = Answers(folder, home, encoder, name, **sizes)
            yield from answered(answers, table, captioner)
            for line in answers.said:
                say(line)
            answers.kb.close()


if __name__ == "__main__":
    main()
