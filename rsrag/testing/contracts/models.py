"""The contract of models: events one by one, numbers that were shown, an end when it is asked to stop."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from rsrag import (
    Capabilities,
    Evidence,
    Notice,
    Prompt,
    Provenance,
    Scene,
    SceneVote,
    Text,
    ToolCall,
    Turn,
    Usage,
    Verdict,
)
from rsrag.interfaces import Model

from .base import ComponentContract


class ModelContract(ComponentContract):
    """Override `component`; a model of a remote service is tested against a local stand-in."""

    protocol = Model

    closes_within: ClassVar[float] = 5.0
    """Seconds that closing an answer may take."""

    @pytest.fixture
    def prompt(self, rsrag_scene: Scene) -> Prompt:
        """A question in the middle of a conversation: its evidence has the numbers 3, 7 and 12."""
        evidence = (
            _evidence(3, "Harbour", "A harbour shelters ships. It has quays and deep water."),
            _evidence(7, "Port of Hamburg", "The port of Hamburg has 43 km of quays. It was opened in 1189."),
            _evidence(12, "Forest", "A forest is land under trees."),
        )
        return Prompt(
            task="ask",
            question="How long are the quays of the port of Hamburg?",
            scenes=(rsrag_scene,),
            evidence=evidence,
            history=(Turn("What is this?", "A harbour [3]."),),
            votes=(SceneVote("A", (("class/harbour", "Harbour", 0.8),), "Harbour"),),
        )

    def test_it_says_what_it_can_take(self, component: Any) -> None:
        able = component.capabilities
        assert isinstance(able, Capabilities), f"`capabilities` is {able!r}; return rsrag.Capabilities."
        assert able.context >= 0, "`capabilities.context` is a number of tokens, 0 where it is unknown."

    def test_it_yields_events(self, component: Any, prompt: Prompt) -> None:
        events = component.generate(prompt)
        assert isinstance(events, Iterator), f"generate() returned {type(events).__name__}; write it as a generator."
        known = (Text, ToolCall, Usage, Notice, Verdict)
        strange = [e for e in events if not isinstance(e, known)]
        assert not strange, f"generate() yielded {strange[0]!r}; yield rsrag.Text, ToolCall, Usage, Notice or Verdict."

    def test_it_answers(self, component: Any, prompt: Prompt) -> None:
        assert _answer(component, prompt).strip(), (
            "the answer is empty; yield at least one Text, or raise rsrag.ModelError that says why there is none."
        )

    def test_it_cites_only_what_was_shown(self, component: Any, prompt: Prompt) -> None:
        text = _answer(component, prompt)
        wrong = sorted(_numbers(text) - {e.number for e in prompt.evidence})
        assert not wrong, (
            f"it cites {wrong}, and the evidence has the numbers 3, 7 and 12; cite `evidence.number`, not a position."
        )

    def test_it_answers_without_evidence(self, component: Any, prompt: Prompt) -> None:
        for bare in (
            Prompt("ask", prompt.question),
            Prompt("ask", "", prompt.scenes),
            Prompt("caption", "", prompt.scenes),
            Prompt("classify", "", prompt.scenes, labels=("harbour", "forest")),
        ):
            try:
                text = _answer(component, bare)
            except Exception as error:
                raise AssertionError(
                    f"task {bare.task!r} without evidence raised {type(error).__name__}: {error}; say that nothing is "
                    "known instead."
                ) from error
            assert text.strip(), f"task {bare.task!r} without evidence got an empty answer; say that nothing is known."
            assert not _numbers(text), f"it cites {sorted(_numbers(text))} where no evidence was shown."

    def test_closing_cancels(self, component: Any, prompt: Prompt) -> None:
        events = component.generate(prompt)
        assert hasattr(events, "close"), "what generate() returns has no close(); write generate() as a generator."
        next(events)
        start = time.monotonic()
        try:
            events.close()
        except RuntimeError as error:
            raise AssertionError(
                "it went on after close(); let GeneratorExit pass, and do not yield in a finally."
            ) from error
        took = time.monotonic() - start
        assert took < self.closes_within, f"close() took {took:.1f} s; stop the request when GeneratorExit is raised."
        assert next(events, None) is None, "an event came after close()."

    def test_it_can_be_asked_again(self, component: Any, prompt: Prompt) -> None:
        cancelled = component.generate(prompt)
        next(cancelled)
        cancelled.close()
        assert _answer(component, prompt).strip(), "after a cancelled answer it has none; keep no state between two."


def _evidence(number: int, title: str, text: str) -> Evidence:
    provenance = Provenance("contract", title.lower(), f"contract/{title.lower()}", "reference")
    return Evidence(number, "text", title, text, provenance, part="about", via=("words",), score=1.0)


def _answer(component: Any, prompt: Prompt) -> str:
    return "".join(event.text for event in component.generate(prompt) if isinstance(event, Text))


def _numbers(text: str) -> set[int]:
    """What [3] and [3, 7] name."""
    return {int(n) for inside in re.findall(r"\[([\d,; ]+)\]", text) for n in re.findall(r"\d+", inside)}
