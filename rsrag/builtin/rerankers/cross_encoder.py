"""A cross-encoder through transformers: reads the question and a passage together, and says how well they fit."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from rsrag import Hit, ModelError, Query


class CrossEncoder:
    """Reorders the best `top` passages by a sequence classification model with one output, such as a MiniLM trained on
    MS MARCO. `model` is its folder or, where it is cached on this machine, its name; `--reranker cross-encoder:DIR`.

    Weights are safetensors only, code of a repository is never run, and nothing is downloaded. A pair that is too long
    loses the end of the passage. Images keep their places among the passages; without words nothing is reordered.
    """

    name: ClassVar[str] = "cross-encoder"

    def __init__(self, model: str = "", top: int = 50, batch: int = 32, device: str = "cpu") -> None:
        self.model = model
        self.top, self.batch, self.device = top, batch, device
        self._lock = threading.Lock()
        self._loaded: tuple[Any, Any, int] | None = None

    def rerank(self, query: Query, hits: Sequence[Hit]) -> list[Hit]:
        """The hits, passages in the order of the model's scores; equal scores keep the given order.

        Facts that were looked up stay first: what a question asks for by name is found, and not guessed at.
        """
        places = [i for i, hit in enumerate(hits) if hit.chunk.kind == "text" and not hit.facts][: self.top]
        if not query.text.strip() or len(places) < 2:
            return list(hits)
        scores = self._scores(query.text, [f"{hits[i].chunk.title}. {hits[i].chunk.text}" for i in places])
        order = sorted(range(len(places)), key=lambda n: -scores[n])
        arranged = list(hits)
        # The fused scores stay with their places, so that scores still fall from first to last.
        for place, n in zip(places, order, strict=True):
            arranged[place] = dataclasses.replace(hits[places[n]], score=hits[place].score)
        return arranged

    def _scores(self, question: str, passages: Sequence[str]) -> list[float]:
        import torch

        with self._lock:
            tokenizer, model, longest = self._loaded or self._load()
        scores: list[float] = []
        for start in range(0, len(passages), self.batch):
            some = list(passages[start : start + self.batch])
            pairs = tokenizer(
                [question] * len(some),
                some,
                padding=True,
                truncation="only_second",
                max_length=longest,
                return_tensors="pt",
            ).to(self.device)
            with torch.inference_mode():
                scores += model(**pairs).logits[:, 0].float().tolist()
        return scores

    def _load(self) -> tuple[Any, Any, int]:
        if not self.model:
            raise ModelError(
                "the reranker cross-encoder needs a model.",
                "Name its folder: --reranker cross-encoder:DIR, or [rerankers.cross-encoder] model.",
            )
        folder = Path(self.model).expanduser()
        where = str(folder) if folder.is_dir() else self.model
        try:
            from rsrag.torchvision_ops import ensure

            ensure()
        except ImportError:
            pass  # transformers does without torchvision where it can
        import transformers

        options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(where, **options)
            model = transformers.AutoModelForSequenceClassification.from_pretrained(
                where, use_safetensors=True, **options
            )
        except Exception as error:
            said = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            raise ModelError(
                f"cross-encoder {self.model} cannot be loaded: {said}.",
                "Give the folder of a sequence classification model with weights as safetensors.",
            ) from error
        if model.config.num_labels != 1:
            raise ModelError(
                f"cross-encoder {self.model} has {model.config.num_labels} outputs, not one score.",
                "Take a model that was trained to rank.",
            )
        # Where a tokenizer does not know its limit it says a number beyond all reason.
        longest = min(tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", 512), 512)
        self._loaded = (tokenizer, model.to(self.device).eval(), longest)
        return self._loaded
