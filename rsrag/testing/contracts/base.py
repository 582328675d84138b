"""What all components have in common: a name, options that are keywords, the methods of their kind, a light module."""

from __future__ import annotations

import functools
import inspect
import re
from typing import Any, ClassVar

import pytest

from ..lightness import assert_light_import


class ComponentContract:
    """Inherit from the class of your kind; override `component`, and set `module`."""

    module: ClassVar[str] = ""
    """Dotted name of the plugin's module, the one that its entry point names, for the check of its import."""

    protocol: ClassVar[Any] = None

    @pytest.fixture
    def component(self) -> Any:
        """The instance that is tested."""
        raise NotImplementedError("override the fixture `component(self)`: it returns the instance to test.")

    @pytest.fixture
    def twin(self, component: Any) -> Any:
        """Another instance with the same options, made from the attributes that store them (`path` or `_path`)."""
        options = {}
        for parameter in _parameters(type(component)):
            held = [n for n in (parameter.name, f"_{parameter.name}") if hasattr(component, n)]
            if held:
                options[parameter.name] = getattr(component, held[0])
            elif parameter.default is parameter.empty:
                pytest.skip(f"option '{parameter.name}' is stored nowhere: override the fixture `twin(self)`")
        return type(component)(**options)

    def test_it_has_a_name(self, component: Any) -> None:
        name = getattr(type(component), "name", None)
        assert isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name), (
            f"the class's `name` is {name!r}; give the class a `name` of letters, digits, - and _ (no colon: what "
            "follows a colon is passed to the constructor)."
        )

    def test_it_has_the_methods_of_its_kind(self, component: Any) -> None:
        if self.protocol is None:
            return
        wanted = [n for n in _members(self.protocol) if not hasattr(component, n)]
        assert not wanted, f"{type(component).__name__} lacks {', '.join(wanted)}; see rsrag.interfaces."

    def test_its_options_are_named(self, component: Any) -> None:
        loose = [str(p) for p in _parameters(type(component)) if p.kind in (p.VAR_POSITIONAL, p.POSITIONAL_ONLY)]
        assert not loose, (
            f"the constructor takes {', '.join(loose)}; every option needs a name, for it is a key of the "
            "configuration table."
        )

    def test_its_module_is_light(self) -> None:
        if not self.module:
            pytest.skip('set `module = "your_plugin"` on the class to check what importing it costs')
        _light(self.module)


_light = functools.cache(assert_light_import)  # once for all components of a module


def _parameters(cls: type[Any]) -> list[inspect.Parameter]:
    if cls.__init__ is object.__init__:
        return []
    return list(inspect.signature(cls).parameters.values())


def _members(protocol: Any) -> list[str]:
    """The attributes that a Protocol of `rsrag.interfaces` asks for."""
    own = {n for c in protocol.__mro__ if getattr(c, "_is_protocol", False) for n in [*vars(c), *c.__annotations__]}
    return sorted(n for n in own if not n.startswith("_") or n == "__call__")
