"""What every command line of this project shares.

An error is one line and an exit status, and what the terminal cannot write is spelled out.
"""

from __future__ import annotations

import codecs
import io
import math
import sys
import unicodedata
from collections.abc import Callable
from typing import Any

import click

from edge.errors import STRAY_BYTES, ConfigError, EdgeError, one_line

__all__ = [
    "SPELLED_OUT",
    "FiniteRange",
    "OneLineErrors",
    "aside",
    "complain",
    "configuration_is_2",
    "printable",
    "spell_out",
    "warn",
]

# The handler, for `open` and others, of characters that an encoding does not have.
SPELLED_OUT = "edge.spelled_out"
# Control characters, halves of characters, and breaks of lines and paragraphs.
UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}
# They reverse the text behind them, so that a name can pass for another.
REVERSING = {*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}


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
        spell_out(sys.stdout)
        spell_out(sys.stderr)
        try:
            return super().invoke(ctx)
        except click.UsageError as exc:
            command = exc.ctx.command_path if exc.ctx else ctx.command_path
            said = exc.format_message()
            end = "" if said.endswith((".", "?", "!")) else "."
            complain(f"{said}{end} See '{command} --help'.", prefix=self._prefix)
            sys.exit(2)
        except EdgeError as exc:
            complain(str(exc), prefix=self._prefix)
            sys.exit(self._status_of(exc))
        except BrokenPipeError:
            raise  # click ends quietly when the reader of a pipe has gone
        except OSError as exc:  # the system's words say it best
            reason = str(exc.strerror or exc)
            # Of a file that is put in the place of another, people know the other one.
            named = exc.filename2 or exc.filename
            text = f"{named}: {reason}" if named else reason
            complain(text, prefix=self._prefix)
            sys.exit(1)


class FiniteRange(click.FloatRange):
    """An option's range of numbers; without bounds all, but never NaN, which click lets pass."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number; fails for one that is outside, NaN or infinite."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{number} is not a finite number.", param, ctx)
        return number


def complain(message: str, *, prefix: str = "error") -> None:
    """Print `message` in one line on standard error."""
    click.echo(f"{prefix}: {printable(one_line(message))}", err=True)


def warn(message: str) -> None:
    """Print in one line on standard error what a person should know of a result that there is."""
    complain(message, prefix="warning")


def aside(line: str) -> None:
    """Print progress on standard error: the output may be a file that holds the result."""
    click.echo(line, err=True)


def printable(text: str) -> str:
    r"""Return `text` with every character that would move the cursor, or is none, spelled out.

    A byte of a file name that is not UTF-8 becomes `\xff`, a line break `\n`.
    """
    return "".join(_spelled(c) if _is_unprintable(c) else c for c in text)


def spell_out(stream: object) -> None:
    """Let a text stream spell out, as Python does, what its encoding cannot write."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors=SPELLED_OUT)


def _is_unprintable(c: str) -> bool:
    return unicodedata.category(c) in UNPRINTABLE or c in REVERSING


def _spelled(c: str) -> str:
    return STRAY_BYTES.get(ord(c)) or c.encode("unicode_escape").decode("ascii")


def _spell_unwritable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_spelled, error.object[error.start : error.end])), error.end


codecs.register_error(SPELLED_OUT, _spell_unwritable)
