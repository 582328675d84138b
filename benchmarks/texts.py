"""How well text encoders find the passage that answers a question, and how large and fast they are.

    python benchmarks/texts.py --encoder starter --encoder sentence:minilm
    python benchmarks/texts.py --encoder starter --option path=my-tower --speed

Three sets of queries, made from data that has the answers:
- sections: a question about a part of a record of the knowledge packs, asked by an alias ("what does airliner look
  like from above?"); right is that section alone, among the sections of all packs (of places, a sample).
- facts: "what is the {attribute} of {alias}?"; right are the record's sections that state the value.
- captions: the first caption of an AID validation image ($RSRAG_DATA); right are the image's other captions, among
  the captions of all of them.
A passage that has the query in it word for word counts neither as right nor as wrong; a query with no other right
passage is left out, and how many were is said. R@k is the share of
queries with a right passage among the first k; nDCG@10 counts all right ones. Intervals: 95 %, bootstrap over queries.
`--speed` times the first query of a new process against a script that runs the same model by torch and transformers.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from common import REPOSITORY, arguments, compare, data, environment, interleaved, say, show

TITLE = "text encoders"
DEPTH = 10
QUESTIONS = {
    "definition": "how is {} calculated?",
    "meaning": "what do high and low values of {} mean?",
    "limits": "when should {} not be trusted?",
    "appearance": "what does {} look like from above?",
    "bands": "which bands matter for {}?",
    "confusion": "what can be mistaken for {}?",
    "look_alikes": "what can be mistaken for {}?",
    "confirm": "how can one make sure that it is {}?",
    "scale": "how large is {}, and at what pixel size can it be seen?",
    "context": "what is usually found around {}?",
    "overview": "what is {}?",
    "strengths and limits": "what is {} good and bad at?",
}
FIRST_QUERY = """
import json, sys, rsrag
name, options = sys.argv[1], json.loads(sys.argv[2])
rsrag.create("encoder", name, **options).encode_texts(["how wide is a runway?"], role="query")
"""
SENTENCE_TRANSFORMERS = """
import sys
from rsrag.torchvision_ops import ensure
ensure()
from sentence_transformers import SentenceTransformer
SentenceTransformer(sys.argv[1], device="cpu").encode(["how wide is a runway?"])
"""
TRANSFORMERS = """
import sys, torch
from rsrag.torchvision_ops import ensure
ensure()
from transformers import AutoModel, AutoTokenizer
tokens = AutoTokenizer.from_pretrained(sys.argv[1])(["how wide is a runway?"], return_tensors="pt")
with torch.inference_mode():
    AutoModel.from_pretrained(sys.argv[1]).eval()(**tokens).last_hidden_state.mean(1)
"""


@dataclass
class Queries:
    """`right`: per query, the rows of `passages` that answer it. `left_out`: how many queries had none to find."""

    name: str
    passages: list[str]
    queries: list[str] = field(default_factory=list)
    right: list[set[int]] = field(default_factory=list)
    left_out: int = 0

    def repeats(self, query: str, row: int) -> bool:
        """Whether a passage has the query in it, word for word."""
        return query.lower().rstrip("?. ") in self.passages[row].lower()

    def add(self, query: str, right: set[int]) -> None:
        right = {row for row in right if not self.repeats(query, row)}
        if right:
            self.queries.append(query)
            self.right.append(right)
        else:
            self.left_out += 1


def pack_queries(places: int) -> Iterator[Queries]:
    """The sets "sections" and "facts"."""
    rng = random.Random(0)
    records = []
    for pack in sorted((REPOSITORY / "knowledge").glob("*/records.jsonl")):
        rows = [json.loads(line) for line in pack.read_text(encoding="utf-8").splitlines()]
        rows = [row for row in rows if row.get("sections")]
        records += rng.sample(rows, min(places, len(rows))) if pack.parent.name == "places" else rows
    passages = [section["text"] for record in records for section in record["sections"]]
    sections, facts = Queries("sections", passages), Queries("facts", passages)
    start = 0
    for record in records:
        names = [a for a in record.get("aliases", ()) if a.lower() != record["title"].lower() and len(a) > 2]
        name = rng.choice(names) if names else record["title"]
        own = range(start, start + len(record["sections"]))
        start = own.stop
        for row, section in zip(own, record["sections"], strict=True):
            sections.add(QUESTIONS.get(section["part"], section["part"] + " of {}").format(name), {row})
        for fact in rng.sample(record.get("facts", []), min(3, len(record.get("facts", [])))):
            stated = {row for row in own if str(fact["value"]) in passages[row]}
            facts.add(f"what is the {fact['attribute']} of {name}?", stated)
    yield sections
    yield facts


def caption_queries(folder: Path) -> Queries:
    """The set "captions"."""
    rows = [json.loads(line) for line in (folder / "imagetext" / "aid.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = sorted((row for row in rows if row["split"] == "val"), key=lambda row: str(row["file"]))
    number: dict[str, int] = {}
    own = [{number.setdefault(c, len(number)) for c in row["captions"][1:]} for row in rows]
    found = Queries("captions", list(number))
    for row, right in zip(rows, own, strict=True):
        found.add(row["captions"][0], right)
    return found


def scores(encoder: Any, asked: Queries, passages: Any) -> dict[str, list[float]]:
    """Per query: whether a right passage is among the first 1, 5, 10, and the nDCG of the first ten.

    `passages`: the encoder's vectors of them, float32 (n, dim)."""
    import numpy as np

    queries = encoder.encode_texts(asked.queries, role="query")
    found: dict[str, list[float]] = {"R@1": [], "R@5": [], "R@10": [], "nDCG@10": []}
    gains = 1 / np.log2(np.arange(DEPTH) + 2)
    for query, vector, right in zip(asked.queries, queries, asked.right, strict=True):
        order = np.argsort(-(passages @ vector), kind="stable")
        nearest = islice((row for row in order if not asked.repeats(query, row)), DEPTH)
        hits = np.array([row in right for row in nearest])
        for k in (1, 5, 10):
            found[f"R@{k}"].append(float(hits[:k].any()))
        found["nDCG@10"].append(float((gains * hits).sum() / gains[: len(right)].sum()))
    return found


def interval(values: Sequence[float], draws: int = 1000) -> tuple[float, float, float]:
    """Mean and its 95 % bootstrap interval."""
    import numpy as np

    rng, column = np.random.default_rng(0), np.array(values)
    means = column[rng.integers(0, len(column), (draws, len(column)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(column.mean()), float(low), float(high)


def megabytes(encoder: Any) -> float:
    """Weights and tokenizer of the text side on disk, in 10^6 bytes."""
    tower = encoder.folder / "text.onnx"
    files = [tower] if tower.is_file() else list(encoder.folder.glob("*.safetensors"))
    return sum(f.stat().st_size for f in [*files, encoder.folder / "tokenizer.json"]) / 1e6


def texts_per_second(encoder: Any, texts: Sequence[str], runs: int) -> float:
    """Median over passes through the same texts, after one to warm up."""
    seconds = interleaved({"one": lambda _: encoder.encode_texts(texts)}, runs)["one"]
    return len(texts) / statistics.median(seconds)


def peer(folder: str) -> tuple[str, str]:
    """The script to compare with, and what it is."""
    from importlib.util import find_spec

    if find_spec("sentence_transformers"):
        return SENTENCE_TRANSFORMERS, f"a script with sentence-transformers on {Path(folder).name}"
    return TRANSFORMERS, "a script with torch and transformers (sentence-transformers is not installed)"


def first_query(name: str, options: dict[str, str], folder: str, runs: int) -> Any:
    """Seconds of whole processes, from start to end, each with one query."""
    script, what = peer(folder)

    def process(code: str, *given: str) -> None:
        command = [sys.executable, "-W", "ignore", "-c", code, *given]
        done = subprocess.run(command, env=environment(None), capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"the first query failed:\n{done.stderr[-2000:]}")

    sides = {
        "rsrag": lambda _: process(FIRST_QUERY, name, json.dumps(options)),
        "peer": lambda _: process(script, folder),
    }
    seconds = interleaved(sides, runs)
    return compare(
        f"{name}: first query of a process", seconds["rsrag"], seconds["peer"], 0.5, note=f"compared: {what}"
    )


class Encoders(argparse.Action):
    """`--encoder NAME` begins an encoder; `--option KEY=VALUE` belongs to the one before it."""

    def __call__(self, parser: Any, namespace: Any, value: Any, option: Any = None) -> None:
        if namespace.encoders is None:
            namespace.encoders = []
        if option == "--encoder":
            namespace.encoders.append((value, {}))
            return
        key, equals, setting = value.partition("=")
        if not namespace.encoders or not equals:
            parser.error("--option KEY=VALUE follows the --encoder that it is for")
        namespace.encoders[-1][1][key] = setting


def main() -> None:
    parser = arguments(__doc__, runs=5)
    parser.add_argument(
        "--encoder", dest="encoders", action=Encoders, metavar="NAME", help="repeatable; default: starter"
    )
    parser.add_argument(
        "--option", dest="encoders", action=Encoders, metavar="KEY=VALUE", help="for the last --encoder"
    )
    parser.add_argument("--places", type=int, default=300, help="records of the pack of places (default: 300)")
    parser.add_argument("--speed", action="store_true", help="also texts per second and the first query of a process")
    parser.add_argument(
        "--peer", default="", metavar="DIR", help="sentence model the peer script loads (default: minilm)"
    )
    options = parser.parse_args()
    import rsrag

    sets = list(pack_queries(options.places))
    folder = data("imagetext/aid.jsonl")
    if folder:
        sets.append(caption_queries(folder))
    else:
        say("captions: SKIPPED: RSRAG_DATA is not set or lacks imagetext/aid.jsonl")
    for asked in sets:
        say(f"{asked.name}: {len(asked.queries)} queries, {len(asked.passages)} passages, {asked.left_out} left out")
    measured: dict[str, Any] = {}
    rows = []
    for name, given in options.encoders or [("starter", {})]:
        label = " ".join([name, *(f"{k}={v}" for k, v in given.items())])
        encoder = rsrag.create("encoder", name, **given)
        entry: dict[str, Any] = {"megabytes": round(megabytes(encoder), 1)}
        vectors: dict[int, Any] = {}  # sets of the same passages share theirs
        for asked in sets:
            say(f"{label}: {asked.name}")
            key = id(asked.passages)
            if key not in vectors:
                vectors[key] = encoder.encode_texts(asked.passages, role="passage")
            found = scores(encoder, asked, vectors[key])
            entry[asked.name] = {k: [round(x, 4) for x in interval(v)] for k, v in found.items()}
        if options.speed:
            entry["texts_per_second"] = round(texts_per_second(encoder, sets[0].passages[:200], options.runs), 1)
            peer_folder = options.peer or str(rsrag.create("encoder", "sentence:minilm").folder)
            rows.append(first_query(name, given, peer_folder, options.runs))
        measured[label] = entry
    if not options.json:
        for label, entry in measured.items():
            rate = f", {entry['texts_per_second']:g} passages/s" if "texts_per_second" in entry else ""
            print(f"\n{label}: {entry['megabytes']:g} MB{rate}")
            for asked in sets:
                cells = (f"{k} {v:.3f} [{low:.3f}, {high:.3f}]" for k, (v, low, high) in entry[asked.name].items())
                print(f"  {asked.name:9} {len(asked.queries):5} queries  {'  '.join(cells)}")
        if not rows:
            return
    left_out = {asked.name: asked.left_out for asked in sets} | ({} if folder else {"captions": "skipped"})
    show(TITLE, rows, as_json=options.json, extra={"measured": measured, "left_out": left_out})


if __name__ == "__main__":
    main()
