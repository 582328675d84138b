"""Fixtures that many tests share: a private home, a fake encoder offered by a plugin, a small knowledge base."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from rsrag import KnowledgeBase, Plugins, hookimpl
from rsrag.testing.encoders import FakeEncoder

# A suite started in the background ignores SIGINT, and so would every program that it starts in order to interrupt it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The machine is shared: how long one example takes says nothing. The same examples everywhere, so that a red run is red
# for everybody; HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", deadline=None, max_examples=500, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


class FakePlugin:
    """Offers FakeEncoder under the name "fake"."""

    @hookimpl
    def rsrag_encoders(self) -> list[type]:
        return [FakeEncoder]


@pytest.fixture(autouse=True)
def private_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the user's own settings, stores or weights."""
    home = tmp_path_factory.mktemp("home")
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(home if name == "HOME" else home / name.lower()))
    for name in ("RSRAG_CONFIG", "RSRAG_STARTER", "RSRAG_DATA", "RSRAG_KB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    return home


@pytest.fixture
def plugins() -> Plugins:
    return Plugins(external=False, extra=[FakePlugin()])


@pytest.fixture
def kb(tmp_path: Path, plugins: Plugins) -> Iterator[KnowledgeBase]:
    """An empty knowledge base with the fake encoder."""
    with KnowledgeBase(tmp_path / "kb", "fake", plugins=plugins) as store:
        yield store
