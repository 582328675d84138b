"""A conversation over the assistant: what follow-ups mean, which scenes stand, evidence that keeps its number."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .answering.cleaning import clean
from .answering.ledger import Ledger
from .conversation import memory
from .conversation.context import Context, context_of
from .conversation.exchange import Exchange, Focus, Rewritten, Status, ToolUse, Why
from .conversation.followups import rewrite
from .conversation.journal import Journal, Unkept
from .conversation.memory import Limits
from .conversation.reasons import reasons
from .conversation.rewording import reworded
from .conversation.scenes import Placed, Shelf
from .conversation.state import State
from .errors import RsragError, UsageError
from .queries import parse_region
from .types import Answer, Done, Event, Evidence, Retrieved, Scene, Text, ToolDone, ToolStarted

if TYPE_CHECKING:
    from .assistant import Assistant, Images
    from .interfaces import Model
    from .sessions import Sessions

READING = ("bands", "sensor")
"""Options of `Assistant.query` that say how an image is read, and are settled when it comes."""


class Conversation:
    """Made by `assistant.chat()`. Evidence numbers and scene letters stay the same from turn to turn.

    `settings` are options of `Assistant.query` for the turns that follow (near, within, when, facets, k ...), `focus`
    is the part of a scene that they are about: (letter, (x, y, w, h)) in pixels. `ledger` numbers the evidence.
    Not for use from several threads at once.
    """

    def __init__(self, assistant: Assistant, *, limits: Limits | None = None, **settings: Any) -> None:
        self._assistant = assistant
        self.limits = limits or memory.DEFAULT
        self.settings: dict[str, Any] = settings
        self.ledger = Ledger()
        self.focus: Focus | None = None
        self.exchanges: list[Exchange] = []
        self.id = secrets.token_hex(4)
        self.name = ""
        self.created = datetime.now(UTC)
        self._shelf = Shelf()
        self._new: list[str] = []  # letters that came since the last question
        self._last_number = 0
        self._cited: set[int] = set()
        self._journal: Journal = Unkept()

    @property
    def assistant(self) -> Assistant:
        """Who answers. Another one may take over between turns: another model, another knowledge base."""
        return self._assistant

    @assistant.setter
    def assistant(self, assistant: Assistant) -> None:
        self._assistant = assistant
        self._journal.answered_by(str(assistant.kb.path), _name(assistant.model))

    # -- scenes -----------------------------------------------------------------------------------

    @property
    def scenes(self) -> dict[str, Scene]:
        """The scenes that stand, by letter."""
        return self._shelf.standing

    @property
    def placed(self) -> tuple[Placed, ...]:
        """The scenes with where they came from, those whose file is gone included."""
        return tuple(self._shelf)

    def add(self, image: Any, **reading_options: Any) -> str:
        """Take in an image (a path or a Scene) and return its letter; options are `bands` and `sensor`.

        A file that is here already keeps its letter and is read anew. Raises `SceneError`.
        """
        scene = self.assistant.query("", image, **reading_options).scenes[0]
        placed = self._shelf.add(scene, reading_options, image)
        self._new.append(placed.letter)
        self._journal.scene(placed)
        return placed.letter

    def drop(self, letter: str) -> Scene | None:
        """End a letter; it is not given again. Returns its scene, None where the file was gone. Raises `UsageError`."""
        placed = self._shelf.drop(letter)
        if self.focus and self.focus[0] == placed.letter:
            self.focus = None
        self._new = [name for name in self._new if name != placed.letter]
        scene, placed.scene = placed.scene, None
        self._journal.scene(placed)
        return scene

    # -- asking -----------------------------------------------------------------------------------

    def ask(self, text: str, image: Images = None, **options: Any) -> Answer:
        """The next turn. Without a new image the scenes of the turn before still stand."""
        answer: Answer | None = None
        for event in self.stream(text, image, **options):
            if isinstance(event, Done):
                answer = event.answer
        assert answer is not None
        return answer

    def rewrite(self, text: str) -> Rewritten:
        """What a question means here: with what it leaves out, the scenes and the part of a scene it is about."""
        return rewrite(_cleaned(text), self._context())

    def stream(self, text: str, image: Images = None, **options: Any) -> Iterator[Event]:
        """Like `ask`, as the events of `Assistant.stream`. Closing it keeps what was written as an interrupted answer.

        Raises `UsageError` for an empty question, `SceneError` when a scene it is about has gone, and what the model
        raises; a turn that fails is kept as failed, and the conversation goes on.
        """
        exchange, again, scenes = self._understood(_cleaned(text), image, options)
        query = self.assistant.query(exchange.asked, scenes or None, **exchange.settings)
        query = query.with_(letters=exchange.letters)
        history = memory.history(self.exchanges, self.limits)
        earlier = [e for n in memory.numbers(history) if (e := self.ledger.get(n))]
        self._begin(exchange)
        events = self.assistant.run(query, self.ledger, history, earlier=earlier, again=again)
        pieces: list[str] = []
        started: list[ToolStarted] = []
        try:
            for event in events:
                if isinstance(event, Text):
                    pieces.append(event.text)
                    self._journal.wrote(exchange.number, event.text)
                elif isinstance(event, Retrieved):
                    self._shown(event.evidence)
                elif isinstance(event, ToolStarted):
                    started.append(event)
                    self._journal.flush()  # a tool may take long
                elif isinstance(event, ToolDone):
                    self._tool_done(exchange, started.pop() if started else ToolStarted(event.name), event)
                elif isinstance(event, Done):
                    event = Done(self._finish(exchange, event.answer))
                yield event
        except Exception as error:
            if exchange.status == "running":
                why = error.message if isinstance(error, RsragError) else f"{type(error).__name__}: {error}"
                self._stopped(exchange, pieces, "failed", why)
            raise
        finally:
            if hasattr(events, "close"):
                events.close()
            if exchange.status == "running":  # the caller closed the stream, or was interrupted
                self._stopped(exchange, pieces, "interrupted", "")

    def run_tool(
        self, name: str, arguments: Mapping[str, Any] | Sequence[str] = (), letters: Sequence[str] = ()
    ) -> Evidence:
        """Run a geo tool on scenes, those that the next question would be about when no letters are given; its result
        is numbered, remembered and can be cited. `arguments` by name, or "name=value" texts. Raises what the tool
        raises."""
        chosen = tuple(self._shelf.get(letter).letter for letter in letters) or self._current()
        self._shelf.check(chosen)
        focus = self.focus if self.focus and self.focus[0] in chosen else None
        scenes = self._cut(chosen, focus)
        _, found = self.assistant.run_tool(name, arguments, scenes or None, letters=chosen)
        (numbered,) = self._shown([self.ledger.add(found)])
        return numbered

    # -- what was said ----------------------------------------------------------------------------

    def undo(self) -> Exchange | None:
        """Forget the last exchange and return it; None when there is none. Evidence keeps its numbers."""
        if not self.exchanges:
            return None
        exchange = self.exchanges.pop()
        self._journal.undone(exchange.number)
        return exchange

    def why(self, index: int = -1) -> Why:
        """What produced an answer, the last one by default. Raises `UsageError` when there is no such exchange."""
        try:
            exchange = self.exchanges[index]
        except IndexError:
            raise UsageError("nothing was asked yet.", "Ask something first.") from None
        position = index % len(self.exchanges)
        if exchange.answer and not exchange.answer.trace:
            exchange = self._journal.load_exchange(exchange.number) or exchange
        history = memory.history(self.exchanges[:position], self.limits)
        return reasons(exchange, history, self.ledger, self.scenes, self.assistant.model)

    def mark(self, index: int = -1, *, saved: bool | None = None, rating: int | None = None) -> Exchange:
        """Put the user's marks on an exchange."""
        exchange = self.exchanges[index]
        exchange.saved = exchange.saved if saved is None else saved
        exchange.rating = exchange.rating if rating is None else rating
        self._journal.marked(exchange)
        return exchange

    # -- keeping ----------------------------------------------------------------------------------

    def saved_in(self, sessions: Sessions, name: str = "") -> Conversation:
        """Write this conversation down as it goes, under `id`; what was said so far is written now."""
        journal = sessions.start(str(self.assistant.kb.path), _name(self.assistant.model), id=self.id, name=name)
        self.name = name
        self.id = journal.id
        for placed in self._shelf.all:
            journal.scene(placed)
        journal.shown(list(self.ledger))
        for exchange in self.exchanges:
            journal.began(exchange, self.settings, self.focus)
            journal.ended(exchange)
        self._keep_in(journal)
        return self

    def state(self) -> State:
        """Everything as data, for `rsrag.transcript`."""
        return State(
            self.id,
            self.name,
            str(self.assistant.kb.path),
            _name(self.assistant.model),
            self.created,
            next((e.ended for e in reversed(self.exchanges) if e.ended), self.created),
            self._shelf.all,
            tuple(self.exchanges),
            self.ledger.keys(),
            {e.number: e for e in self.ledger},
            dict(self.settings),
            self.focus,
            self._last_number,
        )

    @classmethod
    def of(cls, assistant: Assistant, state: State, journal: Journal | None = None) -> Conversation:
        """The conversation that a state tells of, to go on with. A scene whose file cannot be opened any more is `gone`
        and keeps its letter."""
        chat = cls(assistant)
        chat.id, chat.name, chat.created = state.id, state.name, state.created or chat.created
        chat.settings, chat.focus = dict(state.settings), state.focus
        chat.exchanges = list(state.exchanges)
        chat._last_number = state.last
        chat.ledger = Ledger.of(state.keys, state.evidence.values())
        for placed in state.scenes:
            if not placed.dropped:
                _reopen(placed, assistant)
        chat._shelf = Shelf(list(state.scenes))
        if chat.focus and chat.focus[0] not in chat.scenes:
            chat.focus = None
        chat._cited = {e.number for x in chat.exchanges if x.answer for e in x.answer.citations}
        chat._keep_in(journal or Unkept())
        for exchange in chat.exchanges[: -chat.limits.turns]:
            chat._let_go(exchange)
        return chat

    # -- steps of a turn --------------------------------------------------------------------------

    def _understood(
        self, question: str, image: Images, options: Mapping[str, Any]
    ) -> tuple[Exchange, list[Evidence], list[Scene]]:
        """The exchange to be, the evidence it speaks of, and the scenes, cut to the part it is about."""
        from .assistant import as_list

        settings = {**self.settings, **options}
        region = settings.pop("region", None)
        reading = {key: settings.pop(key) for key in READING if key in settings}
        letters = tuple(self.add(item, **reading) for item in as_list(image))
        if not question and not (letters or self.scenes):
            raise UsageError("the question is empty.", "Ask something, or give an image.")
        meant = rewrite(question, self._context(letters))
        if meant.unclear:
            meant = reworded(self.assistant.model, meant, memory.history(self.exchanges, self.limits))
        chosen = meant.scenes
        self._shelf.check(chosen)
        focus = meant.focus if meant.focus and meant.focus[0] in chosen else None
        if region:
            if not chosen:
                raise UsageError("a region needs an image to be a part of.", "Give the image too.")
            focus = (chosen[0], parse_region(region))
        scenes = self._cut(chosen, focus)
        exchange = Exchange(
            self._last_number + 1,
            question,
            meant.text if meant.text != question else "",
            chosen,
            focus,
            meant.reason,
            settings,
        )
        again = [e for n in meant.evidence if (e := self.ledger.get(n))]
        return exchange, again, scenes

    def _current(self) -> tuple[str, ...]:
        """The letters that the next question is about, unless it says which: new ones, else those of the last."""
        standing = self._shelf.standing
        new = tuple(dict.fromkeys(name for name in self._new if name in standing))
        last = next((e.letters for e in reversed(self.exchanges) if e.letters), ())
        gone = {p.letter for p in self._shelf if p.gone}
        kept = tuple(name for name in last if name in standing or name in gone)
        return new or kept or tuple(standing)

    def _context(self, given: tuple[str, ...] = ()) -> Context:
        current = given or self._current()
        known = tuple(p.letter for p in self._shelf.all)
        return context_of(self.scenes, self.exchanges, self.ledger, self.focus, current, tuple(self._new), known)

    def _cut(self, letters: Sequence[str], focus: Focus | None) -> list[Scene]:
        scenes = self._shelf.standing
        chosen = {name: scenes[name] for name in letters}
        if focus:
            grid = _grid(chosen[focus[0]])
            # Images of one grid are cut alike, so that the same part of each is compared.
            for name, scene in chosen.items():
                chosen[name] = scene.window(*focus[1]) if name == focus[0] or _grid(scene) == grid else scene
        return list(chosen.values())

    def _begin(self, exchange: Exchange) -> None:
        exchange.started = datetime.now(UTC)
        self._journal.began(exchange, self.settings, self.focus)
        self._last_number = exchange.number
        self.exchanges.append(exchange)
        self._new.clear()

    def _shown(self, evidence: Sequence[Evidence]) -> Sequence[Evidence]:
        self._journal.shown(evidence)
        return evidence

    def _tool_done(self, exchange: Exchange, started: ToolStarted, done: ToolDone) -> None:
        letters = tuple(part.strip() for part in started.scene.split(",") if part.strip())
        exchange.tools += (ToolUse(done.name, letters, dict(started.arguments), done.number, done.error),)
        if done.number is not None and (found := self.ledger.get(done.number)):
            self._shown([found])

    def _finish(self, exchange: Exchange, answer: Answer) -> Answer:
        understood = {"text": exchange.asked, "reason": exchange.reason, "scenes": exchange.letters}
        answer = replace(answer, trace={**answer.trace, "understood": {**understood, "focus": exchange.focus}})
        exchange.answer, exchange.status, exchange.ended = answer, "done", datetime.now(UTC)
        self._cited |= {e.number for e in answer.citations}
        self._shown(answer.evidence)
        self._journal.ended(exchange)
        if len(self.exchanges) > self.limits.turns:
            self._let_go(self.exchanges[-self.limits.turns - 1])
        return answer

    def _stopped(self, exchange: Exchange, pieces: Sequence[str], status: Status, error: str) -> None:
        exchange.partial, exchange.status, exchange.error = "".join(pieces).strip(), status, error
        exchange.ended = datetime.now(UTC)
        self._journal.ended(exchange)

    def _let_go(self, exchange: Exchange) -> None:
        """Keep of an old exchange what it cited; the numbers of the rest stay taken."""
        if exchange.answer is None or not exchange.answer.trace:
            return
        recent = self.exchanges[-self.limits.turns :]
        kept = self._cited | {e.number for x in recent if x.answer for e in x.answer.evidence}
        self.ledger.forget(e.number for e in exchange.answer.evidence if e.number not in kept)
        exchange.answer = memory.let_go(exchange.answer)

    def _keep_in(self, journal: Journal) -> None:
        self._journal = journal
        self.ledger.loader = journal.load_evidence


def _cleaned(text: str) -> str:
    if not isinstance(text, str):
        raise UsageError(f"a question is text, not {type(text).__name__}.")
    return clean(text).strip()


def _grid(scene: Scene) -> tuple[Any, ...]:
    return scene.width, scene.height, scene.crs, scene.transform


def _name(model: Model) -> str:
    """What a model is asked for by: a provider's model by its full name."""
    return str(getattr(model, "label", "") or model.name)


def _reopen(placed: Placed, assistant: Assistant) -> None:
    try:
        placed.scene = assistant.query("", placed.uri, **placed.options).scenes[0]
    except (RsragError, OSError) as error:
        placed.scene, placed.gone = None, error.message if isinstance(error, RsragError) else str(error)
