"""YAML as a configuration should be read: duplicate keys and aliases are faults, and nothing a file
holds gives a traceback.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from edge.errors import Fault, FaultyConfigError

__all__ = ["read_any", "read_yaml"]

LARGEST_BYTES = 1_000_000


class _Loader(yaml.SafeLoader):
    """Plain values only. PyYAML itself would let the last of two equal keys win in silence."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            # A few lines of aliases can stand for gigabytes, and a configuration has no use for
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


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in `path`, empty for an empty file; raises `FaultyConfigError` naming the
    line.
    """
    content = read_any(path)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise _faulty(path, "", "must be keys with values", "see config/edge.yaml")
    return content


def read_any(path: Path) -> object:
    """What the file `path` holds, None for an empty one; raises `FaultyConfigError` naming the
    line.
    """
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise _faulty(path, "", "is too large to be a configuration")
        # a SafeLoader
        content: object = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as exc:
        raise _faulty(path, "", f"cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise _faulty(path, "", "is not UTF-8 text") from exc
    except yaml.MarkedYAMLError as exc:
        where = f"line {exc.problem_mark.line + 1}" if exc.problem_mark else ""
        raise _faulty(path, where, f"is not YAML: {exc.problem or exc.context}") from exc
    except (
        yaml.YAMLError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        IndexError,
        RecursionError,
    ) as exc:
        # PyYAML lets these escape for the 13th month, numbers of 5000 digits, odd tags and a
        # thousand brackets.
        raise _faulty(path, "", f"is not YAML: {' '.join(str(exc).split())[:200]}") from exc
    return content


def _faulty(path: Path, where: str, reason: str, suggestion: str = "") -> FaultyConfigError:
    return FaultyConfigError(
        str(path), [Fault(key=where or "file", value="", reason=reason, suggestion=suggestion)]
    )
