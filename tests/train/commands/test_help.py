"""What a stranger sees of `edge-train` first."""

from __future__ import annotations

import re

import click
import pytest

from tests.train.command_line import edge_train
from train.commands.cli import SECTIONS, main

COMMANDS = [one for commands in SECTIONS.values() for one in commands]


def test_the_help_has_every_command_once_with_what_it_does() -> None:
    shown = edge_train("--help").output
    assert len(COMMANDS) == len({one.name for one in COMMANDS}) == len(main.commands)
    names = re.findall(r"^  ([a-z][a-z-]*)  ", shown, re.MULTILINE)
    assert names == [one.name for one in COMMANDS]
    assert "..." not in shown.partition("Options:")[2]  # no sentence is cut
    assert all(f"\n{title}:\n" in shown for title in SECTIONS)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: str(one.name))
def test_every_option_says_what_it_is_for(command: click.Command) -> None:
    options = [one for one in command.params if isinstance(one, click.Option)]
    assert [one.name for one in options if not one.help] == []
    assert command.help
