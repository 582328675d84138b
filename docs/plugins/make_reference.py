"""Writes reference.md beside itself, from the hooks, the Protocols and the test kit.

Run it with `python docs/plugins/make_reference.py`. A test compares the file with what this makes, so that the
reference is the code.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rsrag import hookspecs, interfaces
from rsrag.plugins import HOOKS
from rsrag.testing import contracts, pytest_plugin

HEADER = """# Reference

Generated from `rsrag.hookspecs`, `rsrag.interfaces` and `rsrag.testing` by `python docs/plugins/make_reference.py`: do
not edit. The version of this contract is `rsrag.PLUGIN_API = {version}`.
"""


def reference() -> str:
    """The text of reference.md."""
    kinds = {hook: kind for kind, hook in HOOKS.items()}
    parts = [HEADER.format(version=hookspecs.PLUGIN_API), "## Hooks\n", _after_first_line(hookspecs)]
    for name, hook in _hooks():
        page = f"{kinds[name]}.md" if name in kinds else ""
        parts.append(_hook(name, hook, page))
    parts.append(
        "## Protocols\n\nWhat a component must be able to do, from `rsrag.interfaces`. Nothing is inherited.\n"
    )
    parts += [_protocol(cls) for cls in _protocols()]
    parts.append("## Contracts\n\nThe pytest classes of `rsrag.testing.contracts`, and what each of them tests.\n")
    parts += [_contract(getattr(contracts, name)) for name in _contracts()]
    parts.append("## Fixtures\n\nFound by pytest wherever rsrag is installed.\n")
    parts.append(
        "\n".join(f"- `{name}`: {_first_paragraph(doc)}" for name, doc in _fixtures(inspect.getsource(pytest_plugin)))
        + "\n"
    )
    return "\n".join(parts)


def _hooks() -> list[tuple[str, Any]]:
    return [(name, hook) for name, hook in vars(hookspecs).items() if name.startswith("rsrag_")]


def _hook(name: str, hook: Any, page: str) -> str:
    text, fields = _fields(inspect.getdoc(hook) or "")
    options = hook.rsrag_spec
    order = (
        "The first result that is not None is taken."
        if options["firstresult"]
        else "Every plugin is called, and the lists are joined."
        if page
        else "Every plugin is called; nothing is returned."
    )
    lines = [f"### `{name}`\n", "```python", f"def {name}{_signature(hook)}", "```\n", text, "", order]
    lines += ["", *(f"- {_label(label)}: {body}" for label, body in fields)] if fields else []
    lines += ["", f"More and an example: [{page}]({page})."] if page else []
    return "\n".join(lines) + "\n"


def _signature(hook: Any) -> str:
    return str(inspect.signature(hook)).replace("'", "")


def _fields(doc: str) -> tuple[str, list[tuple[str, str]]]:
    """The text before the first `:field:`, and (field, its text) for each."""
    head, *rest = re.split(r"^:(?=\w)", doc, flags=re.MULTILINE)
    fields = [part.partition(":")[::2] for part in rest]
    return head.strip(), [(label, " ".join(body.split())) for label, body in fields]


def _label(label: str) -> str:
    kind, _, name = label.partition(" ")
    return f"`{name}`" if kind == "param" else {"return": "returns", "raises": f"raises `{name}`"}.get(kind, label)


def _protocols() -> list[type[Any]]:
    found = [
        v
        for v in vars(interfaces).values()
        if getattr(v, "_is_protocol", False) and v.__module__.endswith("interfaces")
    ]
    return sorted(found, key=lambda cls: inspect.getsourcelines(cls)[1])


def _protocol(cls: type[Any]) -> str:
    doc = inspect.getdoc(cls) or ""
    return f"### `{cls.__name__}`\n\n{doc}\n\n```python\n{_body(cls)}\n```\n"


def _body(cls: type[Any]) -> str:
    """The class as it is written, without decorator and docstring."""
    source = textwrap.dedent(inspect.getsource(cls))
    (node,) = ast.parse(source).body
    assert isinstance(node, ast.ClassDef)
    lines = source.splitlines()[node.lineno - 1 :]
    if ast.get_docstring(node):
        doc = node.body[0]
        rest = "\n".join(source.splitlines()[doc.end_lineno :]).lstrip("\n")
        return f"{lines[0]}\n{rest}".rstrip()
    return "\n".join(lines).rstrip()


def _contracts() -> Iterator[str]:
    yield "ComponentContract"
    yield from (name for name in contracts.__all__ if name != "ComponentContract")


def _contract(cls: type[Any]) -> str:
    tests = [name for name in vars(cls) if name.startswith("test_")]
    base = cls.__mro__[1].__name__
    lines = [f"### `{cls.__name__}`\n", inspect.getdoc(cls) or ""]
    if base.endswith("Contract"):
        lines.append(f"\nInherits from `{base}`.")
    fixtures = _fixtures(textwrap.dedent(inspect.getsource(cls)))
    lines += [f"\n- fixture `{name}`: {_first_paragraph(doc)}" for name, doc in fixtures]
    if tests:
        words = "; ".join(name.removeprefix("test_").replace("_", " ") for name in tests)
        lines.append(f"\nTests: {words}.")
    return "\n".join(lines) + "\n"


def _fixtures(source: str) -> list[tuple[str, str]]:
    """(name, docstring) of the documented fixtures in a module's or a class's source."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    marked = [node for node in functions if any("fixture" in ast.unparse(d) for d in node.decorator_list)]
    return [(node.name, doc) for node in marked if (doc := ast.get_docstring(node))]


def _after_first_line(module: Any) -> str:
    return (inspect.getdoc(module) or "").partition("\n\n")[2] + "\n"


def _first_paragraph(doc: str) -> str:
    return " ".join(doc.partition("\n\n")[0].split())


if __name__ == "__main__":
    Path(__file__).with_name("reference.md").write_text(reference(), encoding="utf-8")
