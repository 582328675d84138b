"""`rsrag ask` in a new process against a bare script that runs the same vector queries. Target: at most 1.4x.

The bare script (bare.py) imports chromadb, opens the same store and asks each collection what the lanes ask it.
Two forms: with vectors read from .npy files, as the target has it, and encoding the question and image itself
with onnxruntime, which is the least that any answer to a new question costs.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from common import (
    HERE,
    REPOSITORY,
    RSRAG,
    Row,
    arguments,
    compare,
    default_store,
    interleaved,
    run,
    show,
    starter_folder,
)

TITLE = "ask, in a new process"
QUESTION = "what is this, and how can I tell?"
IMAGE = REPOSITORY / "examples" / "data" / "golfcourse68.webp"
TEXT_ONLY = "which Sentinel-2 bands show burn scars, and why?"
BY_TEXT = ["images:text:50", "texts:text:50"]
BY_SCENE = ["images:scene:50", "names:scene:50"]


def vectors(folder: Path, question: str, image: str) -> None:
    """What the bare script is given: text.npy and scene.npy."""
    import numpy as np

    import rsrag

    encoder = rsrag.create("encoder", "starter")
    np.save(folder / "text.npy", encoder.encode_texts([question], role="query")[0])
    if image:
        np.save(folder / "scene.npy", encoder.encode_scenes([rsrag.open_scene(image)])[0])


def rows(home: Path, name: str, question: str, image: str, runs: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as temporary:
        vectors(Path(temporary), question, image)
        ask = [str(RSRAG), "ask", question, *(["--image", image] if image else []), "--json"]
        queries = [*(BY_SCENE if image else []), *BY_TEXT]
        bare = [sys.executable, str(HERE / "bare.py"), str(home / "kb" / "default" / "chroma"), temporary, *queries]
        encode = ["--encode", str(starter_folder()), question, *([image] if image else [])]
        seconds = interleaved(
            {
                "rsrag": lambda _: run(ask, home),
                "bare": lambda _: run(bare, home),
                "encoding": lambda _: run([*bare, *encode], home),
            },
            runs,
            warm_up=2,
        )
    return [
        compare(f"{name}, vectors given", seconds["rsrag"], seconds["bare"], 1.4),
        compare(f"{name}, encoding too", seconds["rsrag"], seconds["encoding"], 1.4),
    ]


def main() -> None:
    parser = arguments(__doc__, runs=9)
    parser.add_argument("--home", default="", help="data folder to keep the store in (default: a temporary one)")
    options = parser.parse_args()
    with default_store(options.home) as home:
        found = rows(home, "image and text", QUESTION, str(IMAGE), options.runs)
        found += rows(home, "text only", TEXT_ONLY, "", options.runs)
    show(TITLE, found, as_json=options.json)


if __name__ == "__main__":
    main()
