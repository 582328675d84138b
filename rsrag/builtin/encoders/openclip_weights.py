"""Which architecture and which weights an open_clip model is made of, where they are, and why they do not fit."""

from __future__ import annotations

import difflib
import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

from rsrag import ModelError, UsageError

from .on_torch import said, slug

HUB: Final = "hf-hub:"
CONFIG: Final = "open_clip_config.json"
WEIGHTS: Final = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin")


@dataclass(frozen=True, slots=True)
class Design:
    """An architecture: `name` as open_clip knows it, `label` as people read it; the rest only where it is local."""

    name: str
    label: str
    config: Mapping[str, Any] | None = None
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""
    folder: Path | None = None

    @property
    def on_hub(self) -> bool:
        return self.name.startswith(HUB)


def read_design(model: str) -> Design:
    """The architecture that a name, a JSON file, a folder or a hub id stands for. Raises `ModelError`."""
    path = Path(model).expanduser()
    folder = path if (path / CONFIG).is_file() else None
    if folder is None and path.suffix != ".json":
        return Design(model if model.startswith(HUB) else model.replace("/", "-"), slug(model.removeprefix(HUB)))
    file = path / CONFIG if folder else path
    try:
        text = file.read_bytes()
        found = json.loads(text)
        config = found.get("model_cfg", found)
        absent = [key for key in ("embed_dim", "vision_cfg", "text_cfg") if key not in config]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ModelError(f"{file} cannot be read as an architecture ({said(error)}).", "Copy it again.") from error
    if absent:
        raise ModelError(f"{file} describes no architecture: it has no '{absent[0]}'.", "See open_clip's own files.")
    digest = hashlib.blake2b(text, digest_size=6).hexdigest()
    label = slug(path.name.removesuffix(".json"))
    # open_clip keeps one table of names per process: a name of its own keeps this one from replacing another.
    return Design(f"{label}-{digest}", label, config, found.get("preprocess_cfg", {}), digest, folder)


def known_config(design: Design) -> Mapping[str, Any]:
    """The description of an architecture; one that is local is made known to open_clip first."""
    open_clip = import_open_clip()
    if design.config is not None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"{design.name}.json"
            file.write_text(json.dumps(design.config), encoding="utf-8")
            open_clip.add_model_config(file)
    try:
        config: Mapping[str, Any] | None = cached_first(lambda: open_clip.get_model_config(design.name))
    except Exception as error:
        raise _unreachable(design.name, error) from error
    if config is None:
        near = difflib.get_close_matches(design.name, open_clip.list_models(), n=1, cutoff=0.5)
        raise UsageError(
            f"open_clip has no architecture '{design.name}'.",
            (f"Did you mean '{near[0]}'? " if near else "")
            + f"A JSON file or a folder with {CONFIG} describes one of your own.",
        )
    return config


def weights_file(path: Path) -> Path:
    """`path` where it is a file. Raises `ModelError`, with what may have been meant, where it is not."""
    if path.is_file():
        return path
    if path.is_dir():
        inside = sorted(f.name for f in path.iterdir() if f.suffix in (".pt", ".safetensors", ".bin"))
        hint = f"Give the file in it: {', '.join(inside[:3])}." if inside else f"There are no weights in it; {CONFIG}?"
        raise ModelError(f"checkpoint {path} is a folder.", hint)
    near = difflib.get_close_matches(path.name, [f.name for f in path.parent.glob("*")], n=1)
    raise ModelError(
        f"there is no checkpoint {path}.", f"Did you mean {near[0]}?" if near else "Download it, or check the path."
    )


def fetch(design: Design, tag: str) -> Path:
    """Weights from where open_clip gets them: its cache, a hub or an address of its own."""
    known_config(design)
    from open_clip import pretrained

    try:
        if design.on_hub:
            return Path(cached_first(lambda: pretrained.download_pretrained_from_hf(design.name.removeprefix(HUB))))
        where = pretrained.get_pretrained_cfg(design.name, tag)
        if where:
            return Path(cached_first(lambda: pretrained.download_pretrained(where)))
    except Exception as error:
        raise _unreachable(f"{design.name} {tag}".strip(), error) from error
    tags = pretrained.list_pretrained_tags_by_model(design.name)
    near = difflib.get_close_matches(tag, tags, n=1)
    if Path(tag).expanduser().exists():
        hint = f'A file of weights is given as checkpoint = "{tag}".'
    else:
        hint = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(tags) or 'none'}."
    raise UsageError(f"open_clip has no weights called '{tag}' for '{design.name}'.", hint)


def _unreachable(what: str, error: Exception) -> ModelError:
    return ModelError(
        f"'{what}' is not on this machine and cannot be fetched ({said(error)}).",
        "It needs a model hub: connect, or download it elsewhere and give its folder as model or a file as checkpoint.",
    )


def misfit(file: Path, model: str, error: Exception) -> ModelError:
    """Why weights could not be loaded: the file, or the architecture."""
    from open_clip.factory import load_state_dict

    try:
        shapes = {key: tuple(value.shape) for key, value in load_state_dict(str(file)).items()}
    except Exception as unreadable:
        if "GLOBAL" in str(unreadable):
            return ModelError(
                f"{file} holds Python objects besides weights; they are not loaded, for they could run any code.",
                "Save the state_dict alone, best as .safetensors.",
            )
        # What torch says of a file that is no pickle is advice to run whatever it holds.
        why = "it is none of torch's" if isinstance(unreadable, UnpicklingError) else said(unreadable)
        return ModelError(f"{file} cannot be read as weights ({why}).", "Download or copy it again.")
    alike = _alike(shapes)
    return ModelError(
        f"{file} holds weights of another architecture than '{model}' ({said(error)}).",
        f'They look like {" or ".join(alike)}: model = "{alike[0]}".' if alike else 'Name theirs: model = "...".',
    )


def _alike(shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Architectures of open_clip's that weights of these shapes may belong to, the plainest name first."""
    open_clip = import_open_clip()
    layers = {key.split(".")[3] for key in shapes if key.startswith("visual.transformer.resblocks.")}
    image, text = shapes.get("visual.conv1.weight", ()), shapes.get("text_projection", ())
    if len(image) != 4 or len(text) != 2:
        return []
    wanted = (image[0], image[-1], len(layers), text[0], text[1])
    found = []
    for name in open_clip.list_models():
        config = open_clip.get_model_config(name)
        vision, words = config["vision_cfg"], config["text_cfg"]
        own = (vision.get("width"), vision.get("patch_size"), vision.get("layers"), words.get("width"))
        if (*own, config["embed_dim"]) == wanted:
            found.append(name)
    return sorted(found, key=len)[:2]


def import_open_clip() -> Any:
    """The module open_clip, with a torchvision that it can be imported with."""
    from rsrag.torchvision_ops import ensure

    ensure()
    import open_clip

    return open_clip


def cached_first(ask: Callable[[], Any]) -> Any:
    """What `ask` gives without a network; with one only where that fails.

    The hub's client asks whether its copy is the latest before it uses it: that would send word of every start to the
    hub, and cost half a minute where there is no network.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        return ask()
    except Exception:
        if before:
            raise
    finally:
        constants.HF_HUB_OFFLINE = before
    return ask()
