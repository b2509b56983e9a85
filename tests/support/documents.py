"""What a document claims that a program can check: links, anchors, paths, commands, options, keys.

Checked are fenced blocks and inline code, so prose may say what it likes. A word in capitals stands
for something that the reader puts in: of `edge/NAME/base.py` only `edge/` has to be there.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path

import click

import deploy.cli
import edge.cli
import train.commands.cli
from edge.config.config import Config

__all__ = ["Document", "anchors", "faults"]

COMMANDS: dict[str, click.Command] = {
    "edge": edge.cli.main,
    "edge-train": train.commands.cli.main,
    "edge-deploy": deploy.cli.main,
}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
PATH = re.compile(
    r"(?<![\w./$+-])((?:edge|train|deploy|tests|config|systemd|docs|\.ci)/[\w./*-]*)(?:::(\w+))?"
)
COMMENT = re.compile(r"(?:^|\s)#.*")
ASSIGNMENT = re.compile(r"[A-Z_]+=")
OF_A_SHELL = ("", "console", "sh", "bash")


@dataclass(frozen=True)
class Document:
    """A Markdown file of the checkout `root`; `name` is relative to it."""

    root: Path
    name: str

    @property
    def text(self) -> str:
        """All of it."""
        return (self.root / self.name).read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """What is outside fenced blocks."""
        return FENCE.sub("", self.text)

    @property
    def fences(self) -> list[tuple[str, str]]:
        """Language and content of each fenced block."""
        return FENCE.findall(self.text)

    @property
    def inline(self) -> list[str]:
        """Each piece of inline code; one that goes on in the next line has a blank there."""
        paragraphs = self.prose.split("\n\n")
        return [" ".join(code.split()) for p in paragraphs for code in INLINE.findall(p)]


def faults(document: Document) -> list[str]:
    """Everything that the document says and that is not so, a line each."""
    found = (
        *_broken_links(document),
        *_missing_paths(document),
        *_wrong_commands(document),
        *_unknown_keys(document),
    )
    return [f"{document.name}: {fault}" for fault in found]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a Markdown text."""
    found: list[str] = []
    for heading in HEADING.findall(FENCE.sub("", text)):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        found.append(anchor)
        if (before := found.count(anchor) - 1) > 0:
            found.append(f"{anchor}-{before}")
    return set(found)


def _broken_links(document: Document) -> Iterator[str]:
    here = document.root / document.name
    for link in LINK.findall(document.prose):
        if re.match(r"[a-z]+:", link):
            continue  # another site's
        path, _, anchor = link.partition("#")
        target = Path(os.path.normpath(here.parent / path)) if path else here
        if not (target.exists() and target.is_relative_to(document.root)):
            yield f"link to {link}: there is no such file"
        elif anchor and anchor not in anchors(target.read_text(encoding="utf-8")):
            yield f"link to {link}: there is no such heading"


def _missing_paths(document: Document) -> Iterator[str]:
    for code in (*(block for _, block in document.fences), *document.inline):
        for found, name in PATH.findall(code):
            parts = takewhile(lambda part: not part.isupper(), found.rstrip(".").split("/"))
            path = "/".join(parts)
            there = [file for file in document.root.glob(path) if file.exists()]
            if not there:
                yield f"path {found}: is not there"
            elif name and f"def {name}(" not in there[0].read_text(encoding="utf-8"):
                yield f"path {found}: has no {name}"


def _unknown_keys(document: Document) -> Iterator[str]:
    for code in document.inline:
        section, _, key = code.partition(".")
        field = Config.model_fields.get(section)
        if field and re.fullmatch(r"\w+", key) and key not in type(field.default).model_fields:
            yield f"configuration key {code}: is not there"


def _wrong_commands(document: Document) -> Iterator[str]:
    for language, block in document.fences:
        if language in OF_A_SHELL:
            for words in _command_lines(block):
                yield from _command_faults(words, document.root, whole=True)
    for code in document.inline:
        for words in _command_lines(code):
            yield from _command_faults(words, document.root, whole=False)


def _command_lines(text: str) -> Iterator[list[str]]:
    """The commands in a text, in words; comments, prompts and assignments before them left out."""
    for line in text.replace("\\\n", " ").splitlines():
        for command in COMMENT.sub("", line).split(" && "):
            plain = command.strip().removeprefix("$ ")
            words = plain.split()
            while words and ASSIGNMENT.match(words[0]):
                words.pop(0)
            if words and _program(words[0]) in (*COMMANDS, "make", "python", "pip"):
                yield shlex.split(" ".join(words))


def _program(word: str) -> str:
    """`edge` of `.venv/bin/edge`; a folder is no program."""
    return re.sub(r"(python|pip)[\d.]*$", r"\1", word.rpartition("/")[2])


def _command_faults(words: Sequence[str], root: Path, *, whole: bool) -> Iterator[str]:
    """What is wrong with a command; one that is `whole` must have all that it needs to run."""
    shown = shlex.join(words)
    match _program(words[0]):
        case "make":
            reasons = _make_faults(words[1:], root)
        case "python":
            reasons = _module_faults(words[1:], root)
        case "pip":
            reasons = _extra_faults(words[1:], root)
        case name:
            reasons = _click_faults(name, words[1:], whole=whole)
    yield from (f"command {shown}: {reason}" for reason in reasons)


def _click_faults(name: str, words: Sequence[str], *, whole: bool) -> Iterator[str]:
    command, rest = COMMANDS[name], list(words)
    context = click.Context(command, info_name=name)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        word = rest.pop(0)
        found = command.get_command(context, word)
        if found is None:
            yield f"{context.command_path} has no command {word}"
            return
        command, context = found, click.Context(found, info_name=word, parent=context)
    known = {
        option
        for parameter in command.get_params(context)
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    unknown = [w for w in rest if w.startswith("-") and w.partition("=")[0] not in known]
    yield from (f"{context.command_path} has no option {word}" for word in unknown)
    if whole and not unknown and not isinstance(command, click.Group):
        try:
            command.make_context(name, rest)
        except click.ClickException as exc:
            yield exc.format_message()


def _make_faults(words: Sequence[str], root: Path) -> Iterator[str]:
    makefile = _read(root / "Makefile")
    targets = [word for word in words if re.fullmatch(r"[a-z]+", word)]
    for target in targets:
        if not re.search(rf"^{target}:", makefile, re.MULTILINE):
            yield f"the Makefile has no target {target}"
    for word in words:
        variable, equals, value = word.partition("=")
        if equals and not re.search(rf"^{variable} *\?=", makefile, re.MULTILINE):
            yield f"the Makefile has no variable {variable}"
        if variable == "ARGS":
            for name, command in _with_args(makefile, targets):
                yield from _click_faults(name, [command, *shlex.split(value)], whole=False)


def _with_args(makefile: str, targets: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The programs of ours, with their commands, to which these targets hand $(ARGS)."""
    for target in targets:
        recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
        if recipe:
            yield from re.findall(r"bin/(edge[a-z-]*) ([a-z-]+)\b.*\$\(ARGS\)", recipe[1])


def _module_faults(words: Sequence[str], root: Path) -> Iterator[str]:
    if not words or words[0] != "-m":
        return
    module, options = words[1], [word for word in words[2:] if word.startswith("--")]
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        found = None
    if found is None:
        yield f"there is no module {module}"
    elif module.partition(".")[0] in ("edge", "train", "deploy", "tests"):
        source = _read(Path(str(found.origin)))
        yield from (f"{module} has no option {o}" for o in options if f'"{o}"' not in source)


def _extra_faults(words: Sequence[str], root: Path) -> Iterator[str]:
    for word in words:
        for extra in re.findall(r"^\.\[(\w+)\]$", word):
            if not re.search(rf"^{extra} = \[", _read(root / "pyproject.toml"), re.MULTILINE):
                yield f"pyproject.toml has no extra {extra}"


@cache
def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8")
