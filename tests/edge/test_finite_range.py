"""No option of a command takes NaN or infinity for a number."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

import deploy.cli
import edge.cli
import train.commands.cli
from edge.terminal import FiniteRange

PROGRAMS = (edge.cli.main, train.commands.cli.main, deploy.cli.main)
CHECKED = "--hop-s"  # of replays and archives, where its own check names it


def commands_of(group: click.Command) -> Iterator[click.Command]:
    yield group
    if isinstance(group, click.Group):
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield from commands_of(command)


def test_every_option_that_is_a_number_refuses_what_is_none() -> None:
    numbers = {
        (command.name, option.opts[0]): option.type
        for program in PROGRAMS
        for command in commands_of(program)
        for option in command.params
        if isinstance(option.type, click.types.FloatParamType)
    }
    assert len(numbers) > 20
    strange = {key for key, kind in numbers.items() if not isinstance(kind, FiniteRange)}
    assert {option for _, option in strange} <= {CHECKED}


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-1", "2"])
def test_only_numbers_in_the_range_pass(value: str) -> None:
    @click.command()
    @click.option("--share", type=FiniteRange(0, 1))
    def command(share: float) -> None:
        click.echo(f"{share}")

    refused = CliRunner().invoke(command, [f"--share={value}"])
    assert refused.exit_code == 2
    assert "Invalid value for '--share': " in refused.output
    assert CliRunner().invoke(command, ["--share=0.5"]).output == "0.5\n"


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_without_bounds_there_are_all_numbers_and_no_others(value: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a finite number"):
        FiniteRange().convert(value, None, None)
    assert FiniteRange().convert("-1e300", None, None) == -1e300
