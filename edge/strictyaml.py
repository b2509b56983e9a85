"""The one YAML reader, of configurations, recipes and plans.

Only plain values are read; duplicate keys and aliases are faults, and no content of a file gives a
traceback.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from edge.errors import Fault, FaultyConfigError, one_line

__all__ = ["parse_yaml", "read_any", "read_yaml"]

LARGEST_BYTES = 1_000_000
# What PyYAML raises for the 13th month, numbers of 5000 digits, odd tags and a thousand brackets.
ESCAPED = (
    *(yaml.YAMLError, ValueError, TypeError, KeyError),
    *(AttributeError, IndexError, RecursionError),
)


class _Loader(yaml.SafeLoader):
    """A loader of plain values that refuses a duplicate key, of which PyYAML takes the last."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            # A few lines of aliases can stand for gigabytes, and a configuration does not need
            # them.
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.constructor.ConstructorError(None, None, "aliases are not used here", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.value in seen and isinstance(key_node, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key_node.value} is there twice", key_node.start_mark
                )
            if isinstance(key_node, yaml.ScalarNode):
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, *, see: str = "config/edge.yaml") -> dict[str, Any]:
    """Return the mapping in `path`, empty for an empty file.

    Raises `FaultyConfigError`, which names the line; `see` names a file that shows how.
    """
    content = read_any(path)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise _faulty(path, "", "must be keys with values", f"see {see}")
    return content


def read_any(path: Path) -> object:
    """Return what the file `path` holds, None for an empty one; raises `FaultyConfigError`."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise _faulty(path, "", "is too large to be a configuration")
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        raise _faulty(path, "", f"cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise _faulty(path, "", "is not UTF-8 text") from exc
    return parse_yaml(text, source=path)


def parse_yaml(text: str, *, source: Path | str) -> object:
    """Return the value that `text` holds, None for an empty one; raises `FaultyConfigError`.

    `source` names the file or the option for the error.
    """
    try:
        content: object = yaml.load(text, Loader=_Loader)  # a SafeLoader
    except yaml.MarkedYAMLError as exc:
        where = f"line {exc.problem_mark.line + 1}" if exc.problem_mark else ""
        raise _faulty(source, where, f"is not YAML: {exc.problem or exc.context}") from exc
    except ESCAPED as exc:
        raise _faulty(source, "", f"is not YAML: {one_line(str(exc))[:200]}") from exc
    return content


def _faulty(source: Path | str, where: str, reason: str, suggestion: str = "") -> FaultyConfigError:
    fault = Fault(key=where or "file", reason=reason, suggestion=suggestion)
    return FaultyConfigError(str(source), [fault])
