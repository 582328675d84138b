"""`langchain`: any LangChain chat model, by "provider:name" or as an instance."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from rsrag import Capabilities, ModelError, Prompt, Scene, Text, ToolCall, Usage

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

EVIDENCE_SIDE = 512  # pixels: a picture of evidence supports, the scene is what is asked about


class LangChainModel:
    """A chat model through LangChain.

    `model` is "provider:name" as `init_chat_model` takes it ("ollama:qwen3-vl", "openai:my-model" together with
    the `base_url` of a local server), or a BaseChatModel. `timeout` in seconds and `retries` go to the provider's
    client. A `base_url` is sent no key but the one in the environment variable `api_key_env`. `images=False` for
    a model that takes none; `image_side` is the longer side in pixels that scenes are sent with; `context` is the
    model's size in tokens, 0 when unknown, and makes long evidence fit.
    """

    name: ClassVar[str] = "langchain"

    def __init__(
        self,
        model: str | BaseChatModel,
        base_url: str = "",
        timeout: float = 60,
        retries: int = 2,
        images: bool = True,
        image_side: int = 1024,
        context: int = 0,
        temperature: float = 0.0,
        api_key_env: str = "",
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
        self._chat: BaseChatModel | None = None

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(images=self.images, tools=False, context=self.context)

    @property
    def label(self) -> str:
        """What the model is called in messages."""
        return self.model if isinstance(self.model, str) else type(self.model).__name__

    def generate(self, prompt: Prompt) -> Iterator[Text | ToolCall | Usage]:
        """Text as it arrives, then tool calls and what it cost.

        Raises `ModelError` when the model cannot be reached or made, fails on the way, or returns neither text
        nor a tool call.
        """
        from rsrag.answering import messages

        sent = messages(prompt, self.capabilities, self._picture)
        total: Any = None
        spoke = False
        stream = self._stream(sent)
        try:
            for chunk in stream:
                total = chunk if total is None else total + chunk
                if text := text_of(chunk.content):
                    spoke = spoke or not text.isspace()
                    yield Text(text)
        finally:
            stream.close()
        calls = list(getattr(total, "tool_calls", None) or ())
        if not spoke and not calls:
            raise ModelError(
                f"model {self.label} returned no text.",
                "Ask again, or try another model; some local models return nothing for prompts they cannot fit.",
            )
        for call in calls:
            yield ToolCall(call["name"], call["args"], call.get("id") or "")
        if usage := getattr(total, "usage_metadata", None):
            yield Usage(int(usage.get("input_tokens", 0)), int(usage.get("output_tokens", 0)))

    def _picture(self, image: Scene | str) -> str:
        from .pictures import data_url

        return data_url(image, self.image_side if isinstance(image, Scene) else EVIDENCE_SIDE)

    def _stream(self, sent: list[dict[str, Any]]) -> Generator[Any, None, None]:
        """The provider's chunks; its errors become ours. Closing this closes the connection."""
        chat = self._load()
        try:
            yield from chat.stream(sent)
        except ModelError:
            raise
        except Exception as error:
            line = (str(error).strip() or "no message").splitlines()[0][:300]
            raise ModelError(
                f"model {self.label} failed: {type(error).__name__}: {line}.".replace("..", "."), self._hint(error)
            ) from error

    def _load(self) -> BaseChatModel:
        if self._chat is not None:
            return self._chat
        if not isinstance(self.model, str):
            self._chat = self.model
            return self._chat
        from langchain.chat_models import init_chat_model

        options: dict[str, Any] = {"timeout": self.timeout, "max_retries": self.retries}
        if self.model.startswith("ollama:"):  # its client takes these another way
            options = {"client_kwargs": {"timeout": self.timeout}}
        if self.base_url:
            options["base_url"] = self.base_url
            if not self.model.startswith("ollama:"):
                options["api_key"] = os.environ.get(self.api_key_env, "") if self.api_key_env else ""
                options["api_key"] = options["api_key"] or "not-needed"
        try:
            self._chat = init_chat_model(self.model, temperature=self.temperature, **options)
        except ImportError as error:
            raise ModelError(f"model {self.label} needs a package that is not installed.", str(error)) from error
        except Exception as error:
            line = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ModelError(
                f"model {self.label} cannot be made: {line}", "Give it as provider:name, for example ollama:qwen3-vl."
            ) from error
        return self._chat

    def _hint(self, error: Exception) -> str:
        """What to do next, from what providers' errors have in common: their class names and words."""
        kind = f"{type(error).__name__} {type(error).__mro__[1].__name__}".lower()
        words = str(error).lower()
        where = self.base_url or "its default address"
        if "timeout" in kind or "timed out" in words:
            return f"It took longer than {self.timeout:g} s: raise `timeout`, or use a smaller model."
        if "connect" in kind or "connection" in words:
            return f"Is the server running at {where}? Check `base_url`."
        if "auth" in kind or "401" in words or "api key" in words or "api_key" in words:
            return "Check the API key; with `base_url`, name its variable in `api_key_env`."
        if "ratelimit" in kind or "429" in words:
            return "The provider limits requests: wait a little, or raise `retries`."
        if "notfound" in kind or "404" in words:
            return "Check the model's name; the server does not know it."
        if self.images and "image" in words:
            return "If the model takes no images, set images=false."
        if "context" in words or "too long" in words:
            return "Set `context` to the model's size in tokens, so that the evidence is made to fit."
        return "Run again with --debug for the whole error."


def text_of(content: Any) -> str:
    """The text of a message's content, which is a string or a list of strings and typed blocks; what a model
    thinks to itself is left out."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    out = []
    for block in content:
        if isinstance(block, str):
            out.append(block)
        elif isinstance(block, dict) and block.get("type") in ("text", "output_text", "text_delta"):
            out.append(str(block.get("text") or ""))
    return "".join(out)
