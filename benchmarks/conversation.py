"""What a long conversation costs: a turn at turn 200 against one at turn 5, the model aside, and memory.

    python benchmarks/conversation.py [--turns 200] [--runs 5] [--unsaved] [--json]

One conversation of some 200 questions, follow-ups among them, about two images and the default packs (the starter
weights), kept in a session file as `rsrag chat` does; the model answers at once and cites three passages. From turn 196
on its turns alternate with turns 3 to 7 of fresh conversations, in which the same five questions are asked: medians,
and the median of the ratios of neighbours. A turn is all of it: understanding the question, looking, retrieving, tools,
prompt, check, and writing it down. Memory is the resident set after turn 200 against that after turn 5.
"""

from __future__ import annotations

import gc
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from common import Row, arguments, compare, show

from rsrag import Assistant, Capabilities, KnowledgeBase, Prompt, Text
from rsrag.api import fill_from_packs
from rsrag.chat import Conversation
from rsrag.sessions import Sessions
from rsrag.testing import make_geotiff

SAME = (
    "what is this?",
    "what about the north-east corner?",
    "What is the revisit time of Sentinel-2?",
    "and its swath width?",
    "How is NDVI computed?",
)
WORDS = (
    *("harbour", "airport", "forest", "vineyard", "glacier", "desert", "stadium", "quarry", "marina", "wetland"),
    *("bridge", "runway", "orchard", "delta", "dune", "reservoir", "railway", "golf course", "mine", "solar farm"),
)
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


def others(count: int) -> list[str]:
    """Questions that are all different but for the follow-ups among them."""
    words = itertools.cycle(itertools.permutations(WORDS, 2))
    return [
        form.format(*pair) for form, pair in zip(itertools.cycle(ASKED), itertools.islice(words, count), strict=False)
    ]


def seconds(chat: Conversation, question: str) -> float:
    """How long a turn takes."""
    start = time.perf_counter()
    chat.ask(question)
    return time.perf_counter() - start


def main() -> None:
    parser = arguments(__doc__, runs=5)
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--unsaved", action="store_true", help="keep no session file")
    options = parser.parse_args()
    if not Path("/proc/self/status").exists():
        sys.exit("This benchmark reads /proc/self/status.")
    with tempfile.TemporaryDirectory() as folder, KnowledgeBase(Path(folder) / "kb") as kb:
        fill_from_packs(kb)
        images = [make_geotiff(Path(folder) / f"{seed}.tif", size=(512, 512), seed=seed) for seed in (1, 2)]
        with Sessions(Path(folder) / "sessions.sqlite") as sessions:

            def begun() -> Conversation:
                chat = Assistant(kb, Instant()).chat()
                if not options.unsaved:
                    chat.saved_in(sessions)
                for image in images:
                    chat.add(image)
                return chat

            warm_up = begun()  # what loads on first use is no cost of a turn
            for question in SAME:
                warm_up.ask(question)
            long = begun()
            memory: list[float] = []
            for question in others(options.turns - 5):
                long.ask(question)
                gc.collect()
                memory.append(resident())
            early, late = [], []
            for number in range(options.runs):
                fresh = begun()
                for question in others(2):
                    fresh.ask(question)
                for turn, question in enumerate(SAME):
                    for chat in (fresh, long) if (turn + number) % 2 else (long, fresh):
                        (late if chat is long else early).append(seconds(chat, question))
                if number == 0:
                    gc.collect()
                    memory.append(resident())
            size = sessions.path.stat().st_size / 1e6
    growth = memory[-1] - memory[4]
    rows = [
        compare(f"a turn: turn {options.turns} against turn 5", late, early, 1.2),
        Row("memory grown since turn 5", growth, 50.0, growth / 50.0, 1.0, "MB", note="compared: what it may grow by"),
    ]
    extra = {
        "turns": len(long.exchanges),
        "session_file_mb": size,
        "numbers_given": len(long.ledger),
        "evidence_in_memory": len(list(long.ledger)),
    }
    show("conversation", rows, as_json=options.json, extra=extra)
    if not options.json:
        print(", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in extra.items()))


if __name__ == "__main__":
    main()
