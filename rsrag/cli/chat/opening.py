"""What a chat needs, loaded in a thread behind the prompt: knowledge base, model, scenes, weights."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...errors import RsragError

if TYPE_CHECKING:
    from ...assistant import Assistant
    from ...chat import Conversation
    from ...config import Config
    from ...sessions import Sessions
    from ...store.knowledge_base import KnowledgeBase
    from ...toolbox import Confirm
    from ..session import Session


class Opening:
    """Loads once, in a thread or in place. `stage` says what is being done, for whoever waits.

    `told` is called when it has ended, from the thread that did it. Images that cannot be opened are `failed`, each
    costing itself; anything else that goes wrong is raised by `conversation`.
    """

    def __init__(
        self,
        session: Session,
        *,
        images: Sequence[str] = (),
        reading: Mapping[str, str] | None = None,
        kb: str = "",
        resume: str = "",
        confirm: Confirm | None = None,
        told: Callable[[], None] = lambda: None,
        progress: Any = None,
    ) -> None:
        self.session = session
        self.images = tuple(images)
        self.reading = dict(reading or {})
        self.kb_name = kb
        self.resume = resume
        self.confirm = confirm
        self.told = told
        self.progress = progress or self._progress
        self.stage = "opening the knowledge base"
        self.failed: list[RsragError] = []
        self.remarks: list[str] = []
        self.places: dict[str, str] = {}
        self.sessions: Sessions | None = None
        self.done = threading.Event()
        self._config: Config | None = None
        self._conversation: Conversation | None = None
        self._error: BaseException | None = None
        self._begun = self._closing = False

    # -- loading ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin in a thread, which does not keep the program alive. Once begun it does nothing."""
        if self._begun:
            return
        self._begun = True
        threading.Thread(target=self.load, name="open-chat", daemon=True).start()

    def load(self) -> None:
        """Open everything; errors wait for whoever asks for the conversation."""
        self._begun = True
        try:
            self._load()
        except BaseException as error:  # told in the main thread, where it is wanted
            self._error = error
        finally:
            self.done.set()
        self.told()
        if self._conversation is not None and not self._closing:
            self._warm(self._conversation)

    def _load(self) -> None:
        from ...sessions import Sessions

        self.sessions = self.sessions or Sessions(self.config.data_dir / "sessions.sqlite")
        kb = self._open_kb(self.kb_name or self._kb_before(self.sessions))
        try:
            assistant = self.make_assistant(kb)
        except BaseException:
            kb.close()
            raise
        if self.resume:
            self.stage = "opening the saved chat"
            conversation = self.sessions.resume(assistant, self.resume)
        else:
            conversation = assistant.chat()
            conversation.saved_in(self.sessions)
        for image in self.images:
            self.stage = f"opening {image}"
            try:
                conversation.add(image, **self.reading)
            except RsragError as error:
                self.failed.append(error)
        self._conversation = conversation
        self.stage = "looking where it lies"
        for letter, scene in conversation.scenes.items():
            if scene.bbox is not None:
                with suppress(Exception):  # a line of the header, and no more
                    self.places[letter] = place_of(assistant.plugins.create("tool", "locate")(scene))

    def _kb_before(self, sessions: Sessions) -> str:
        """The knowledge base that a saved chat was about; "" for the configured one, also where it is not there."""
        name = sessions.open(self.resume).kb if self.resume else ""
        if name and not (self.config.kb_path(name) / "catalog.sqlite").exists():
            self.remarks.append(f"this chat was about the knowledge base '{name}', which is not here any more.")
            return ""
        return name

    def check(self) -> None:
        """Raises `UsageError` when there is no such chat to go on with."""
        if self.resume:
            from ...sessions import Sessions

            self.sessions = Sessions(self.config.data_dir / "sessions.sqlite")
            self.resume = self.sessions.find(self.resume)

    def _open_kb(self, name: str) -> KnowledgeBase:
        from ...api import open_kb

        return open_kb(self.config, self.session.plugins, name, progress=self.progress)

    def _progress(self, done: int, total: int | None, text: str) -> None:
        self.stage = f"reading {text}" + (f", {done:,} of {total:,}" if total else "")

    def _warm(self, conversation: Conversation) -> None:
        """Weights are read before the first question needs them. What fails here is told there."""
        with suppress(Exception):
            kb = conversation.assistant.kb
            kb.text_encoder.encode_texts(["water"], "query")
            if conversation.scenes:
                kb.encoder.encode_texts(["water"], "query")

    # -- what came of it ----------------------------------------------------------------------------

    @property
    def config(self) -> Config:
        """The configuration, with what this chat has changed."""
        return self._config or self.session.config

    @property
    def ready(self) -> bool:
        """Whether the conversation can be had without waiting."""
        return self.done.is_set() and self._conversation is not None

    @property
    def conversation(self) -> Conversation:
        """Waits. Raises what went wrong while loading."""
        self.wait()
        if self._conversation is None:
            assert self._error is not None
            raise self._error
        return self._conversation

    def wait(self) -> None:
        """Until it is loaded, or could not be."""
        self.start()
        self.done.wait()

    # -- changing it --------------------------------------------------------------------------------

    def make_assistant(self, kb: KnowledgeBase, model: str = "") -> Assistant:
        """An assistant as configured, with another model if given."""
        from ...api import make_assistant

        config = self._with_model(model) if model else self.config
        assistant = make_assistant(config, kb)
        assistant.confirm = self.confirm
        self._config = config
        return assistant

    def _with_model(self, name: str) -> Config:
        return replace(self.config, values={**self.config.values, "model": name})

    def use_model(self, name: str) -> None:
        """Another model from the next question on. Raises as `Assistant` does; then the old one stays."""
        self.wait()
        if self._conversation is None:  # it may be the model that could not be opened
            self._config = self._with_model(name)
            self._again()
            return
        self._conversation.assistant = self.make_assistant(self._conversation.assistant.kb, name)

    def _again(self) -> None:
        """Load once more, after what could not be opened was replaced. Raises what goes wrong this time."""
        self._error = None
        self.failed.clear()
        self.load()
        _ = self.conversation

    def use_kb(self, name: str) -> None:
        """Another knowledge base from the next question on; evidence shown so far keeps its numbers."""
        from ...errors import UsageError

        path = self.config.kb_path(name)
        if not (path / "catalog.sqlite").exists() and name != "default":
            raise UsageError(f"there is no knowledge base '{name}'.", "/kb lists them; `rsrag kb create` makes one.")
        self.wait()
        if self._conversation is None:  # the one asked for at the start could not be opened
            self.kb_name = name
            self._again()
            return
        kb = self._open_kb(name)
        old = self._conversation.assistant.kb
        self._conversation.assistant = self.make_assistant(kb)
        self.kb_name = name
        old.close()

    def close(self) -> None:
        """Release what was opened. A load that still runs is left to end with the program."""
        self._closing = True
        if self._conversation is not None:
            with suppress(Exception):
                self._conversation.assistant.kb.close()
        if self.sessions is not None:
            with suppress(Exception):
                self.sessions.close()


def place_of(result: Any) -> str:
    """ "Peru, 14 km from Pucallpa", from what the tool `locate` found; "" when that is not in it."""
    towns = [
        feature["properties"]
        for feature in (result.geojson or {}).get("features", ())
        if feature["properties"].get("kind") == "city"
    ]
    if not towns:
        return ""
    near = min(towns, key=lambda town: float(town["distance_km"]))
    distance = float(near["distance_km"])
    country = f"{near['country']}, " if near.get("country") else ""
    return f"{country}{distance:.0f} km from {near['name']}" if distance >= 1 else f"{country}in {near['name']}"
