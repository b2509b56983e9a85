"""What is wrong with a configuration, key by key: pydantic's errors as faults for people.

An unknown key is reported with the key that it was probably meant to be, a bad value with its
default.
"""

from __future__ import annotations

import difflib

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from edge.errors import Fault, shown
from edge.section import Section

__all__ = ["faults_of"]

SEE = "see config/edge.yaml"


def faults_of(exc: ValidationError, config: type[Section]) -> list[Fault]:
    """Return one fault per key; the alternatives that a value could have been are joined.

    `config` is the class that was validated: its fields are the sections.
    """
    return _Keys(config).faults_of(exc)


class _Keys:
    """The sections and keys of a configuration."""

    def __init__(self, config: type[Section]) -> None:
        fields = config.model_fields.items()
        self._sections = {name: type(field.default).model_fields for name, field in fields}
        self._all = [f"{name}.{key}" for name, keys in self._sections.items() for key in keys]

    def faults_of(self, exc: ValidationError) -> list[Fault]:
        errors: dict[str, list[ErrorDetails]] = {}
        for error in exc.errors(include_url=False):
            errors.setdefault(self._key(error), []).append(error)
        return [self._fault(key, alike) for key, alike in errors.items()]

    def _fault(self, key: str, errors: list[ErrorDetails]) -> Fault:
        error = errors[0]
        if error["type"] in ("extra_forbidden", "invalid_key"):
            # Without its value: a key that is not known may well be a password in the wrong place.
            return Fault(key=key, reason="unknown key", suggestion=self._meant(key))
        value = "" if isinstance(error["input"], dict) else shown(error["input"])
        if error["type"] in ("model_type", "model_attributes_type"):
            return Fault(key=key, value=value, reason="must be keys with values", suggestion=SEE)
        reason = " or ".join(dict.fromkeys(_reason(error) for error in errors))
        return Fault(key=key, value=value, reason=reason, suggestion=self._default(key))

    def _key(self, error: ErrorDetails) -> str:
        """Return the key as in the file; pydantic's path goes on into alternatives of a type."""
        parts = [str(part) for part in error["loc"]]
        return ".".join(parts[:2]) if parts[0] in self._sections else parts[0]

    def _meant(self, key: str) -> str:
        """Suggest the nearest known key, in its own section first, then anywhere."""
        section, _, name = key.partition(".")
        if name:
            near = difflib.get_close_matches(name, self._sections.get(section, {}), 1)
            close = [f"{section}.{known}" for known in near]
        else:
            close = difflib.get_close_matches(key, self._sections, 1)
        close = close or [known for known in self._all if known.endswith(f".{name or key}")]
        return f"did you mean {close[0]}?" if close else f"{SEE} for all keys"

    def _default(self, key: str) -> str:
        section, _, name = key.partition(".")
        field = self._sections.get(section, {}).get(name)
        if field is None:
            return SEE
        if field.default is None:
            return "leave it out for the default"
        return f"default {field.default}"


def _reason(error: ErrorDetails) -> str:
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])  # raised by a validator of ours, without pydantic's words
    return error["msg"].removeprefix("Input ").removeprefix("String ")
