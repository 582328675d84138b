"""`extractive`, the default model: reads the evidence and quotes it, on this machine and without weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from rsrag import Capabilities, Prompt, Text, Verdict

if TYPE_CHECKING:
    from rsrag.interfaces import Language


class ExtractiveModel:
    """Answers by sentences of the evidence, each with its number, and declines when none answers.

    It sees no pixels: what an image shows it takes from the vote of the nearest reference images. It yields the
    verdict, then the rest, then a `Verdict` with status and trace. Without a `Language` words are all it compares.
    """

    name: ClassVar[str] = "extractive"

    def __init__(self) -> None:
        self._language: Language | None = None

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities()

    def use_language(self, language: Language) -> None:
        """Take the knowledge base's sense of words; called by the assistant before `generate`."""
        self._language = language

    def generate(self, prompt: Prompt) -> Iterator[Text | Verdict]:
        """The answer by paragraphs, whose pieces joined are the text; then the verdict on it."""
        from rsrag.answering import read

        reading = read(prompt, self._language)
        head, gap, rest = reading.text.partition("\n\n")
        yield Text(head)
        if rest:
            yield Text(gap + rest)
        yield Verdict(reading.status, reading.trace, reading.confidence)
