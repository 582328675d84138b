"""`langchain`: any LangChain chat model, by "provider:name" or as an instance."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from rsrag import Capabilities, ModelError, Notice, Prompt, Scene, Text, UsageError

from .chunks import ending, rest, text_of
from .detecting import Traits, can_bind_tools, of_ollama, of_openai_server, of_profile
from .failures import Refused, failed, images_at_most, refused
from .options import EVIDENCE_SIDE, RESERVE, TOOLS, Tools, function
from .replying import Event, Piece, ToolStyle, reply

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


@dataclass(frozen=True, slots=True)
class _Able:
    """What is settled about a model: `most_images` at once (None: any number), whether it may be asked for usage."""

    images: bool
    style: ToolStyle
    context: int
    most_images: int | None = None
    usage: bool = True


class _Refusal(Exception):
    """The server does not take something; nothing of the answer has come yet."""

    def __init__(self, what: Refused, most_images: int) -> None:
        super().__init__(what)
        self.what = what
        self.most_images = most_images


class LangChainModel:
    """A chat model through LangChain.

    `model` is "provider:name" as `init_chat_model` takes it ("ollama:qwen3-vl", "openai:my-model" together with
    the `base_url` of a local server), or a BaseChatModel. `timeout` is how long, in seconds, the first token and
    every further one may take; `retries` how often a request that failed before it was answered is repeated. A
    `base_url` is sent no key but the one in the environment variable `api_key_env`.

    What the model can take is asked of its server or of LangChain's profile of it, when it is first used: `images`
    (true or false), `tools` ("native", "prompt": told in the prompt, "none") and `context` (tokens) say it instead.
    Whatever the server refuses all the same is left out from then on, with a `Notice`. `image_side` is the longer
    side in pixels that scenes are sent with, `max_tokens` the longest answer (0: the provider's own limit).
    """

    name: ClassVar[str] = "langchain"

    def __init__(
        self,
        model: str | BaseChatModel,
        base_url: str = "",
        timeout: float = 60,
        retries: int = 2,
        images: bool | None = None,
        image_side: int = 1024,
        context: int = 0,
        temperature: float = 0.0,
        api_key_env: str = "",
        tools: Tools = "auto",
        max_tokens: int = 0,
    ) -> None:
        self.model = model
        self.base_url = base_url
        self.timeout = timeout
        self.retries = retries
        self.images = images
        self.image_side = image_side
        self.context = context
        self.temperature = temperature
        self.api_key_env = api_key_env
        self.tools = tools
        self.max_tokens = max_tokens
        if tools not in TOOLS:
            raise UsageError(f"model 'langchain' has no tools = '{tools}'.", f"There are: {', '.join(TOOLS)}.")
        self._chat: BaseChatModel | None = None
        self._able: _Able | None = None
        self._lock = threading.Lock()

    @property
    def capabilities(self) -> Capabilities:
        """What the user said, and after the first answer what turned out."""
        able = self._able
        if able is None:
            return Capabilities(self.images is not False, self.tools != "none", self.context)
        return Capabilities(able.images, self.tools != "none", able.context)

    @property
    def label(self) -> str:
        """What the model is called in messages."""
        return self.model if isinstance(self.model, str) else type(self.model).__name__

    def generate(self, prompt: Prompt) -> Iterator[Event]:
        """Text as it arrives, then tool calls and what it cost.

        Raises `ModelError` when the model cannot be reached or made, fails on the way (after the text that had come),
        or returns neither text nor a tool call.
        """
        if self.tools == "none":
            prompt = replace(prompt, tools=())
        told: set[str] = set()
        while True:
            chat, able = self._settle()
            try:
                for event in reply(
                    prompt, partial(self._ask, chat, able), self.label, reads_calls=able.style == "prompt"
                ):
                    if not isinstance(event, Notice) or event.text not in told:
                        yield event
                    if isinstance(event, Notice):
                        told.add(event.text)
                return
            except _Refusal as refusal:
                if notice := self._give_up(able, refusal):
                    told.add(notice)
                    yield Notice(notice)

    def _settle(self) -> tuple[BaseChatModel, _Able]:
        """The client, and what the model can take; both found out on first use."""
        with self._lock:
            if self._chat is None:
                self._chat, self._able = self._make(0), None
            if self._able is None:
                traits = self._traits(self._chat)
                if traits.context and self._is_ollama:
                    self._chat = self._make(traits.context)
                self._able = _Able(
                    traits.images is not False,
                    self.tools if self.tools in ("native", "prompt") else "native" if traits.tools else "prompt",
                    traits.context,
                )
            return self._chat, self._able

    def _traits(self, chat: BaseChatModel) -> Traits:
        user = Traits(self.images, None, self.context)
        if self._is_ollama:
            found = of_ollama(str(self.model).partition(":")[2], self.base_url)
        elif isinstance(self.model, str) and self.base_url:
            # Not the profile: a local server may give any model the name of a hosted one.
            found = of_openai_server(self.model.partition(":")[2], self.base_url, self._key())
        else:
            found = of_profile(chat)
        return user.over(found).over(Traits(tools=can_bind_tools(chat)))

    def _give_up(self, able: _Able, refusal: _Refusal) -> str:
        """Remember what the server refuses; returns what the user is told."""
        now, notice = able, ""
        if refusal.what == "usage":
            now = replace(able, usage=False)
        elif refusal.what == "tools":
            now = replace(able, style="prompt")
            notice = f'{self.label} refuses tool calls; tools are told in the prompt instead (tools = "prompt")'
        elif refusal.most_images and (able.most_images is None or refusal.most_images < able.most_images):
            now = replace(able, most_images=refusal.most_images)
            notice = f"{self.label} takes no more than {refusal.most_images} images at once; the others are left out"
        else:
            now = replace(able, images=False)
            notice = f"{self.label} refuses images; it answers without them (images = false)"
        with self._lock:
            self._able = now
        return notice

    # -- one request --------------------------------------------------------------------------------

    def _ask(self, chat: BaseChatModel, able: _Able, prompt: Prompt) -> Generator[Piece, None, None]:
        """Send a prompt; the provider's chunks become pieces, and its errors ours. Closing it closes the connection."""
        from rsrag.answering import render

        rendered = render(
            prompt,
            Capabilities(able.images, bool(prompt.tools), able.context),
            self._picture,
            style=able.style,
            image_side=self.image_side,
            evidence_side=EVIDENCE_SIDE,
            most_images=able.most_images,
            reserve=self.max_tokens or RESERVE,
        )
        native = bool(prompt.tools) and able.style == "native"
        usage = able.usage and isinstance(self.model, str) and self.model.startswith("openai:")
        images = any(isinstance(message["content"], list) for message in rendered.messages)
        spoke = False
        chunks: Iterator[Any] = iter(())
        try:
            client: Any = chat.bind_tools([function(tool) for tool in prompt.tools]) if native else chat
            chunks = client.stream(rendered.messages, **({"stream_usage": True} if usage else {}))
            kept: Any = None  # the chunks that say more than text: summing all of them takes longer than receiving them
            for chunk in chunks:
                if text := text_of(chunk.content):
                    if not spoke:
                        yield from (Notice(warning) for warning in rendered.warnings)
                    spoke = True
                    yield Text(text)
                if getattr(chunk, "tool_call_chunks", None) or chunk.usage_metadata or ending(chunk):
                    kept = chunk if kept is None else kept + chunk
        except ModelError:
            raise
        except Exception as error:
            what = refused(error, images=images, tools=native, usage=usage)
            if what and not spoke:
                raise _Refusal(what, images_at_most(error)) from error
            raise failed(
                error,
                self.label,
                where=self.base_url or "its default address",
                timeout=self.timeout,
                spoke=spoke,
                images=able.images,
            ) from error
        finally:
            if close := getattr(chunks, "close", None):
                close()
        if not spoke:
            yield from (Notice(warning) for warning in rendered.warnings)
        if kept is not None:
            yield from rest(kept)
        if spoke and usage and not (kept is not None and ending(kept)):
            yield Notice("the answer may be cut: the server ended it without saying that it was complete")

    def _picture(self, image: Scene | str, side: int) -> str:
        from .pictures import data_url

        return data_url(image, side)

    # -- the client ---------------------------------------------------------------------------------

    @property
    def _is_ollama(self) -> bool:
        return isinstance(self.model, str) and self.model.startswith("ollama:")

    def _key(self) -> str:
        return os.environ.get(self.api_key_env, "") if self.api_key_env else ""

    def _options(self, context: int) -> dict[str, Any]:
        """What the provider's client is made with."""
        options: dict[str, Any] = {"temperature": self.temperature}
        if self._is_ollama:  # its client takes these another way
            options["client_kwargs"] = {"timeout": self.timeout}
            if context:
                options["num_ctx"] = context
            if self.max_tokens:
                options["num_predict"] = self.max_tokens
        else:
            options |= {"timeout": self.timeout, "max_retries": self.retries}
            if self.max_tokens:
                options["max_tokens"] = self.max_tokens
        if self.base_url:
            options["base_url"] = self.base_url
            if not self._is_ollama:
                options["api_key"] = self._key() or "not-needed"
        return options

    def _make(self, context: int) -> BaseChatModel:
        if not isinstance(self.model, str):
            return self.model
        from langchain.chat_models import init_chat_model

        try:
            made: BaseChatModel = init_chat_model(self.model, **self._options(context))
        except ImportError as error:
            provider = self.model.partition(":")[0]
            extra = f"pip install 'rsrag[{provider}]'" if provider in ("openai", "ollama") else str(error)
            raise ModelError(f"model {self.label} needs a package that is not installed.", extra) from error
        except Exception as error:
            line = (str(error).strip() or type(error).__name__).splitlines()[0]
            hint = "Give it as provider:name, for example ollama:qwen3-vl."
            if "credentials" in line.lower() or "api_key" in line.lower():
                hint = "Set the key in the environment, or `base_url` for a server of your own."
            raise ModelError(f"model {self.label} cannot be made: {line}", hint) from error
        return made
