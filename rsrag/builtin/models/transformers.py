"""`transformers`: a vision-language model on this machine, by folder or hub id."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Any, ClassVar

from rsrag import Capabilities, ModelError, Notice, Prompt, Scene, Text, Usage, UsageError

from .options import EVIDENCE_SIDE, RESERVE, TOOLS, Tools, function
from .replying import Event, Piece, ToolStyle, reply
from .transformers_chat import conversation, folded
from .transformers_stream import stream
from .transformers_weights import DTYPES, Loaded, load


class TransformersModel:
    """A chat model of transformers: `AutoModelForImageTextToText` with its own chat template, or a model of text only.

    `model` is a folder, or the id of one on the Hugging Face hub, which is fetched only with `download=True`. `device`
    is "auto", "cpu", "cuda" (or "cuda:1"), "mps"; `dtype` "auto" (bfloat16 on a GPU, else float32), "float32",
    "bfloat16" or "float16"; `adapter` the folder of a LoRA adapter. `max_new_tokens` bounds the answer, `image_side`
    is the longer side in pixels that scenes are given with, `context` the model's size in tokens where its
    configuration does not say or says too much. `tools`: "auto" calls as the chat template has it where we can read
    that, else by prompt; "prompt" and "none" force it.
    """

    name: ClassVar[str] = "transformers"

    def __init__(
        self,
        model: str,
        device: str = "auto",
        dtype: str = "auto",
        adapter: str = "",
        max_new_tokens: int = RESERVE,
        image_side: int = 1024,
        context: int = 0,
        temperature: float = 0.0,
        tools: Tools = "auto",
        download: bool = False,
    ) -> None:
        if dtype not in DTYPES:
            raise UsageError(f"model 'transformers' has no dtype '{dtype}'.", f"There are: {', '.join(DTYPES)}.")
        if tools not in TOOLS:
            raise UsageError(f"model 'transformers' has no tools = '{tools}'.", f"There are: {', '.join(TOOLS)}.")
        self.model = model
        self.device = device
        self.dtype = dtype
        self.adapter = adapter
        self.max_new_tokens = max_new_tokens
        self.image_side = image_side
        self.context = context
        self.temperature = temperature
        self.tools = tools
        self.download = download
        self._loaded: Loaded | None = None
        self._loading = threading.Lock()
        self._generating = threading.Lock()

    @property
    def capabilities(self) -> Capabilities:
        """What the user said, and once it is loaded what the model is."""
        loaded = self._loaded
        images = loaded.images if loaded else True
        return Capabilities(images, self.tools != "none", self.context or (loaded.context if loaded else 0))

    @property
    def label(self) -> str:
        """What the model is called in messages."""
        return f"transformers:{self.model}"

    def generate(self, prompt: Prompt) -> Iterator[Event]:
        """Text as it is made, then tool calls and what it cost. Raises `ModelError` when the model cannot be loaded,
        fails on the way, is given more than it can hold, or returns neither text nor a tool call."""
        if self.tools == "none":
            prompt = replace(prompt, tools=())
        loaded = self._load()
        if self.tools == "native" and not loaded.native_tools:
            raise ModelError(
                f"model {self.label} has a chat template without tools, or with calls of a form that is not read here.",
                'Set tools = "prompt" or "auto".',
            )
        style: ToolStyle = "native" if loaded.native_tools and self.tools != "prompt" else "prompt"
        # Also with a template of its own for tools the calls come as text.
        yield from reply(prompt, lambda asked: self._ask(loaded, asked, style), self.label, reads_calls=True)

    def _load(self) -> Loaded:
        with self._loading:
            if self._loaded is None:
                self._loaded = load(self.model, self.device, self.dtype, self.adapter, self.download)
            return self._loaded

    def _ask(self, loaded: Loaded, prompt: Prompt, style: ToolStyle) -> Generator[Piece, None, None]:
        inputs, warnings = self._inputs(loaded, prompt, style)
        size = int(inputs["input_ids"].shape[1])
        context = self.capabilities.context
        if context and size + 1 > context:
            raise ModelError(
                f"model {self.label}: the prompt has {size:,} tokens, and the model holds {context:,}.",
                "Ask with fewer images, a smaller image_side or a smaller k.",
            )
        yield from (Notice(warning) for warning in warnings)
        answer = stream(loaded.model, loaded.tokenizer, inputs, self._settings(loaded), self._generating)
        try:
            for piece in answer:
                if isinstance(piece, str):
                    yield Text(piece)
                    continue
                yield Usage(size, piece.tokens)
                if piece.cut:
                    yield Notice(f"the answer was cut: it reached max_new_tokens = {self.max_new_tokens}")
        except Exception as error:
            raise self._failed(error) from error
        finally:
            answer.close()

    def _inputs(self, loaded: Loaded, prompt: Prompt, style: ToolStyle) -> tuple[Any, tuple[str, ...]]:
        """The prompt as tensors on the model's device, and what the user is to be told."""
        from jinja2 import TemplateError

        from rsrag.answering import render

        pictures: dict[str, Any] = {}

        def keep(image: Scene | str, side: int) -> str:
            from .pictures import picture

            found = picture(image, side)
            if found is None:
                return ""
            address = f"picture:{len(pictures)}"
            pictures[address] = found
            return address

        able = Capabilities(loaded.images, bool(prompt.tools), self.capabilities.context)
        rendered = render(
            prompt,
            able,
            keep,
            style=style,
            image_side=self.image_side,
            evidence_side=EVIDENCE_SIDE,
            reserve=self.max_new_tokens,
        )
        chat = conversation(rendered.messages, pictures, loaded.controls, blocks=loaded.images)
        options: dict[str, Any] = {"add_generation_prompt": True, "tokenize": True}
        options |= {"return_dict": True, "return_tensors": "pt"}
        if prompt.tools and style == "native":
            options["tools"] = [function(tool) for tool in prompt.tools]
        try:
            try:
                inputs = loaded.processor.apply_chat_template(chat, **options)
            except TemplateError:
                inputs = loaded.processor.apply_chat_template(folded(chat), **options)
        except Exception as error:
            raise self._failed(error) from error
        if loaded.images:
            return inputs.to(loaded.model.device, dtype=loaded.model.dtype), rendered.warnings
        return inputs.to(loaded.model.device), rendered.warnings

    def _settings(self, loaded: Loaded) -> Any:
        """How to generate: the model's own end tokens, and our length and temperature instead of its own."""
        import copy

        settings = copy.deepcopy(loaded.model.generation_config)
        sampled = self.temperature > 0
        settings.update(
            max_new_tokens=self.max_new_tokens,
            max_length=None,
            do_sample=sampled,
            temperature=self.temperature if sampled else None,
            top_p=settings.top_p if sampled else None,
            top_k=settings.top_k if sampled else None,
        )
        if settings.pad_token_id is None:
            ends = settings.eos_token_id
            settings.pad_token_id = ends[0] if isinstance(ends, list) else ends
        return settings

    def _failed(self, error: Exception) -> ModelError:
        line = (str(error).strip() or "no message").splitlines()[0][:300].rstrip(".")
        hint = "Run again with --debug for the whole error."
        if "out of memory" in line.lower():
            hint = 'Use a smaller model, image_side or max_new_tokens, or device = "cpu".'
        return ModelError(f"model {self.label} failed: {type(error).__name__}: {line}.", hint)
