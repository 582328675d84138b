"""Commands about what answers are made with: knowledge, model, how many passages, and which of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from ...errors import UsageError
from .command import Command
from .completion import Candidate, letters, words
from .describe import means_line

if TYPE_CHECKING:
    from .state import Chat

CLEAR: Final = ("off", "none", "clear", "-")


def kb(chat: Chat, argument: str) -> None:
    """The knowledge base: what it holds, and which others there are. /kb NAME asks another from the next question on;
    numbers given so far stay."""
    if argument:
        chat.opening.use_kb(argument)
        chat.screen.note(means_line(chat.conversation))
        return
    store = chat.conversation.assistant.kb
    chat.screen.line(f"{store.path.name}: {len(store):,} passages and images")
    for source in store.sources():
        whose = "yours" if source.role == "mine" else "reference"
        chat.screen.note(
            f"  {source.name}: {source.records:,} records, {source.chunks:,} passages and images ({whose})"
        )
    others = [name for name in _kb_names(chat) if name != store.path.name]
    if others:
        chat.screen.note(f"Others: {', '.join(others)}. /kb NAME asks another.")


def _kb_names(chat: Chat) -> list[str]:
    folder = chat.opening.config.kb_folder
    return sorted(p.parent.name for p in folder.glob("*/catalog.sqlite")) if folder.is_dir() else []


def model(chat: Chat, argument: str) -> None:
    """Who writes the answers. /model openai:NAME or /model ollama:NAME takes another from the next question on; when
    that fails the old one stays."""
    if argument:
        chat.opening.use_model(argument)
        chat.screen.note(f"{chat.conversation.assistant.model.name} answers from now on.")
        return
    assistant = chat.conversation.assistant
    chat.screen.line(f"{assistant.model.name} writes the answers.")
    offered = ", ".join(assistant.plugins.offers("model"))
    chat.screen.note(f"Others: {offered}; or a provider of LangChain, such as ollama:NAME. /model NAME takes another.")


def k(chat: Chat, argument: str) -> None:
    """How many passages become evidence: /k 12; /k off for the configured number."""
    settings = chat.conversation.settings
    if argument.lower() in CLEAR:
        settings.pop("k", None)
    elif argument:
        if not argument.isdecimal() or not 1 <= int(argument) <= 200:
            raise UsageError(f"'{argument}' is not a number from 1 to 200.", "/k 12 takes twelve passages.")
        settings["k"] = int(argument)
    chat.screen.note(f"{settings.get('k', chat.conversation.assistant.k)} passages become evidence.")


def facet(chat: Chat, argument: str) -> None:
    """Only knowledge with these facets: /facet country=Peru, /facet cloud_cover<20; several add up, /facet off takes
    all away. Without one it lists those in use and those there are."""
    conversation = chat.conversation
    used = list(conversation.settings.get("facets", ()))
    if argument.lower() in CLEAR:
        conversation.settings.pop("facets", None)
        chat.screen.note("No facet is asked for.")
        return
    if argument:
        _try(chat, facets=[*used, argument])
        conversation.settings["facets"] = [*dict.fromkeys([*used, argument])]
        used = conversation.settings["facets"]
    chat.screen.note(
        f"Only knowledge with {' and '.join(used)}. /facet off ends it." if used else "No facet is asked for."
    )
    if not argument:
        chat.screen.note(f"There are: {', '.join(sorted(conversation.assistant.kb.catalog.facet_keys()))}.")


def near(chat: Chat, argument: str) -> None:
    """Rank first what lies near a box, W,S,E,N in degrees, or near an image: /near A. /near off ends it."""
    scenes = chat.conversation.scenes
    letter = argument.strip("[]").upper()
    if letter in scenes:
        box = scenes[letter].bbox
        if box is None:
            raise UsageError(f"where [{letter}] lies is not known.", "Give a box: /near W,S,E,N")
        argument = ",".join(f"{value:.5g}" for value in box.as_tuple())
    _set(chat, "near", argument, "What lies near {} comes first.", "No place is preferred.")


def when(chat: Chat, argument: str) -> None:
    """Only knowledge from a time span: /when 2019/2021-06, /when 2020; /when off ends it."""
    _set(chat, "when", argument, "Only knowledge from {}.", "Knowledge from any time.")


def within(chat: Chat, argument: str) -> None:
    """Only knowledge from inside a box, W,S,E,N, or a GeoJSON file: /within area.geojson; /within off ends it."""
    _set(chat, "within", argument, "Only knowledge from inside {}.", "Knowledge from anywhere.")


def around(chat: Chat, argument: str) -> None:
    """Only knowledge from within some kilometres of a place: /around 4.3,51.9,25 (LON,LAT,KM); /around off ends it."""
    _set(chat, "around", argument, "Only knowledge from around {}.", "Knowledge from anywhere.")


def season(chat: Chat, argument: str) -> None:
    """Only knowledge from a time of year: /season summer, /season JJA, /season 11-02; /season off ends it."""
    _set(chat, "season", argument, "Only knowledge from {}.", "Knowledge from any season.")


def _set(chat: Chat, name: str, argument: str, told: str, cleared: str) -> None:
    settings = chat.conversation.settings
    if argument.lower() in CLEAR:
        settings.pop(name, None)
    elif argument:
        _try(chat, **{name: argument})
        settings[name] = argument
    value = settings.get(name)
    chat.screen.note(f"{told.format(value)} /{name} off ends it." if value else cleared)


def _try(chat: Chat, **options: Any) -> None:
    """Raises now what a question would raise for these options."""
    chat.conversation.assistant.query("?", None, **options)


def _kbs(chat: Chat, argument: str) -> Iterator[Candidate]:
    yield from words([(name, "") for name in _kb_names(chat)], argument)


def _models(chat: Chat, argument: str) -> Iterator[Candidate]:
    if chat.opening.ready:
        offered = chat.conversation.assistant.plugins.offers("model")
        yield from words(
            [*((name, "") for name in offered), ("ollama:", "LangChain"), ("openai:", "LangChain")], argument
        )


def _facets(chat: Chat, argument: str) -> Iterator[Candidate]:
    if chat.opening.ready:
        keys = sorted(chat.conversation.assistant.kb.catalog.facet_keys())
        yield from words([*((f"{key}=", "") for key in keys), ("off", "")], argument)


def _places(chat: Chat, argument: str) -> Iterator[Candidate]:
    yield from letters(chat, argument)
    yield from words([("off", "")], argument)


def _off(chat: Chat, argument: str) -> Iterator[Candidate]:
    yield from words([("off", "")], argument)


COMMANDS: Final = (
    Command("kb", "[NAME]", "the knowledge base, or another", kb, _kbs, needs=False),
    Command("model", "[NAME]", "who writes the answers, or another", model, _models, needs=False),
    Command("k", "[N]", "how many passages become evidence", k),
    Command("facet", "[KEY=VALUE]", "only knowledge with this facet", facet, _facets),
    Command("near", "[W,S,E,N|LETTER]", "rank first what lies near", near, _places),
    Command("within", "[BOX|FILE]", "only knowledge from inside", within, _off),
    Command("around", "[LON,LAT,KM]", "only knowledge from around", around, _off),
    Command("season", "[SEASON]", "only knowledge from this season", season, _off),
    Command("when", "[A/B]", "only knowledge from this time", when, _off),
)
