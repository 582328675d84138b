"""The same work by others, with the same weights: taking images in, and what a question costs besides the model.

    python peers.py ingest [--images 300]     LangChain's OpenCLIP loop: one image at a time, then one upsert
    python peers.py question                  a LangChain retrieval chain over langchain-chroma

Weights: an open_clip ViT-S/32 with random weights from a fixed seed, since only the work counts; for questions both
sides are given the question's vector. langchain-chroma is no dependency: install it beside, or the second is skipped.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar

from common import Row, arguments, compare, data, interleaved, say, show, skipped, textured, unpack

TITLE = "against others, with the same weights"
VIT = {
    "embed_dim": 384,
    "vision_cfg": {"image_size": 224, "layers": 12, "width": 384, "patch_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 256, "heads": 4, "layers": 4},
}


def weights(folder: Path) -> dict[str, str]:
    """Options of the encoder `openclip`: a model's description and its weights."""
    from rsrag.torchvision_ops import ensure

    ensure()
    import open_clip
    import torch

    (folder / "small.json").write_text(json.dumps(VIT))
    torch.manual_seed(0)
    open_clip.add_model_config(folder / "small.json")
    torch.save(open_clip.create_model("small", require_pretrained=False).state_dict(), folder / "small.pt")
    return {"model": str(folder / "small.json"), "checkpoint": str(folder / "small.pt"), "device": "cpu"}


class OneByOne:
    """What LangChain's OpenCLIPEmbeddings and Chroma.add_images do: each image opened, prepared and encoded alone, the
    vectors as lists, one upsert with uris."""

    def __init__(self, folder: Path, target: Path) -> None:
        import chromadb
        import open_clip
        import torch
        from chromadb.config import Settings

        self.torch = torch
        self.model, _, self.prepare = open_clip.create_model_and_transforms("small", require_pretrained=False)
        self.model.load_state_dict(torch.load(folder / "small.pt", weights_only=True))
        self.model.eval()
        client = chromadb.PersistentClient(str(target), settings=Settings(anonymized_telemetry=False))
        self.collection = client.create_collection("images", embedding_function=None)

    def add(self, files: list[Path]) -> None:
        from PIL import Image

        vectors = []
        for file in files:
            with Image.open(file) as picture:
                pixels = self.prepare(picture).unsqueeze(0)
            with self.torch.no_grad():
                vector = self.model.encode_image(pixels)
            vector /= vector.norm(dim=-1, keepdim=True)
            vectors.append(vector.squeeze(0).tolist())
        self.collection.upsert(
            ids=[str(file) for file in files], embeddings=vectors, metadatas=[{"uri": str(file)} for file in files]
        )


def ingest(images: int, runs: int, folder: Path) -> list[Row]:
    import rsrag
    from rsrag import KnowledgeBase, Plugins

    source = data("imagetext/aid.tar")
    files = (
        unpack(source, folder / "pictures", ["aid"], first=images) if source else textured(folder / "pictures", images)
    )
    say(f"{len(files):,} images{'' if source else ' (made up: RSRAG_DATA is not set)'}")
    made = weights(folder)
    encoder = rsrag.create("encoder", "openclip", **made)
    encoder.encode_scenes([rsrag.open_scene(files[0])])  # loaded before the clock runs, as the other side is
    peer = OneByOne(folder, folder / "peer")
    peer.add(files[:1])

    def ours(number: int) -> float:
        with KnowledgeBase(folder / f"kb{number}", encoder, plugins=Plugins(external=False)) as kb:
            return kb.add(folder / "pictures").seconds

    seconds = interleaved({"rsrag": ours, "langchain": lambda number: peer.add(files)}, runs)
    times = [theirs / mine for mine, theirs in zip(seconds["rsrag"], seconds["langchain"], strict=True)]
    mine, theirs = statistics.median(seconds["rsrag"]), statistics.median(seconds["langchain"])
    name = f"{len(files)} images taken in: times faster than one by one"
    return [Row(name, mine, theirs, statistics.median(times), 1.5, more_is_better=True)]


class Given:
    """The store's text encoder, its questions encoded beforehand."""

    name: ClassVar[str] = "given"

    def __init__(self, encoder: Any) -> None:
        self._encoder, self._known = encoder, {}

    def learn(self, texts: list[str]) -> None:
        self._known |= dict(zip(texts, self._encoder.encode_texts(texts, role="query"), strict=True))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def encode_texts(self, texts: list[str], role: str = "passage") -> Any:
        import numpy as np

        if role == "query" and all(text in self._known for text in texts):
            return np.stack([self._known[text] for text in texts])
        return self._encoder.encode_texts(texts, role=role)

    # LangChain's side of the same
    def embed_query(self, text: str) -> list[float]:
        return [float(value) for value in self.encode_texts([text], role="query")[0]]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[float(value) for value in row] for row in self._encoder.encode_texts(texts, role="passage")]


def question(runs: int, folder: Path) -> list[Row]:
    from langchain_chroma import Chroma
    from langchain_core.language_models import FakeListChatModel
    from langchain_core.output_parsers import StrOutputParser
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_core.runnables import RunnablePassthrough
    from retrieval import fresh_questions

    import rsrag
    from rsrag import Assistant, KnowledgeBase, Plugins
    from rsrag.testing.models import ScriptedModel

    asked = fresh_questions()
    encoder = Given(rsrag.create("encoder", "starter"))
    encoder.learn(asked)
    with KnowledgeBase(folder / "kb", encoder, plugins=Plugins(external=False)) as kb:
        for pack in ("scenes", "sensors", "indices", "phenomena", "methods"):
            kb.add(pack)
        chunks = kb.catalog.chunks.where("c.kind = 'text' AND c.part NOT IN ('fact', 'label')", ())
        stored = kb.catalog.vectors.of("texts", [c.content_hash for c in chunks])
        store = Chroma("passages", embedding_function=encoder, persist_directory=str(folder / "peer"))  # type: ignore
        for start in range(0, len(chunks), 1000):
            part = [c for c in chunks[start : start + 1000] if c.content_hash in stored]
            store._collection.add(
                ids=[c.id for c in part],
                documents=[c.text for c in part],
                embeddings=[stored[c.content_hash] for c in part],
                metadatas=[{"title": c.title, "source": c.provenance.source} for c in part],
            )
        prompt = ChatPromptTemplate.from_template("Answer from this:\n{context}\n\nQuestion: {question}")
        chain = (
            {
                "context": store.as_retriever(search_kwargs={"k": 8})
                | (lambda found: "\n\n".join(document.page_content for document in found)),
                "question": RunnablePassthrough(),
            }
            | prompt
            | FakeListChatModel(responses=["It is so [1]."])
            | StrOutputParser()
        )
        assistant = Assistant(kb, model=ScriptedModel("It is so [1]."))
        assistant.ask(asked[-1])
        sides = {
            "rsrag": lambda number: assistant.ask(asked[number % len(asked)]) and None,
            "langchain": lambda number: chain.invoke(asked[number % len(asked)]) and None,
        }
        seconds = interleaved(sides, min(runs, len(asked)))
    name = "a question, vectors given: all lanes, facts and citations against one lane"
    return [compare(name, seconds["rsrag"], seconds["langchain"], 1.0)]


def main() -> None:
    parser = arguments(__doc__, runs=5)
    parser.add_argument("what", choices=["ingest", "question"])
    parser.add_argument("--images", type=int, default=300)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rsrag-bench-") as folder:
        started = time.perf_counter()
        if chosen.what == "ingest":
            rows = ingest(chosen.images, chosen.runs, Path(folder))
        else:
            try:
                rows = question(10 * chosen.runs, Path(folder))
            except ModuleNotFoundError as error:
                skipped(TITLE, f"{error.name} is not installed", as_json=chosen.json)
                return
        say(f"{time.perf_counter() - started:.0f} s")
    show(f"{TITLE}: {chosen.what}", rows, as_json=chosen.json)


if __name__ == "__main__":
    main()
