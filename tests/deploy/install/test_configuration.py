"""The configuration that `edge-deploy install` writes, and never over what a person has written."""

from __future__ import annotations

from edge.bundle import Bundle
from tests.support.machine import Machine


def test_a_configuration_that_was_edited_stays(machine: Machine, bundle: Bundle) -> None:
    machine.installs("--bundle", str(bundle.path))
    pristine = machine.layout.kept / "edge.yaml.shipped"
    default = machine.config.read_text(encoding="utf-8")
    edited = default.replace('site: ""', "site: pond")
    machine.config.write_text(edited, encoding="utf-8")
    assert machine.installs() == "nothing has to be done\n"
    # A version with another default: as if the one before it had been older.
    pristine.write_text("device: {}\n", encoding="utf-8")
    said = machine.installs()
    assert [line for line in said.splitlines() if "edge.yaml" in line] == [
        (
            f"write {machine.config}.new ({machine.config} was edited and stays; this is the new "
            "default to compare it with)"
        )
    ]
    assert machine.config.read_text(encoding="utf-8") == edited
    assert machine.config.with_name("edge.yaml.new").read_text(encoding="utf-8") == default
    assert machine.installs() == "nothing has to be done\n"


def test_a_configuration_that_nobody_edited_follows_the_default(
    machine: Machine, bundle: Bundle
) -> None:
    machine.installs("--bundle", str(bundle.path))
    default = machine.config.read_text(encoding="utf-8")
    for file in (machine.config, machine.layout.kept / "edge.yaml.shipped"):
        file.write_text("device: {}\n", encoding="utf-8")
    machine.installs()
    assert machine.config.read_text(encoding="utf-8") == default
    assert not machine.config.with_name("edge.yaml.new").exists()


def test_a_configuration_that_does_not_use_the_bundle_is_reported(
    machine: Machine, bundle: Bundle
) -> None:
    machine.layout.settings.mkdir(parents=True)
    machine.config.write_text("model: {hop_s: 2.0}\n", encoding="utf-8")
    said = machine.installs("--bundle", str(bundle.path))
    assert (
        "model.bundle = null, so the installed bundle is not used; its link is "
        f"{machine.layout.current}"
    ) in said
