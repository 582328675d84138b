"""What a chat model can take, from those who know: its server, or LangChain's profile of it."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

PATIENCE = 2.0  # seconds: a server that is there answers this at once, and the question itself says what is wrong
OLLAMA_CONTEXT = 8192
"""What Ollama is asked to hold when the user did not say: its own default cuts prompts in silence."""
_LARGEST = 1_000_000  # bytes of a description


@dataclass(frozen=True, slots=True)
class Traits:
    """What is known of a model; None and 0 where it is not."""

    images: bool | None = None
    tools: bool | None = None
    context: int = 0

    def over(self, other: Traits) -> Traits:
        """This, and `other` where this knows nothing."""
        return Traits(
            other.images if self.images is None else self.images,
            other.tools if self.tools is None else self.tools,
            self.context or other.context,
        )


def of_profile(chat: BaseChatModel) -> Traits:
    """What LangChain knows of a hosted model by its name; nothing for a name it does not know."""
    profile: Any = getattr(chat, "profile", None)
    if not isinstance(profile, dict):
        return Traits()
    return Traits(profile.get("image_inputs"), profile.get("tool_calling"), int(profile.get("max_input_tokens") or 0))


def can_bind_tools(chat: BaseChatModel) -> bool:
    """Whether LangChain's class for the provider knows tool calls at all."""
    from langchain_core.language_models import BaseChatModel

    return type(chat).bind_tools is not BaseChatModel.bind_tools


def of_ollama(name: str, base_url: str) -> Traits:
    """What Ollama says of a model it has; nothing when it cannot be asked."""
    try:
        import ollama

        shown = ollama.Client(host=base_url or None, timeout=PATIENCE).show(name)
    except Exception:  # the question itself will say what is wrong
        return Traits()
    skills = shown.capabilities or []
    sizes = [int(v) for k, v in (shown.modelinfo or {}).items() if k.endswith(".context_length")]
    told = re.search(r"^num_ctx\s+(\d+)", shown.parameters or "", re.MULTILINE)
    context = int(told.group(1)) if told else min([OLLAMA_CONTEXT, *sizes])
    return Traits("vision" in skills if skills else None, "tools" in skills if skills else None, context)


def of_openai_server(name: str, base_url: str, key: str) -> Traits:
    """What a server that speaks OpenAI's protocol says of a model: vLLM and LM Studio beside its name, llama.cpp in
    `/props`. Nothing when it says nothing, or when it cannot be asked."""
    listed = _get(f"{base_url.rstrip('/')}/models", key)
    data = listed.get("data") if isinstance(listed, dict) else None
    entries = [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []
    # A server of one model takes any name for it.
    named = [item for item in entries if item.get("id") == name] or (entries if len(entries) == 1 else [])
    entry = named[0] if named else {}
    traits = _of_entry(entry)
    if entry.get("owned_by") == "llamacpp":
        parts = urlsplit(base_url)
        traits = _of_props(_get(urlunsplit((parts.scheme, parts.netloc, "/props", "", "")), key)).over(traits)
    return traits


def _of_entry(entry: dict[str, Any]) -> Traits:
    size = next((entry[k] for k in ("max_model_len", "max_context_length", "context_length") if k in entry), 0)
    kind, skills = entry.get("type"), entry.get("capabilities")
    return Traits(
        {"vlm": True, "llm": False}.get(str(kind)),
        "tool_use" in skills if isinstance(skills, list) and kind else None,
        size if isinstance(size, int) and size > 0 else 0,
    )


def _of_props(props: Any) -> Traits:
    if not isinstance(props, dict):
        return Traits()
    settings, senses = props.get("default_generation_settings"), props.get("modalities")
    size = settings.get("n_ctx") if isinstance(settings, dict) else 0
    vision = senses.get("vision") if isinstance(senses, dict) else None
    return Traits(vision if isinstance(vision, bool) else None, None, size if isinstance(size, int) and size > 0 else 0)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The key is for the server that was named, and for no other."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _get(url: str, key: str) -> Any:
    """The JSON at an address, None when there is none."""
    if urlsplit(url).scheme not in ("http", "https"):
        return None
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=PATIENCE) as answer:
            return json.loads(answer.read(_LARGEST))
    except (OSError, ValueError):
        return None
