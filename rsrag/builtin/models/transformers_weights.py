"""Loads a chat model of transformers: its processor and weights, on which device, in which precision, with an adapter.

Weights are safetensors only and code from a repository is never run. Nothing is downloaded unless that was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsrag import ModelError

from .transformers_chat import control_tokens

DTYPES = ("auto", "float32", "bfloat16", "float16")
ADAPTER = "adapter_model.safetensors"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that is ready: `processor` is a tokenizer for a model without images. `context` in tokens, 0: unknown.

    `native_tools`: its chat template takes tools, and its calls are of the form that we can read. `controls` finds what
    text must not hold.
    """

    model: Any
    processor: Any
    tokenizer: Any
    images: bool
    native_tools: bool
    context: int
    controls: re.Pattern[str] | None


def load(name: str, device: str, dtype: str, adapter: str, download: bool) -> Loaded:
    """Load from a folder, the local cache, or (`download`) the hub. Raises `ModelError` saying what is missing."""
    where = str(Path(name).expanduser()) if Path(name).expanduser().is_dir() else name
    if adapter and not (Path(adapter).expanduser() / ADAPTER).is_file():
        raise ModelError(f"adapter {adapter} has no {ADAPTER}.", "Give the folder of a LoRA adapter in safetensors.")
    try:
        from rsrag.torchvision_ops import ensure

        ensure()
    except ImportError:
        pass  # transformers does without torchvision where it can
    import torch
    import transformers

    chosen = pick_device(device)
    options: dict[str, Any] = {"local_files_only": not download, "trust_remote_code": False}
    try:
        with _quiet(transformers):
            config = transformers.AutoConfig.from_pretrained(where, **options)
            images = type(config) in transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
            kind = transformers.AutoModelForImageTextToText if images else transformers.AutoModelForCausalLM
            read = transformers.AutoProcessor if images else transformers.AutoTokenizer
            processor = read.from_pretrained(where, **options)
            precision = getattr(torch, dtype) if dtype != "auto" else _precision(torch, chosen)
            model: Any = kind.from_pretrained(where, dtype=precision, use_safetensors=True, **options)
            if adapter:
                model = _adapted(model, str(Path(adapter).expanduser()))
            model = model.to(chosen).eval()
    except ModelError:
        raise
    except Exception as error:
        raise _unloadable(name, error, download) from error
    tokenizer = getattr(processor, "tokenizer", processor)
    template = getattr(processor, "chat_template", None) or getattr(tokenizer, "chat_template", None)
    if not template:
        raise ModelError(
            f"model transformers:{name} has no chat template.",
            "It is no chat model; take its -Instruct or -it variant.",
        )
    text = config.get_text_config()
    context = getattr(text, "max_position_embeddings", 0) or 0
    controls = control_tokens(tokenizer)
    return Loaded(model, processor, tokenizer, images, _reads_tools(template), int(context), controls)


def pick_device(wanted: str) -> str:
    """ "auto" is the first of cuda, mps and cpu that is there. Raises `ModelError` where the wanted one is not."""
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(device for device, found in there.items() if found)
    kind, _, number = wanted.partition(":")
    if not there.get(kind) or (number and int(number) >= torch.cuda.device_count()):
        raise ModelError(f"torch sees no device '{wanted}' here.", 'Use device = "auto", or a torch built for it.')
    return wanted


def _precision(torch: Any, device: str) -> Any:
    """bfloat16 on a GPU; on a CPU it is ten times slower than float32."""
    return torch.bfloat16 if device.startswith("cuda") else torch.float32


def _adapted(model: Any, adapter: str) -> Any:
    try:
        import peft
    except ImportError as error:
        raise ModelError("a LoRA adapter needs the package peft.", "pip install 'rsrag[lora]'") from error
    try:
        return peft.PeftModel.from_pretrained(model, adapter)
    except Exception as error:
        raise ModelError(
            f"adapter {adapter} does not fit the model: {_line(error)}.", "Was it trained on these very weights?"
        ) from error


def _reads_tools(template: Any) -> bool:
    """Whether the template takes tools and asks for calls as JSON in <tool_call> tags."""
    text = template if isinstance(template, str) else ""
    return bool(re.search(r"\{[%{][^}]*\btools\b", text)) and "<tool_call>" in text and "<function=" not in text


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """No progress bars: they would stand in the middle of an answer."""
    logging = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _unloadable(name: str, error: Exception, download: bool) -> ModelError:
    said = str(error)
    model = f"model transformers:{name}"
    if "trust_remote_code" in said:
        return ModelError(f"{model} needs code of its own repository, which is never run.", "Take another model.")
    if "safetensors" in said:
        return ModelError(
            f"{model} has no weights as safetensors.", "Pickled weights can run code and are not read; convert them."
        )
    if isinstance(error, OSError) and not Path(name).expanduser().is_dir():
        hint = "Check the name and the connection." if download else "Give its folder, or set download = true."
        return ModelError(f"{model} is not on this machine." if not download else f"{model} cannot be fetched.", hint)
    return ModelError(f"{model} cannot be loaded: {_line(error)}.", "Run again with --debug for the whole error.")


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200].rstrip(".")
