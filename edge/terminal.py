"""What every command line of this project shares: an error is one line and an exit status."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from edge.errors import ConfigError, EdgeError, one_line

__all__ = ["OneLineErrors", "aside", "complain", "configuration_is_2", "warn"]


def configuration_is_2(error: EdgeError) -> int:
    """Exit status 2 for a key or an option, 1 for a recording, a bundle and everything else."""
    return 2 if isinstance(error, ConfigError) else 1


class OneLineErrors(click.Group):
    """A group of commands that end an expected failure with one line on standard error.

    A traceback is therefore a bug. `status_of` gives the exit status of an error of this project;
    what the system refuses (a full disk, a missing right) is 1, a wrong usage is 2.
    """

    def __init__(
        self,
        *args: Any,
        status_of: Callable[[EdgeError], int] = configuration_is_2,
        prefix: str = "error",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._status_of = status_of
        self._prefix = prefix

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; see the class."""
        try:
            return super().invoke(ctx)
        except click.UsageError as exc:
            command = exc.ctx.command_path if exc.ctx else ctx.command_path
            complain(f"{exc.format_message()} See '{command} --help'.", prefix=self._prefix)
            sys.exit(2)
        except EdgeError as exc:
            complain(str(exc), prefix=self._prefix)
            sys.exit(self._status_of(exc))
        except BrokenPipeError:
            raise  # click ends quietly when the reader of a pipe has gone
        except OSError as exc:  # the system's words say it best
            reason = str(exc.strerror or exc)
            text = f"{exc.filename}: {reason}" if exc.filename else reason
            complain(text, prefix=self._prefix)
            sys.exit(1)


def complain(message: str, *, prefix: str = "error") -> None:
    """Print `message` in one line on standard error."""
    click.echo(f"{prefix}: {one_line(message)}", err=True)


def warn(message: str) -> None:
    """Print `message` in one line on standard error, as what a person should know."""
    complain(message, prefix="warning")


def aside(line: str) -> None:
    """Print progress on standard error: the output may be a file that holds the result."""
    click.echo(line, err=True)
