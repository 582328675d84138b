"""Configuration: defaults, user file, project file, environment, call; every value knows where it came from."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from .errors import ConfigError

DEFAULTS: Final[Mapping[str, Any]] = {
    "kb": "default",
    "data_dir": "",
    "store": "",
    "store_token_env": "",
    "encoder": "",
    "text_encoder": "",
    "model": "extractive",
    "fusion": "rrf",
    "alpha": 0.7,
    "k": 8,
    "reranker": "",
    "captioner": "starter",
    "run_tools": True,
    "tool_calls": 8,
    "tool_seconds": 120.0,
    "wait": 30.0,
    "remote_scenes": False,
}
TABLES: Final = (
    "encoders",
    "models",
    "sources",
    "captioners",
    "retrievers",
    "rerankers",
    "tools",
    "benchmarks",
    "plugins",
)
PLUGIN_SETTINGS: Final[Mapping[str, str]] = {
    "disabled": "plugins that are never imported, by name",
    "paths": "plugins that are not installed: .py files, or folders of such files and packages",
    "timeout": "seconds that a lane, a tool or an import of a plugin may take (default: 60)",
}
HELP: Final[Mapping[str, str]] = {
    "kb": "knowledge base: a name, or a folder",
    "store": "Chroma server for the vectors of new knowledge bases: http://host:8000 (default: their folder)",
    "store_token_env": "environment variable that holds the token for that server",
    "data_dir": "where named knowledge bases are kept (default: the system's place for user data)",
    "encoder": "image-text encoder of new knowledge bases (default: starter)",
    "text_encoder": "encoder for texts (default: the encoder's own where it was trained for that)",
    "model": "who writes answers: extractive, PROVIDER:NAME (ollama:, openai: ...) or transformers:FOLDER",
    "fusion": "rrf, or weighted (RS-RAG's formula)",
    "alpha": "weight of the image in fusion weighted, 0..1",
    "k": "passages that become evidence",
    "reranker": "reranker by name; empty for none",
    "captioner": "who describes an image for `rsrag caption`; empty for none",
    "run_tools": "whether geo tools run, by themselves or called by the model",
    "tool_calls": "how many tools a model may call for one answer",
    "tool_seconds": "for how many seconds a model may go on calling tools",
    "wait": "seconds a second writer waits for the first",
    "remote_scenes": "whether images on servers may be read: http(s):// and s3://",
}
# What a project file may set without `rsrag config trust`: nothing here runs code or reaches a network.
HARMLESS: Final = frozenset({"fusion", "alpha", "k", "run_tools", "tool_calls", "tool_seconds", "wait", "reranker"})
PROJECT_FILE: Final = "rsrag.toml"
ENVIRONMENT_ELSEWHERE: Final = frozenset(
    {"RSRAG_STARTER", "RSRAG_DATA", "RSRAG_STRICT_PLUGINS", "RSRAG_CONFIG", "RSRAG_DEBUG"}
)


@dataclass(frozen=True, slots=True)
class Config:
    """Settled values. `config["k"]`; `config.table("encoders", "starter")`; `config.origin("k")`."""

    values: Mapping[str, Any]
    origins: Mapping[str, str]
    warnings: tuple[str, ...] = field(default=())

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    def origin(self, key: str) -> str:
        return self.origins.get(key, "default")

    def table(self, kind: str, name: str = "") -> dict[str, Any]:
        """The options under [kind.name], or all of [kind]."""
        whole = self.values.get(kind, {})
        return dict(whole.get(name, {}) if name else whole)

    @property
    def data_dir(self) -> Path:
        """Where named knowledge bases are kept."""
        if self["data_dir"]:
            return Path(self["data_dir"]).expanduser()
        import platformdirs

        return Path(platformdirs.user_data_dir("rsrag"))

    @property
    def kb_folder(self) -> Path:
        """The folder of the named knowledge bases; with `store`, of the catalogs whose vectors are on that server."""
        if not self["store"]:
            return self.data_dir / "kb"
        return self.data_dir / "servers" / _as_name(self["store"])

    def kb_path(self, name: str = "") -> Path:
        """The folder of a knowledge base given by name or by path."""
        name = name or self["kb"]
        if os.sep in name or name.startswith((".", "~")) or (Path(name) / "catalog.sqlite").exists():
            return Path(name).expanduser()
        return self.kb_folder / name


def _as_name(url: str) -> str:
    """An address as the name of a folder; different ones give different names."""
    plain = re.sub(r"[^a-z0-9.]+", "-", url.lower().partition("://")[2]).strip("-")
    return f"{plain}-{hashlib.blake2b(url.rstrip('/').lower().encode(), digest_size=3).hexdigest()}"


def user_file() -> Path:
    """The user's configuration file; $RSRAG_CONFIG names another."""
    if named := os.environ.get("RSRAG_CONFIG"):
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_config_dir("rsrag")) / "config.toml"


def project_file(start: Path | None = None) -> Path | None:
    """The nearest rsrag.toml from a folder upwards."""
    start = (start or Path.cwd()).absolute()
    return next((f for d in (start, *start.parents) if (f := d / PROJECT_FILE).is_file()), None)


def load(overrides: Mapping[str, Any] | None = None, *, start: Path | None = None) -> Config:
    """Read all layers. Raises `ConfigError` naming the file or variable for what is unknown or of a wrong type."""
    values: dict[str, Any] = dict(DEFAULTS)
    origins: dict[str, str] = {}
    warnings: list[str] = []
    personal = user_file()
    if personal.is_file():
        _apply(values, origins, _read(personal), str(personal), personal.parent)
    if project := project_file(start):
        data = _read(project)
        unsafe = sorted(set(data) - HARMLESS)
        if unsafe and not is_trusted(project):
            warnings.append(f"{project}: ignored {', '.join(unsafe)}; `rsrag config trust` allows it.")
            data = {key: value for key, value in data.items() if key in HARMLESS}
        _apply(values, origins, data, str(project), project.parent)
    for variable, text in sorted(os.environ.items()):
        if variable.startswith("RSRAG_") and variable not in ENVIRONMENT_ELSEWHERE:
            _apply(values, origins, _from_variable(variable, text), f"${variable}")
    _apply(values, origins, {k: v for k, v in (overrides or {}).items() if v is not None}, "the command line")
    return Config(values, origins, tuple(warnings))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.", "Mend that line, or remove the file.") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}).") from error


def _apply(
    values: dict[str, Any], origins: dict[str, str], data: Mapping[str, Any], where: str, folder: Path = Path()
) -> None:
    for key, value in data.items():
        if key in TABLES:
            if not isinstance(value, Mapping):
                raise ConfigError(f"{where}: [{key}] must be a table.")
            if key == "plugins":  # that one holds settings, the others a table for each component
                value = _plugin_settings(value, where, folder, values.get(key, {}))
            else:
                for name, options in value.items():
                    if not isinstance(options, Mapping):
                        raise ConfigError(f"{where}: [{key}.{name}] must be a table.")
            values[key] = _merged(values.get(key, {}), value)
        elif key not in DEFAULTS:
            near = difflib.get_close_matches(key, [*DEFAULTS, *TABLES], n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join([*DEFAULTS, *TABLES])}."
            raise ConfigError(f"{where}: there is no setting '{key}'.", hint)
        else:
            values[key] = _typed(key, value, where)
        origins[key] = where


def _plugin_settings(table: Mapping[str, Any], where: str, folder: Path, before: Mapping[str, Any]) -> dict[str, Any]:
    """[plugins], checked. Paths are relative to the file that names them, and add up from layer to layer."""
    settings: dict[str, Any] = {}
    for key, value in table.items():
        if key in ("disabled", "paths"):
            separator = "," if key == "disabled" else os.pathsep
            items = [item for item in value.split(separator) if item] if isinstance(value, str) else value
            if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
                raise ConfigError(f"{where}: [plugins] {key} must be a list of texts.")
            settings[key] = list(items)
        elif key == "timeout":
            try:
                settings[key] = float(value)
            except (TypeError, ValueError):
                settings[key] = 0.0
            if isinstance(value, bool) or not 0 < settings[key] < float("inf"):
                raise ConfigError(f"{where}: [plugins] timeout = {value!r} is not a positive number of seconds.")
        else:
            near = difflib.get_close_matches(key, PLUGIN_SETTINGS, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(PLUGIN_SETTINGS)}."
            raise ConfigError(f"{where}: there is no setting [plugins] {key}.", hint)
    if "paths" in settings:
        found = [str((folder / Path(item).expanduser()).absolute()) for item in settings["paths"]]
        settings["paths"] = list(dict.fromkeys([*before.get("paths", ()), *found]))
    return settings


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(old)
    for key, value in new.items():
        both = isinstance(value, Mapping) and isinstance(out.get(key), Mapping)
        out[key] = _merged(out[key], value) if both else value
    return out


def _typed(key: str, value: Any, where: str) -> Any:
    """A value as the type of its default; text (from the environment) is read as that type."""
    default = DEFAULTS[key]
    try:
        if isinstance(default, bool):
            if isinstance(value, str) and value.lower() in ("true", "1", "yes", "on", "false", "0", "no", "off"):
                return value.lower() in ("true", "1", "yes", "on")
            if isinstance(value, bool):
                return value
        elif isinstance(default, int) and not isinstance(value, bool) and int(value) == float(value):
            return int(value)
        elif isinstance(default, float) and not isinstance(value, bool):
            return float(value)
        elif isinstance(default, str) and isinstance(value, str):
            return value
    except (TypeError, ValueError, OverflowError):
        pass
    raise ConfigError(f"{where}: {key} = {value!r} is not a {type(default).__name__}.", HELP[key].capitalize() + ".")


def _from_variable(variable: str, text: str) -> dict[str, Any]:
    """RSRAG_K=5, or RSRAG_ENCODERS__STARTER__PATH=... for a table."""
    parts = variable.removeprefix("RSRAG_").lower().split("__")
    data: Any = text
    for part in reversed(parts):
        data = {part: data}
    result: dict[str, Any] = data
    return result


# -- trust ----------------------------------------------------------------------------------------


def _trust_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_state_dir("rsrag")) / "trusted"


def _fingerprint(path: Path) -> str:
    return hashlib.blake2b(str(path.absolute()).encode() + b"\0" + path.read_bytes(), digest_size=16).hexdigest()


def is_trusted(path: Path) -> bool:
    """Whether this very content at this very place was trusted."""
    return (_trust_folder() / _fingerprint(path)).exists()


def trust(path: Path) -> None:
    """Record that a project file may set anything, until it changes."""
    folder = _trust_folder()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _fingerprint(path)).write_text(str(path.absolute()), encoding="utf-8")


def template() -> str:
    """A commented configuration file with every setting."""
    lines = ["# rsrag: settings. A line that begins with # shows the default.", ""]
    for key, value in DEFAULTS.items():
        shown = str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')
        lines += [f"# {HELP[key]}", f"# {key} = {shown}", ""]
    lines += [
        "# Options of one encoder, model or source:",
        "# [encoders.starter]",
        '# path = "/folder/with/weights"',
        "",
        *(f"# {key}: {meaning}" for key, meaning in PLUGIN_SETTINGS.items()),
        "# [plugins]",
        '# disabled = ["name"]',
        "",
    ]
    return "\n".join(lines)
