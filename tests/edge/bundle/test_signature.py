"""Whose a bundle is: only what a trusted key has signed is taken where keys are trusted."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import pytest

from edge.bundle import load_bundle
from edge.bundle.signature import DOMAIN, public_key, read_signature
from edge.bundle.signing import sign_bundle
from edge.config.config import load_config
from edge.errors import BundleError, ConfigError, UserError
from edge.recorder.plan import make_plan
from tests.support.bundles import tiny_bundle
from tests.support.keys import KeyPair, key_pair
from tests.support.strangers import resealed


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    return key_pair(tmp_path_factory.mktemp("key"))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return tiny_bundle(tmp_path / "tiny").path


def taken(bundle: Path, *keys: str) -> bool:
    try:
        load_bundle(bundle, trusted=[public_key(key) for key in keys])
    except BundleError:
        return False
    return True


def test_what_a_trusted_key_has_signed_is_taken(bundle: Path, key: KeyPair, tmp_path: Path) -> None:
    other = key_pair(tmp_path, "other")
    assert not taken(bundle, key.text)
    digest = load_bundle(bundle).digest
    sign_bundle(bundle, key.private)
    assert load_bundle(bundle).digest == digest
    assert taken(bundle)
    assert taken(bundle, key.text)
    assert taken(bundle, other.text, str(key.public))
    assert not taken(bundle, other.text)


def test_openssl_agrees_with_the_signature(bundle: Path, key: KeyPair, tmp_path: Path) -> None:
    sign_bundle(bundle, key.private)
    signature = read_signature(bundle / "manifest.sig")
    assert signature is not None
    (tmp_path / "proof").write_bytes(signature.proof)
    (tmp_path / "signed").write_bytes(DOMAIN + (bundle / "manifest.json").read_bytes())
    command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(key.public)]
    command += ["-in", str(tmp_path / "signed"), "-sigfile", str(tmp_path / "proof")]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_signature_is_of_one_bundle(bundle: Path, key: KeyPair, tmp_path: Path) -> None:
    sign_bundle(bundle, key.private)
    resealed(bundle, lambda m: m.update(name="another"))
    assert load_bundle(bundle).manifest.name == "another"  # its checksums are right
    with pytest.raises(BundleError, match="its signature does not belong to it"):
        load_bundle(bundle, trusted=[public_key(key.text)])


def test_a_claimed_key_signs_nothing(bundle: Path, key: KeyPair, tmp_path: Path) -> None:
    """A stranger may write any key beside any proof."""
    other = key_pair(tmp_path, "other")
    signature = json.loads(sign_bundle(bundle, other.private).as_json())
    forged = json.dumps({**signature, "key": key.text})
    (bundle / "manifest.sig").write_text(forged, encoding="utf-8")
    with pytest.raises(BundleError, match="does not belong to it"):
        load_bundle(bundle, trusted=[public_key(key.text)])


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"key": 1, "signature": 2}',
        '{"key": "AAAA", "signature": "AAAA"}',
        "x" * 20_000,
        json.dumps({"key": "A" * 43 + "=", "signature": "A" * 86 + "==", "more": 1}),
    ],
)
def test_a_file_that_is_no_signature_is_one_line(bundle: Path, content: str) -> None:
    (bundle / "manifest.sig").write_text(content, encoding="utf-8")
    with pytest.raises(BundleError, match=r"manifest\.sig: ") as caught:
        load_bundle(bundle)
    assert len(str(caught.value).splitlines()) == 1


def test_a_bundle_that_is_made_again_is_not_signed(bundle: Path, key: KeyPair) -> None:
    sign_bundle(bundle, key.private)
    assert tiny_bundle(bundle).signature is None


def test_a_key_is_base64_or_a_file_of_it(tmp_path: Path, key: KeyPair) -> None:
    (tmp_path / "key.txt").write_text(f"{key.text}\n", encoding="ascii")
    keys = {public_key(text) for text in (key.text, str(key.public), str(tmp_path / "key.txt"))}
    assert len(keys) == 1


@pytest.mark.parametrize(
    "text", ["AAAA", "/nowhere/key", "a\0b", "", "{private}", "{rsa}", "{dir}"]
)
def test_what_is_no_public_key_is_one_line(tmp_path: Path, key: KeyPair, text: str) -> None:
    rsa = key_pair(tmp_path, "rsa", "rsa").public
    with pytest.raises(ConfigError) as caught:
        public_key(text.format(private=key.private, rsa=rsa, dir=tmp_path))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("content", ["", "no key", base64.b64encode(bytes(32)).decode()])
def test_what_is_no_private_key_is_one_line(bundle: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "key").write_text(content, encoding="ascii")
    with pytest.raises(ConfigError, match="is not a private key"):
        sign_bundle(bundle, tmp_path / "key")
    with pytest.raises(ConfigError, match="not of Ed25519"):
        sign_bundle(bundle, key_pair(tmp_path, "rsa", "rsa").private)
    assert not (bundle / "manifest.sig").exists()


def test_a_recorder_takes_what_its_configuration_trusts(
    bundle: Path, tmp_path: Path, key: KeyPair
) -> None:
    """`edge check`, a start and a reload make the same plan."""
    file = tmp_path / "edge.yaml"

    def planned(chosen: str, keys: str) -> str:
        text = f"device: {{id: a}}\nmodel:\n  {chosen}\n  trusted_keys: {keys}\n"
        file.write_text(text, encoding="utf-8")
        try:
            make_plan(load_config(file))
        except UserError as exc:
            return f"{exc.fault.key}: {exc.fault.reason}" if exc.fault.key else str(exc)
        return ""

    one, several = f"bundle: {bundle}", f"bundles: [{bundle}, {bundle}]"
    assert planned(one, "null") == ""
    assert planned(one, f"[{key.text}]").startswith("model.bundle: ")
    assert planned("bundle: null", f"[{key.text}]").endswith("by a trusted key are taken")
    sign_bundle(bundle, key.private)
    for chosen in (one, several):
        assert planned(chosen, f"[{key.text}]") == ""
    assert "not trusted here" in planned(several, f"['{key_pair(tmp_path, 'other').public}']")
    assert planned(one, "[/nowhere/key]").startswith("model.trusted_keys: ")
    assert "trusted_keys" in planned(one, "[]")  # no key is trusted, or every bundle is? say it
