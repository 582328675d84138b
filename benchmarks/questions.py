"""A question answered in a warm process, reader included, against encoding it and one search. Target: under 60 ms.

    python benchmarks/questions.py --kb KB [--questions tests/questions/dev.jsonl] [--count 100]

Both sides in one run, turn by turn. The bare side encodes the question and searches the texts for the 50 nearest; it is
the least that an answer to a new question costs. Questions with an image are left out; the first ten warm up.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from rsrag import Assistant, KnowledgeBase, Query
from rsrag.builtin.benchmarks.questions import QuestionsBenchmark

WARM_UP = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kb", required=True)
    parser.add_argument("--questions", default="tests/questions/dev.jsonl", type=Path)
    parser.add_argument("--count", type=int, default=100)
    given = parser.parse_args()
    texts = [s.question for s in QuestionsBenchmark(given.questions).samples() if not s.images]
    step = max(1, len(texts) // (given.count + WARM_UP))
    ask, bare = [], []
    with KnowledgeBase(given.kb) as kb:
        assistant = Assistant(kb)
        for text in texts[::step][: given.count + WARM_UP]:
            start = time.perf_counter()
            # Other words than the question's, so that its vector is not remembered for the other side.
            kb.search_vectors(Query(f"{text} "[::-1]), "texts", "text", 50)
            middle = time.perf_counter()
            assistant.ask(text)
            bare.append(middle - start)
            ask.append(time.perf_counter() - middle)
    mine, theirs = ask[WARM_UP:], bare[WARM_UP:]
    for name, seconds in (("answer", mine), ("encoding and one search", theirs)):
        tenth = statistics.quantiles(seconds, n=10)[8]
        print(f"{name:24} median {1000 * statistics.median(seconds):6.1f} ms, nine in ten {1000 * tenth:6.1f} ms")
    print(f"ratio of the medians     {statistics.median(mine) / statistics.median(theirs):.1f}")


if __name__ == "__main__":
    main()
