"""Runs a model of transformers in a thread and hands its text over as it comes; closing the stream ends the thread."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any


@dataclass(frozen=True, slots=True)
class Ended:
    """The last thing of a stream: tokens made, and whether they were all that was allowed."""

    tokens: int
    cut: bool


class _Decoder:
    """What `generate` calls with every token; puts text into the queue as soon as it is whole characters."""

    def __init__(self, tokenizer: Any, out: SimpleQueue[Any]) -> None:
        self.tokenizer = tokenizer
        self.out = out
        self.tokens = 0
        self.last = -1
        self._ids: list[int] = []
        self._shown = ""
        self._is_prompt = True

    def put(self, value: Any) -> None:
        ids = value.reshape(-1).tolist()
        if self._is_prompt:
            self._is_prompt = False
            return
        self.tokens += len(ids)
        self.last = ids[-1]
        self._ids += ids
        text = self.tokenizer.decode(self._ids, skip_special_tokens=True)
        if text.endswith("\ufffd"):
            return  # the rest of a character is still to come
        self._tell(text)
        if text.endswith("\n"):  # what follows does not depend on what is before: keep decoding cheap
            self._ids, self._shown = [], ""

    def end(self) -> None:
        if self._ids:
            self._tell(self.tokenizer.decode(self._ids, skip_special_tokens=True))

    def _tell(self, text: str) -> None:
        if new := text[len(self._shown) :]:
            self.out.put(new)
        self._shown = text


def stream(
    model: Any, tokenizer: Any, inputs: Mapping[str, Any], settings: Any, lock: threading.Lock
) -> Generator[str | Ended, None, None]:
    """Text as it is made, then `Ended`. Raises what `generate` raises.

    One answer at a time: some models keep positions on themselves, so two would mix, and `lock` is held. Closing waits
    until the token under way is finished, and no longer.
    """
    import torch
    from transformers import StoppingCriteria, StoppingCriteriaList

    stop = threading.Event()
    out: SimpleQueue[Any] = SimpleQueue()
    decoder = _Decoder(tokenizer, out)

    class Stop(StoppingCriteria):
        def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
            return torch.full((input_ids.shape[0],), stop.is_set(), device=input_ids.device, dtype=torch.bool)

    def work() -> None:
        while not lock.acquire(timeout=0.05):
            if stop.is_set():
                return
        try:
            if not stop.is_set():
                model.generate(
                    **inputs,
                    generation_config=settings,
                    streamer=decoder,
                    stopping_criteria=StoppingCriteriaList([Stop()]),
                )
            ends = settings.eos_token_id
            ends = ends if isinstance(ends, list) else [ends]
            out.put(Ended(decoder.tokens, decoder.tokens >= settings.max_new_tokens and decoder.last not in ends))
        except BaseException as error:
            out.put(error)
        finally:
            lock.release()

    thread = threading.Thread(target=work, name="rsrag-transformers", daemon=True)
    thread.start()
    try:
        while True:
            item = out.get()
            if isinstance(item, BaseException):
                raise item
            yield item
            if isinstance(item, Ended):
                return
    finally:
        stop.set()
        thread.join()
