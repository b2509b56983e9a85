"""What a stranger's bundle may do while root installs it: nothing but be refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from deploy.install.bundles import bundle_steps
from edge.bundle import Bundle, load_bundle
from edge.bundle.signing import sign_bundle
from edge.errors import BundleError
from tests.support.bundles import LABELS
from tests.support.heads import tiny_head
from tests.support.keys import KeyPair, key_pair
from tests.support.machine import Machine
from tests.support.strangers import resealed


@pytest.fixture
def key(tmp_path: Path) -> KeyPair:
    return key_pair(tmp_path)


def trust(machine: Machine, *keys: str) -> None:
    """Install, and have the configuration trust these keys only."""
    file = machine.layout.settings / "edge.yaml"
    text = file.read_text(encoding="utf-8")
    assert "  trusted_keys: null " in text
    file.write_text(text.replace("trusted_keys: null ", f"trusted_keys: {list(keys)} "), "utf-8")


@pytest.mark.parametrize("name", ["../../../etc/cron.d/x", "/etc/cron.d/x", "sub/x", ".."])
def test_no_name_in_a_bundle_leads_out_of_its_folder(
    machine: Machine, bundle: Bundle, tmp_path: Path, name: str
) -> None:
    evil = tmp_path / "x"
    evil.write_text("* * * * * root evil", encoding="utf-8")
    resealed(bundle.path, lambda m: m["files"].update({name: "0" * 64}))
    before = machine.files()
    assert "which is no file of this bundle" in machine.refuses("--bundle", str(bundle.path))
    assert machine.files() == before


def test_a_link_is_not_followed(machine: Machine, bundle: Bundle, tmp_path: Path) -> None:
    (bundle.path / "MODEL_CARD.md").rename(tmp_path / "secret")
    (bundle.path / "MODEL_CARD.md").symlink_to(tmp_path / "secret")
    assert "is a link" in machine.refuses("--bundle", str(bundle.path))


@pytest.mark.parametrize("trick", ["link", "edit"])
def test_a_bundle_that_changes_after_it_was_verified_is_not_installed(
    machine: Machine, bundle: Bundle, tmp_path: Path, trick: str
) -> None:
    steps = list(bundle_steps(machine.layout, bundle))
    card = bundle.path / "MODEL_CARD.md"
    if trick == "link":
        card.rename(tmp_path / "secret")
        (tmp_path / "secret").chmod(0o600)
        card.symlink_to(tmp_path / "secret")
    else:
        card.write_text("another", encoding="utf-8")
    with pytest.raises(BundleError):
        steps[0].do()
    assert not any(machine.layout.bundles.glob("[!.]*"))
    if trick == "link":
        assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_only_what_a_trusted_key_has_signed_is_installed(
    machine: Machine, bundle: Bundle, other: Bundle, key: KeyPair, tmp_path: Path
) -> None:
    machine.installs("--bundle", str(bundle.path))
    trust(machine, key.text)
    before = machine.files()
    assert "is not signed" in machine.refuses("--bundle", str(other.path))
    assert "is not signed" in machine.refuses()  # nor does the one that is there stay
    sign_bundle(other.path, key_pair(tmp_path, "foreign").private)
    assert "not trusted here" in machine.refuses("--bundle", str(other.path))
    assert machine.files() == before
    sign_bundle(other.path, key.private)
    machine.installs("--bundle", str(other.path))
    assert machine.current == other.digest
    assert (machine.layout.current / "manifest.sig").is_file()
    assert machine.installs().startswith("nothing has to be done\n")


def test_a_signature_that_is_new_is_installed(
    machine: Machine, bundle: Bundle, key: KeyPair
) -> None:
    machine.installs("--bundle", str(bundle.path))
    sign_bundle(bundle.path, key.private)
    assert "copy the bundle" in machine.installs("--bundle", str(bundle.path))
    assert (machine.layout.current / "manifest.sig").is_file()


def test_a_configuration_that_names_no_key_is_told_before_anything_is_done(
    machine: Machine, bundle: Bundle
) -> None:
    machine.installs("--bundle", str(bundle.path))
    trust(machine, "/nowhere/key")
    before = machine.files()
    assert "model.trusted_keys" in machine.refuses("--bundle", str(bundle.path))
    assert machine.files() == before


def test_only_the_files_of_the_bundle_are_copied(
    machine: Machine, bundle: Bundle, tmp_path: Path
) -> None:
    copied = Path(shutil.copytree(bundle.path, tmp_path / "copied"))
    machine.installs("--bundle", str(copied))
    assert sorted(os.listdir(machine.layout.current)) == sorted(bundle.file_names)


def test_a_head_is_installed_with_its_trunk(
    machine: Machine, bundle: Bundle, tmp_path: Path
) -> None:
    head = tiny_head(tmp_path / "away" / "study", bundle, {LABELS[0]: 0})
    word = f"{bundle.path}+{head.path}"
    said = machine.installs("--bundle", word)
    assert said.index("copy the bundle tiny") < said.index("copy the bundle study")
    assert "more; to go back" not in said
    shutil.rmtree(bundle.path)  # what was installed does not need what it was installed from
    shutil.rmtree(head.path)
    assert machine.current == head.digest
    assert load_bundle(machine.layout.current).trunk_digest == bundle.trunk_digest
    assert "copy" not in machine.installs()
    shutil.rmtree(machine.layout.bundles / bundle.digest)
    assert "is a head on the network" in machine.refuses()
