"""Dense, lexical, hybrid, hybrid with enrichment: whether the passage that holds the answer is found.

No reader is asked. The questions are those of tests/questions/dev.jsonl that can be answered, from texts, without an
image. A passage holds the answer when it is of an expected subject and says all that the check of the question wants;
figures are over the questions for which the store has such a passage.

Enrichment after MetaGen Blended RAG (arXiv 2505.18247), each field alone: the aliases of a record; acronyms (what a
question abbreviates is also looked for written out, and the other way round); topics (what people call the part of a
description that a passage is); key concepts (RAKE: Rose et al., Automatic keyword extraction from individual documents,
2010). The first two are in the product, the other two are made here, in columns of a throw-away index. A second set has
the same questions with one acronym written out, or one long name abbreviated.

    python benchmarks/hybrid.py
    python benchmarks/hybrid.py --embed-facts     # what the text lane would find if single facts had vectors
    python benchmarks/hybrid.py --weights         # weights of bm25's columns, by five-fold cross-validation

Intervals: 95 %, paired bootstrap over the questions.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import sqlite3
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from common import REPOSITORY, arguments, default_store, say

import rsrag
from rsrag import Chunk, Hit, Query
from rsrag.builtin.retrievers import Lexical, Named
from rsrag.evaluation.bootstrap import paired
from rsrag.evaluation.checks import says
from rsrag.evaluation.metrics.score import Score, mean
from rsrag.fusion import RRF_K
from rsrag.retrieval import retrieve
from rsrag.store.lexical import WEIGHTS, others
from rsrag.store.words import STOP_WORDS, match_expression, possible_acronyms

TITLE = "hybrid search"
DEPTH = 50
FOLDS = 5
NOW = dict(zip(("title", "aliases", "text"), map(float, WEIGHTS.split(",")), strict=False))
METRICS = ("subject@1", "subject@8", "answer@1", "answer@3", "answer@8", "answer MRR")
COMPARED = ("answer@8", "answer MRR")
HYBRID = "hybrid: dense, words, names"
PRODUCT = "hybrid + aliases, acronyms"
TOPICS = {
    "definition": "definition meaning of what is stands for acronym",
    "meaning": "meaning value range threshold high low interpret",
    "origin": "origin author paper year published reference invented",
    "formula": "formula equation compute calculate",
    "how it works": "procedure steps compute calculate",
    "when to use": "use choose suitable better instead",
    "limits": "limit limitation weakness problem fails caveat",
    "what goes wrong": "problem error pitfall mistake artefact",
    "strengths and limits": "strength advantage limit weakness",
    "check": "check verify validate test",
    "confirm": "confirm check verify evidence sure",
    "difference": "difference versus compare",
    "confusion": "confused mistaken similar tell apart distinguish difference",
    "look_alikes": "confused mistaken similar tell apart distinguish difference",
    "appearance": "looks like recognise identify shape colour see",
    "texture": "pattern smooth rough",
    "spectral": "spectrum band reflectance infrared colour",
    "bands": "bands wavelength channel spectral",
    "why these bands": "why reason bands",
    "thermal bands": "thermal temperature infrared band",
    "scale": "size resolution pixel scale large small",
    "size": "size length width area",
    "season": "season month winter summer",
    "context": "surroundings near around found where",
    "overview": "overview mission launch operator",
    "orbit and coverage": "orbit revisit repeat swath coverage altitude",
    "modes": "mode swath resolution",
    "access": "access free open download licence price",
}
"""Part of a description -> words by which people ask for it."""


@dataclass(frozen=True)
class Asked:
    """A question, the subjects that may answer it, and the ids of the passages that do."""

    text: str
    subjects: frozenset[str]
    holders: frozenset[str]


@dataclass(frozen=True)
class Row:
    """A way to search: shares in percent, and what it gains on another way, in points with its interval."""

    questions: str
    way: str
    n: int
    values: dict[str, float]
    against: str
    gains: dict[str, tuple[float, float, float]]


Ranking = list[list[str]]
"""For each question the ids of the passages found, best first."""


# -- questions and passages -----------------------------------------------------------------------


def passages(kb: rsrag.KnowledgeBase) -> dict[str, Chunk]:
    """id -> the passages that words and vectors search; labels name images and are no passages."""
    found = kb.catalog.chunks.where("c.kind = 'text' AND c.part != 'label' AND r.vectors", ())
    return {chunk.id: chunk for chunk in found}


def questions(chunks: Mapping[str, Chunk]) -> list[Asked]:
    by_subject: dict[str, list[Chunk]] = {}
    for chunk in chunks.values():
        by_subject.setdefault(chunk.subject, []).append(chunk)
    found = []
    for line in (REPOSITORY / "tests" / "questions" / "dev.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record.get("image") or "answer" not in record or not record.get("subjects"):
            continue
        wanted = {key: value for key, value in record["answer"].items() if key != "none_of"}
        held = [c.id for s in record["subjects"] for c in by_subject.get(s, ()) if says(f"{c.title}. {c.text}", wanted)]
        found.append(Asked(record["question"], frozenset(record["subjects"]), frozenset(held)))
    return found


def otherwise(kb: rsrag.KnowledgeBase, asked: Sequence[Asked]) -> list[Asked]:
    """The questions that name something with a short and a long name, by the other one."""
    pairs = kb.catalog.db.execute(
        "SELECT name, min(other) FROM acronyms GROUP BY name ORDER BY length(name) DESC, name"
    )
    known = dict(pairs.fetchall())
    found = []
    for one in asked:
        meant = possible_acronyms(one.text) & known.keys()
        for name in sorted(meant, key=lambda n: (-len(n), n)):
            spelt = r"[\W_]+".join(map(re.escape, name.split()))
            other = known[name] if " " in known[name] else known[name].upper()
            text, changed = re.subn(rf"(?<![\w-]){spelt}(?![\w-])", other, one.text, count=1, flags=re.IGNORECASE)
            if changed:
                found.append(Asked(text, one.subjects, one.holders))
                break
    return found


# -- enrichment -----------------------------------------------------------------------------------


def concepts(text: str, most: int = 8) -> str:
    """The `most` best phrases between stop words, numbers and punctuation; a word counts its phrases' length."""
    phrases: list[tuple[str, ...]] = []
    for run in re.split(r"[^\w\s'’/-]|\s-\s", text.lower()):
        for stop, words in itertools.groupby(run.split(), lambda w: w in STOP_WORDS or not re.search(r"[^\W\d_]", w)):
            if not stop:
                phrases.append(tuple(words))
    often = Counter(word for phrase in phrases for word in phrase)
    degree = Counter(word for phrase in phrases for word in phrase for _ in phrase)
    score = {phrase: sum(degree[w] / often[w] for w in phrase) for phrase in phrases if len(phrase) <= 4}
    return " | ".join(" ".join(p) for p in sorted(score, key=lambda p: (-score[p], p))[:most])


FIELDS: dict[str, Callable[[Chunk], str]] = {
    "title": lambda c: c.title,
    "aliases": lambda c: " | ".join(c.aliases),
    "text": lambda c: f"{c.provenance.heading} {c.text}",
    "topics": lambda c: TOPICS.get(c.part, ""),
    "concepts": lambda c: concepts(c.text),
}


class Index:
    """Passages in an FTS5 table of their own, with some of the fields; bm25 counts the length of what is in it."""

    def __init__(self, chunks: Mapping[str, Chunk], fields: Sequence[str]) -> None:
        self.ids = list(chunks)
        self.db = sqlite3.connect(":memory:")
        self.db.execute(f'CREATE VIRTUAL TABLE words USING fts5 ({", ".join(fields)}, tokenize = "porter unicode61")')
        marks = ",".join("?" * (len(fields) + 1))
        rows = [(i, *(FIELDS[field](c) for field in fields)) for i, c in enumerate(chunks.values())]
        self.db.executemany(f"INSERT INTO words (rowid, {', '.join(fields)}) VALUES ({marks})", rows)

    def search(self, expressions: Sequence[str], weights: Sequence[float]) -> Ranking:
        order = f"bm25(words, {', '.join(map(str, weights))}), rowid"
        sql = f"SELECT rowid FROM words WHERE words MATCH ? ORDER BY {order} LIMIT {DEPTH}"
        return [[self.ids[row] for (row,) in self.db.execute(sql, (e,))] if e else [] for e in expressions]


def fused(*lanes: tuple[Ranking, float]) -> Ranking:
    """Reciprocal rank fusion of (ranking, weight)."""
    rankings = []
    for rows in zip(*(ranking for ranking, _ in lanes), strict=True):
        score: dict[str, list[float]] = {}
        for ids, (_, weight) in zip(rows, lanes, strict=True):
            for rank, key in enumerate(ids, 1):
                score.setdefault(key, []).append(weight / (RRF_K + rank))
        rankings.append(sorted(score, key=lambda key: (-math.fsum(score[key]), key)))
    return rankings


# -- measuring ------------------------------------------------------------------------------------


def scores(asked: Sequence[Asked], ranking: Ranking, chunks: Mapping[str, Chunk]) -> dict[str, Score]:
    """Of the questions to which some passage holds the answer."""
    subject, answer = [], []
    for one, ids in zip(asked, ranking, strict=True):
        there = [key for key in ids if key in chunks]
        subject.append(next((n for n, key in enumerate(there, 1) if chunks[key].subject in one.subjects), math.inf))
        answer.append(next((n for n, key in enumerate(there, 1) if key in one.holders), math.inf))
    within = {f"{name}@{k}": [float(r <= k) for r in ranks]
              for name, ranks in (("subject", subject), ("answer", answer)) for k in (1, 3, 8)}  # fmt: skip
    return {name: mean(items) for name, items in {**within, "answer MRR": [1 / r for r in answer]}.items()}


def row(questions: str, way: str, found: Mapping[str, Score], against: str, base: Mapping[str, Score]) -> Row:
    gains = {}
    if against:
        for name, d in paired({m: (base[m], found[m]) for m in COMPARED}).items():
            gains[name] = (100 * d.value, 100 * d.low, 100 * d.high)
    n = len(found["answer MRR"].items)
    return Row(questions, way, n, {m: 100 * found[m].value for m in METRICS}, against, gains)


def dense(kb: rsrag.KnowledgeBase, asked: Sequence[Asked], chunks: Mapping[str, Chunk], embed: bool) -> Ranking:
    """The text lane; with `embed`, over a matrix that has the vectors of facts too."""
    if not embed:
        return [[h.chunk.id for h in kb.search_vectors(Query(a.text), "texts", "text", DEPTH)] for a in asked]
    import numpy as np

    from rsrag.chunking import spoken

    encoder, ids = kb.spaces.text, list(chunks)
    say(f"encoding {len(ids):,} passages ...")
    texts = [spoken(c.part, c.title, c.provenance.heading, c.text) for c in chunks.values()]
    matrix = np.concatenate([encoder.encode_texts(texts[i : i + 256]) for i in range(0, len(texts), 256)])
    vectors = encoder.encode_texts([a.text for a in asked], role="query")
    return [[ids[i] for i in np.argsort(-(matrix @ v), kind="stable")[:DEPTH]] for v in vectors]


def ways(
    kb: rsrag.KnowledgeBase, name: str, asked: Sequence[Asked], chunks: Mapping[str, Chunk], embed: bool
) -> Iterator[Row]:
    plain = [match_expression(a.text) for a in asked]
    wide = [match_expression(a.text, others(kb.catalog.db, possible_acronyms(a.text))) for a in asked]

    def words(*fields: str, expressions: Sequence[str] = plain) -> Ranking:
        held = ("title", "text", *fields)
        return Index(chunks, held).search(expressions, [NOW.get(field, 1.0) for field in held])

    text = dense(kb, asked, chunks, embed)
    named = [[h.chunk.id for h in kb.search_named(Query(a.text), DEPTH)] for a in asked]
    base, fields = words(), {
        "aliases": words("aliases"),
        "acronyms": words(expressions=wide),
        "topics": words("topics"),
        "concepts": words("concepts"),
    }  # fmt: skip
    both = words("aliases", expressions=wide)
    everything = words("aliases", "topics", "concepts", expressions=wide)
    found = {"dense": (text, ""), "names": (named, ""), "words": (base, "")}
    found |= {f"words + {field}": (ranking, "words") for field, ranking in fields.items()}
    found["words + all"] = (everything, "words")
    found["dense, words"] = (fused((text, 1), (base, 1)), "dense")

    def hybrid(ranking: Ranking, names: float = Named.weight) -> Ranking:
        return fused((text, 1), (ranking, 1), (named, names))

    found[HYBRID] = (hybrid(base), "dense, words")
    found |= {f"hybrid + {field}": (hybrid(ranking), HYBRID) for field, ranking in fields.items()}
    found["hybrid + all"] = (hybrid(everything), HYBRID)
    found[PRODUCT] = (hybrid(both), HYBRID)
    found["the same, names once"] = (hybrid(both, 1), PRODUCT)
    measured = {way: scores(asked, ranking, chunks) for way, (ranking, _) in found.items()}
    for way, (_, against) in found.items():
        yield row(name, way, measured[way], against, measured.get(against, {}))


def by_weights(kb: rsrag.KnowledgeBase, asked: Sequence[Asked], chunks: Mapping[str, Chunk]) -> list[Row]:
    """Each fifth of the questions with the weights that were best on the other four, in the hybrid."""
    text = dense(kb, asked, chunks, False)
    named = [[h.chunk.id for h in kb.search_named(Query(a.text), DEPTH)] for a in asked]
    index, expressions = Index(chunks, tuple(NOW)), [match_expression(a.text) for a in asked]
    now = tuple(NOW.values())
    grid = {
        w: index.search(expressions, w) for w in {now, *itertools.product((0.5, 1.0, 4.0), (0.3, 1.0, 3.0), (1.0,))}
    }
    mixed = {w: scores(asked, fused((text, 1), (r, 1), (named, Named.weight)), chunks) for w, r in sorted(grid.items())}
    chosen: list[tuple[float, ...]] = []
    for fold_ in range(FOLDS):
        rest = [i for i in range(len(asked)) if i % FOLDS != fold_]
        chosen.append(max(mixed, key=lambda w: sum(mixed[w]["answer MRR"].items[i] for i in rest)))
    say("weights of title, aliases, text in each fold: " + "; ".join(" ".join(f"{x:g}" for x in w) for w in chosen))
    held_out = {m: mean([mixed[chosen[i % FOLDS]][m].items[i] for i in range(len(asked))]) for m in mixed[now]}
    this = "weights " + " ".join(f"{x:g}" for x in now)
    return [row("dev", this, mixed[now], "", {}), row("dev", "chosen on the other folds", held_out, this, mixed[now])]


class PlainWords:
    """The lane of words as it is without acronyms."""

    name, needs, votes = Lexical.name, Lexical.needs, Lexical.votes

    def retrieve(self, query: Query, kb: rsrag.KnowledgeBase, k: int) -> list[Hit]:
        found = kb.catalog.chunks.matching(match_expression(query.text), "text", kb.condition(query.where), k)
        return [Hit(chunk, score, {self.name: (rank, score)}) for rank, (chunk, score) in enumerate(found, 1)]


def milliseconds(kb: rsrag.KnowledgeBase, asked: Sequence[Asked]) -> dict[str, float]:
    """Processor time of a warm text search (every lane, the question encoded), with and without acronyms, in turns."""
    assistant = rsrag.Assistant(kb)
    lanes = {"text search": assistant.lanes()}
    lanes["without acronyms"] = [PlainWords() if lane.name == Lexical.name else lane for lane in lanes["text search"]]
    spent: dict[str, list[float]] = {side: [] for side in lanes}
    for number, one in enumerate(asked):
        for side in sorted(lanes, reverse=bool(number % 2)):
            kb._remembered.clear()
            kb._searched.clear()
            start = time.process_time()
            retrieve(Query(one.text), kb, lanes[side], assistant.fuse)
            spent[side].append(1000 * (time.process_time() - start))
    found = {side: statistics.median(times) for side, times in spent.items()}
    return found | {"ratio": statistics.median(a / b for a, b in zip(*(spent[s] for s in lanes), strict=True))}


def show(rows: Sequence[Row]) -> None:
    for name, those in itertools.groupby(rows, lambda r: r.questions):
        listed = list(those)
        print(f"\n{name}: {listed[0].n} questions\n{'':31}" + "".join(f"{m:>11}" for m in METRICS))
        for r in listed:
            gains = "; ".join(f"{m} {g:+.1f} [{a:+.1f}, {b:+.1f}]" for m, (g, a, b) in r.gains.items())
            print(f"{r.way:31}" + "".join(f"{r.values[m]:11.1f}" for m in METRICS))
            if gains:
                print(f"{'':8}on {r.against}: {gains}")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--home", default="", help="data folder to keep the store in (default: a temporary one)")
    parser.add_argument("--embed-facts", action="store_true", help="give the text lane the vectors of facts too")
    parser.add_argument("--weights", action="store_true", help="cross-validate the weights of the columns instead")
    options = parser.parse_args()
    with default_store(options.home) as home, rsrag.KnowledgeBase(home / "kb" / "default") as kb:
        chunks = passages(kb)
        asked = [one for one in questions(chunks) if one.holders]
        if options.weights:
            rows = by_weights(kb, asked, chunks)
        else:
            sets = {"dev": asked, "dev, the other name": otherwise(kb, asked)}
            rows = [r for name, those in sets.items() for r in ways(kb, name, those, chunks, options.embed_facts)]
        spent = milliseconds(kb, asked)
    if options.json:
        print(json.dumps({"benchmark": TITLE, "rows": [asdict(r) for r in rows], "milliseconds": spent}, indent=2))
        return
    show(rows)
    without, ratio = spent["without acronyms"], spent["ratio"]
    print(f"\ntext search: {spent['text search']:.1f} ms, without acronyms {without:.1f} ms; ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
