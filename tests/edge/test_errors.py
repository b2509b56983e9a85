"""Errors: fields for programs, one line for people, whole on their way between processes."""

from __future__ import annotations

import pickle

import pytest

from edge.errors import (
    AudioError,
    BundleError,
    ConfigError,
    DeliveryError,
    EdgeError,
    Fault,
    FaultyConfigError,
    HeadRefusedError,
    SpecError,
    UserError,
    blamed_on,
    known_as,
    one_line,
    shown,
)
from train.learning.collapse import DivergedError, StarvedError


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Fault(reason="is gone"), "is gone"),
        (Fault(reason="is gone", suggestion="find it"), "is gone; find it"),
        (Fault(key="a.b", reason="is gone"), "a.b: is gone"),
        (
            Fault(key="a.b", value="7", reason="is gone", suggestion="find it"),
            "a.b = 7: is gone (find it)",
        ),
    ],
)
def test_a_fault_is_a_line(fault: Fault, text: str) -> None:
    assert str(fault) == text


@pytest.mark.parametrize("kind", [UserError, ConfigError, SpecError, BundleError, AudioError])
def test_an_error_of_a_user_has_its_fields_here_and_in_another_process(
    kind: type[UserError],
) -> None:
    error = kind("must be positive", key="hop_s", value=-1, suggestion="default 1")
    for one in (error, pickle.loads(pickle.dumps(error))):
        assert type(one) is kind
        assert one.fault == Fault(
            key="hop_s", value="-1", reason="must be positive", suggestion="default 1"
        )
        assert str(one) == "hop_s = -1: must be positive (default 1)"


def test_all_faults_of_a_file_cross_between_processes() -> None:
    faults = (Fault(key="a", reason="unknown key"), Fault(key="b", reason="unknown key"))
    error = pickle.loads(pickle.dumps(FaultyConfigError("edge.yaml", faults)))
    assert (error.file, error.faults) == ("edge.yaml", faults)
    assert str(error) == "edge.yaml: a: unknown key; b: unknown key"


@pytest.mark.parametrize(
    "error",
    [
        HeadRefusedError("size", "is too large", suggestion="send a smaller one"),
        DeliveryError("refused", "the broker refuses it"),
        StarvedError(0.6),
        DivergedError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_with_parameters_of_its_own_crosses_between_processes(error: EdgeError) -> None:
    there = pickle.loads(pickle.dumps(error))
    assert type(there) is type(error)
    assert str(there) == str(error)
    assert there.__dict__ == error.__dict__


def test_a_parameter_is_named_as_the_person_who_set_it_knows_it() -> None:
    with pytest.raises(ConfigError) as raised, known_as({"hop_s": "--hop-s"}):
        raise ConfigError("must be positive", key="hop_s", value=0)
    assert str(raised.value) == "--hop-s = 0: must be positive"


def test_blame_is_for_errors_that_name_no_key() -> None:
    with pytest.raises(BundleError) as raised, blamed_on("model.bundle", "x", "leave it out"):
        raise BundleError("x: is damaged")
    assert str(raised.value) == "model.bundle = x: x: is damaged (leave it out)"
    with pytest.raises(ConfigError) as raised_too, blamed_on("model.bundle", "x", "leave it out"):
        raise ConfigError("cannot run here", key="backend")
    assert raised_too.value.fault.key == "backend"


def test_what_is_shown_is_one_short_line() -> None:
    assert one_line(" two\nlines\tand  blanks ") == "two lines and blanks"
    assert shown("a\nb") == repr("a\nb")
    assert len(shown("a" * 1000)) == 60
