"""Settings: which layer wins, where a value came from, what is refused, and what a strange folder may not do."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from rsrag import ConfigError
from rsrag.config import DEFAULTS, HELP, Config, is_trusted, load, project_file, template, trust, user_file


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's file; empty until written to."""
    file = tmp_path / "user.toml"
    file.write_text("")
    monkeypatch.setenv("RSRAG_CONFIG", str(file))
    return file


@pytest.fixture
def project(tmp_path: Path, user: Path) -> Path:
    """A project's file, seen by `load(start=project.parent)`."""
    folder = tmp_path / "work" / "project"
    folder.mkdir(parents=True)
    file = folder / "rsrag.toml"
    file.write_text("")
    return file


def test_each_layer_overrides_the_one_before_and_is_named(
    user: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(overrides: dict[str, Any] | None = None) -> tuple[Any, str]:
        config = load(overrides, start=project.parent)
        return config["k"], config.origin("k")

    assert look() == (8, "default")
    user.write_text("k = 3")
    assert look() == (3, str(user))
    project.write_text("k = 4")
    assert look() == (4, str(project))
    monkeypatch.setenv("RSRAG_K", "5")
    assert look() == (5, "$RSRAG_K")
    assert look({"k": 6}) == (6, "the command line")
    assert look({"k": None}) == (5, "$RSRAG_K")


def test_tables_are_merged_layer_by_layer(user: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user.write_text('[encoders.starter]\npath = "/a"\nthreads = 2\n[plugins]\ndisabled = ["x"]')
    monkeypatch.setenv("RSRAG_ENCODERS__STARTER__PATH", "/b")
    config = load(start=project.parent)
    assert config.table("encoders", "starter") == {"path": "/b", "threads": 2}
    assert config.table("encoders", "other") == {} and config.table("models") == {}
    assert config.table("plugins") == {"disabled": ["x"]}
    config.table("encoders")["starter"] = {}
    assert config.table("encoders", "starter")["threads"] == 2


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("RSRAG_K", "12", "k", 12),
        ("RSRAG_ALPHA", "0.25", "alpha", 0.25),
        ("RSRAG_WAIT", "5", "wait", 5.0),
        ("RSRAG_RUN_TOOLS", "off", "run_tools", False),
        ("RSRAG_RUN_TOOLS", "YES", "run_tools", True),
        ("RSRAG_RUN_TOOLS", "0", "run_tools", False),
        ("RSRAG_FUSION", "weighted", "fusion", "weighted"),
        ("RSRAG_MODEL", "langchain:openai:x", "model", "langchain:openai:x"),
        ("RSRAG_KB", "7", "kb", "7"),
    ],
)
def test_variables_are_read_as_the_type_of_the_default(
    user: Path, monkeypatch: pytest.MonkeyPatch, variable: str, text: str, key: str, value: Any
) -> None:
    monkeypatch.setenv(variable, text)
    got = load()[key]
    assert got == value and type(got) is type(value)


def test_variables_that_are_read_elsewhere_are_no_settings(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RSRAG_STARTER", "RSRAG_DATA", "RSRAG_STRICT_PLUGINS", "RSRAG_DEBUG"):
        monkeypatch.setenv(name, "1")
    assert load().values == dict(DEFAULTS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fussion = 'rrf'", "there is no setting 'fussion'. Did you mean 'fusion'?"),
        ("encoder_s = 1", "Did you mean 'encoders'?"),
        ("zzz = 1", "There are: kb, data_dir,"),
        ("k = 'many'", "k = 'many' is not a int. Passages that become evidence."),
        ("k = 2.5", "k = 2.5 is not a int"),
        ("k = inf", "k = inf is not a int"),
        ("k = nan", "is not a int"),
        ("k = true", "k = True is not a int"),
        ("k = [1]", "k = [1] is not a int"),
        ("alpha = 'half'", "alpha = 'half' is not a float"),
        ("run_tools = 'maybe'", "run_tools = 'maybe' is not a bool"),
        ("run_tools = 1", "run_tools = 1 is not a bool"),
        ("model = 5", "model = 5 is not a str"),
        ("encoders = 5", "[encoders] must be a table."),
        ("encoders.starter = 'x'", "[encoders.starter] must be a table."),
        ("k = ", "is not valid TOML"),
        ("k = 1\nk = 2", "is not valid TOML"),
    ],
)
def test_what_a_file_may_not_say(user: Path, text: str, message: str) -> None:
    user.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load()
    assert message in str(caught.value)
    assert caught.value.message.startswith(str(user))


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("RSRAG_KK", "1", "$RSRAG_KK: there is no setting 'kk'. Did you mean 'k'?"),
        ("RSRAG_K", "x", "$RSRAG_K: k = 'x' is not a int"),
        ("RSRAG_MODELS", "x", "$RSRAG_MODELS: [models] must be a table."),
        ("RSRAG_MODELS__LANGCHAIN", "x", "$RSRAG_MODELS__LANGCHAIN: [models.langchain] must be a table."),
    ],
)
def test_what_a_variable_may_not_say(
    user: Path, monkeypatch: pytest.MonkeyPatch, variable: str, text: str, message: str
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(ConfigError) as caught:
        load()
    assert message in str(caught.value)


def test_a_file_that_is_no_text_is_named(user: Path) -> None:
    user.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"user\.toml is not valid TOML"):
        load()


# -- a project's file -----------------------------------------------------------------------------


def test_the_nearest_project_file_upwards_counts(project: Path) -> None:
    deep = project.parent / "a" / "b"
    deep.mkdir(parents=True)
    assert project_file(deep) == project
    (deep / "rsrag.toml").write_text("k = 2")
    assert load(start=deep)["k"] == 2
    assert project_file(project.parent.parent) is None


UNSAFE = 'k = 4\nmodel = "langchain:evil:x"\ndata_dir = "/elsewhere"\n[models.langchain]\nbase_url = "http://evil"\n'


def test_a_project_file_may_not_change_where_things_go_until_it_is_trusted(project: Path) -> None:
    project.write_text(UNSAFE)
    config = load(start=project.parent)
    assert (config["k"], config["model"], config["data_dir"]) == (4, "extractive", "")
    assert config.table("models") == {}
    assert config.warnings == (f"{project}: ignored data_dir, model, models; `rsrag config trust` allows it.",)

    trust(project)
    config = load(start=project.parent)
    assert (config["model"], config["data_dir"], config.warnings) == ("langchain:evil:x", "/elsewhere", ())
    assert config.table("models", "langchain") == {"base_url": "http://evil"}
    assert config.origin("model") == str(project)


def test_trust_ends_when_the_file_changes_or_moves(project: Path, private_home: Path) -> None:
    project.write_text(UNSAFE)
    trust(project)
    assert is_trusted(project)
    assert [f for f in private_home.rglob("trusted/*") if f.read_text() == str(project)]
    project.write_text(UNSAFE + "# changed\n")
    assert not is_trusted(project)
    assert load(start=project.parent)["model"] == "extractive"
    project.write_text(UNSAFE)
    assert is_trusted(project)
    moved = project.parent / "sub" / "rsrag.toml"
    moved.parent.mkdir()
    moved.write_text(UNSAFE)
    assert not is_trusted(moved)


def test_the_users_own_file_may_say_everything(user: Path) -> None:
    user.write_text(UNSAFE)
    config = load()
    assert config["model"] == "langchain:evil:x" and config.warnings == ()


# -- places ---------------------------------------------------------------------------------------


def test_a_knowledge_base_is_a_name_or_a_folder(
    user: Path, private_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    (here / "local").mkdir(parents=True)
    (here / "local" / "catalog.sqlite").write_text("")
    (here / "other").mkdir()
    monkeypatch.chdir(here)
    config = load({"data_dir": str(tmp_path / "data")})
    named = tmp_path / "data" / "kb"
    assert config.kb_path() == named / "default"
    assert config.kb_path("mine") == named / "mine"
    assert config.kb_path("other") == named / "other"  # a folder that is no knowledge base is not meant
    assert config.kb_path("local") == Path("local")
    assert config.kb_path("./new") == Path("./new")
    assert config.kb_path(str(tmp_path / "x")) == tmp_path / "x"
    assert config.kb_path("~/kb") == private_home / "kb"
    assert load({"data_dir": "~/d"}).data_dir == private_home / "d"
    assert load().data_dir.is_relative_to(private_home)


def test_the_users_file_has_its_place_unless_named(user: Path, private_home: Path, monkeypatch: Any) -> None:
    assert user_file() == user
    monkeypatch.delenv("RSRAG_CONFIG")
    assert user_file().is_relative_to(private_home) and user_file().name == "config.toml"


def test_the_template_is_the_defaults_when_uncommented(user: Path) -> None:
    assert set(HELP) == set(DEFAULTS)
    user.write_text(template())
    assert load().values == dict(DEFAULTS)
    settings = [line[2:] for line in template().splitlines() if line.startswith("# ") and " = " in line]
    data = tomllib.loads("\n".join(s for s in settings if s.split(" = ")[0] in DEFAULTS))
    assert data == dict(DEFAULTS)


def test_a_config_made_by_hand_knows_no_origins() -> None:
    assert Config(DEFAULTS, {}).origin("k") == "default"
