"""The exception tree, by what the caller does next.

EdgeError
├── UserError            a person must change something; one line on the terminal, exit non-zero
│   ├── ConfigError      a key or value of the configuration or of an option
│   │   └── FaultyConfigError  every fault of a configuration file at once
│   ├── SpecError        a frontend or head description that cannot be used
│   ├── BundleError      a bundle that is damaged, edited, too new, or not what it claims
│   │   └── HeadRefusedError   a head that was sent to a recorder, and is not taken
│   └── AudioError       a recording that cannot be read or makes no sense
├── DeliveryError        the far end of a sink is away or refuses: keep the rows, try again later
├── StoreError           the local store cannot be written now: keep the row, try again
└── BackendError         inference failed at run time: restart the model, count the window as lost
    ├── NoGpuError       there is nothing here that an engine for a GPU could run on: take another
    └── EngineError      a compiled engine is damaged or was made elsewhere: compile it again
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

__all__ = [
    "STRAY_BYTES",
    "AudioError",
    "BackendError",
    "BundleError",
    "ConfigError",
    "DeliveryError",
    "EdgeError",
    "EngineError",
    "Fault",
    "FaultyConfigError",
    "HeadRefusedError",
    "NoGpuError",
    "SpecError",
    "StoreError",
    "UserError",
    "blamed_on",
    "known_as",
    "one_line",
    "shown",
]

# What a byte that is not UTF-8 is for Python (PEP 383), and how it is shown.
STRAY_BYTES = {0xDC00 + byte: f"\\x{byte:02x}" for byte in range(0x80, 0x100)}


class EdgeError(Exception):
    """Base of everything this project raises on purpose.

    Each crosses between processes as it is, whatever its own parameters are.
    """

    def __reduce__(self) -> tuple[object, ...]:
        return _remade, (type(self), self.args), self.__dict__


def _remade(kind: type[EdgeError], args: tuple[object, ...]) -> EdgeError:
    return kind.__new__(kind, *args)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that is wrong: the dotted `key` or the option, its `value` as written (never a
    secret), the reason, and a suggestion; what is not known is empty.

    Programs read these fields. The text is for people, and nothing looks for words in it.
    """

    key: str = ""
    value: str = ""
    reason: str
    suggestion: str = ""

    def __str__(self) -> str:
        if not self.key:
            return "; ".join(filter(None, [self.reason, self.suggestion]))
        shown = f"{self.key} = {self.value}" if self.value else self.key
        return f"{shown}: {self.reason}" + (f" ({self.suggestion})" if self.suggestion else "")

    def of(self, key: str, value: object = "", suggestion: str = "") -> Fault:
        """Return the same fault as one of `key`; a suggestion of its own is the better one."""
        return replace(self, key=key, value=str(value), suggestion=self.suggestion or suggestion)


class UserError(EdgeError):
    """What is wrong and what to do, in one line that names the file, key or device.

    `fault` holds the same in fields.
    """

    def __init__(
        self, reason: str, *, key: str = "", value: object = "", suggestion: str = ""
    ) -> None:
        self.fault = Fault(key=key, value=str(value), reason=reason, suggestion=suggestion)
        super().__init__(str(self.fault))

    def __str__(self) -> str:
        return str(self.fault)


class ConfigError(UserError):
    """A key or value of the configuration, or a command-line option, is wrong."""


class FaultyConfigError(ConfigError):
    """A configuration file with `faults`, all of them."""

    def __init__(self, file: str, faults: Sequence[Fault]) -> None:
        self.file = file
        self.faults = tuple(faults)
        super().__init__(f"{file}: " + "; ".join(str(fault) for fault in self.faults))


class SpecError(UserError, ValueError):
    """A frontend or head description that cannot be used; the message names the key and the
    reason.
    """


class BundleError(UserError):
    """A bundle that cannot be trusted; the message names the file and the reason.

    It is one line without anything that a terminal or a log would obey, whatever the bundle says.
    """

    def __init__(
        self, reason: str, *, key: str = "", value: object = "", suggestion: str = ""
    ) -> None:
        super().__init__(one_line(reason), key=key, value=value, suggestion=suggestion)


class HeadRefusedError(BundleError):
    """A head that was sent and is not taken; `word` is one of a few, for a metric, and the message
    says more.
    """

    def __init__(self, word: str, reason: str, *, suggestion: str = "") -> None:
        self.word = word
        super().__init__(reason, suggestion=suggestion)


class AudioError(UserError):
    """A recording that cannot be read; the message names the file and the reason."""


class DeliveryError(EdgeError):
    """Sending failed; `reason` is one of a few words, for a metric, and the message says more."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class StoreError(EdgeError):
    """The local store cannot be written or read at the moment: a full disk, a failing card."""


class BackendError(EdgeError):
    """Inference failed although the bundle is sound."""


class NoGpuError(BackendError):
    """No NVIDIA GPU on this machine, or no driver for it."""


class EngineError(BackendError):
    """A compiled engine that cannot be trusted or does not belong to this machine; the message
    names the reason.
    """


@contextmanager
def known_as(names: Mapping[str, str]) -> Iterator[None]:
    """Let errors name a parameter by the key or option under which a person has set it."""
    try:
        yield
    except UserError as exc:
        key = exc.fault.key
        exc.fault = replace(exc.fault, key=names.get(key, key))
        raise


@contextmanager
def blamed_on(key: str, value: object, suggestion: str) -> Iterator[None]:
    """Let errors that name no key of their own name `key`."""
    try:
        yield
    except UserError as exc:
        if not exc.fault.key:
            exc.fault = exc.fault.of(key, value, suggestion)
        raise


def one_line(text: str) -> str:
    r"""Return `text` with each run of blanks and line breaks as one blank, and all of it printable.

    What a terminal would obey goes: escape sequences lose their escape, and characters that turn
    the direction of the text are dropped. A byte of a file name that is not UTF-8 becomes `\xff`.
    """
    kept = (c for c in text.translate(STRAY_BYTES) if c.isprintable() or c.isspace())
    return " ".join("".join(kept).split())


def shown(value: object, most: int = 60) -> str:
    """Return a value as an error shows it: as written in Python, cut to `most` characters."""
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."
