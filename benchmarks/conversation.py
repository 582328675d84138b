"""What a long conversation costs: seconds per turn at turn 200 and at turn 5, the model aside, and memory.

    python benchmarks/conversation.py [--turns 200] [--unsaved] [--json]

200 questions, follow-ups among them, about two images and the default packs (the starter weights), kept in a session
file as `rsrag chat` does; the model answers at once and cites three passages. Per-turn overhead is the whole turn:
understanding the question, looking, retrieving, tools, prompt, check, and writing it down. Medians of turns 3-7 and of
the last five. The same five questions are asked in both windows, so that they cost the same to answer.
"""

from __future__ import annotations

import gc
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from common import Row, arguments, show

from rsrag import Assistant, Capabilities, KnowledgeBase, Prompt, Text
from rsrag.api import fill_from_packs
from rsrag.sessions import Sessions
from rsrag.testing import make_geotiff

SAME = (
    "what is this?",
    "what about the north-east corner?",
    "What is the revisit time of Sentinel-2?",
    "and its swath width?",
    "How is NDVI computed?",
)
WORDS = ("harbour", "airport", "forest", "vineyard", "glacier", "desert", "stadium", "solar farm", "quarry", "marina",
         "wetland", "bridge", "runway", "orchard", "delta", "dune", "reservoir", "railway", "golf course", "mine")  # fmt: skip
ASKED = (
    "What does a {} look like from above?",
    "How do I tell a {} from a {}?",
    "Which band shows a {} best?",
    "and why?",
)


class Instant:
    """Answers at once, with a few hundred characters and three citations."""

    name = "instant"
    capabilities = Capabilities(context=8_000)

    def generate(self, prompt: Prompt) -> Iterator[Text]:
        first = [e.number for e in prompt.evidence][:3]
        for number in first:
            yield Text(f"Here is a statement of some length about what was asked, with a number in it [{number}]. ")
        yield Text("And a remark that cites nothing at all, as models make them.")


def resident() -> float:
    """This process's resident set in MB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def questions(turns: int) -> list[str]:
    """The same five in turns 3-7 and at the end; others between."""
    words = itertools.cycle(itertools.permutations(WORDS, 2))
    rest = (form.format(*pair) for form, pair in zip(itertools.cycle(ASKED), words, strict=False))
    middle = list(itertools.islice(rest, turns))
    return [*middle[:2], *SAME, *middle[2 : turns - 10], *SAME]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--unsaved", action="store_true", help="keep no session file")
    options = parser.parse_args()
    if not Path("/proc/self/status").exists():
        sys.exit("This benchmark reads /proc/self/status.")
    with tempfile.TemporaryDirectory() as folder, KnowledgeBase(Path(folder) / "kb") as kb:
        fill_from_packs(kb)
        with Sessions(Path(folder) / "sessions.sqlite") as sessions:
            chat = Assistant(kb, Instant()).chat()
            if not options.unsaved:
                chat.saved_in(sessions)
            images = [make_geotiff(Path(folder) / f"{seed}.tif", size=(512, 512), seed=seed) for seed in (1, 2)]
            warm_up = Assistant(kb, Instant()).chat()  # what loads on first use is no cost of a turn
            for question in SAME:
                warm_up.ask(question, images)
            for image in images:
                chat.add(image)
            seconds: list[float] = []
            memory: list[float] = []
            for question in questions(options.turns):
                start = time.perf_counter()
                chat.ask(question)
                seconds.append(time.perf_counter() - start)
                gc.collect()
                memory.append(resident())
            size = sessions.path.stat().st_size / 1e6
    early, late = statistics.median(seconds[2:7]), statistics.median(seconds[-5:])
    growth = memory[-1] - memory[4]
    rows = [
        Row(f"a turn: turn {options.turns} against turn 5", late, early, late / early, 1.2),
        Row("memory grown since turn 5", growth, 50.0, growth / 50.0, 1.0, "MB", note="compared: what it may grow by"),
    ]
    extra = {"turns": len(seconds), "session_file_mb": size, "evidence_in_memory": len(list(chat.ledger)),
             "numbers_given": len(chat.ledger)}  # fmt: skip
    show("conversation", rows, as_json=options.json, extra=extra)
    if not options.json:
        print(f"{len(seconds)} turns, {len(chat.ledger)} numbers given, {extra['evidence_in_memory']} in memory, "
              f"session file {size:.1f} MB")  # fmt: skip


if __name__ == "__main__":
    main()
