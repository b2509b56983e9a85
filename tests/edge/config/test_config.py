"""The configuration: whole, frozen, and every fault reported at once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pydantic
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config.config import Config, load_config
from edge.detect.signal_health import HealthConfig
from edge.detect.tracker import TrackerConfig
from edge.errors import ConfigError, FaultyConfigError

ROOT = Path(__file__).resolve().parents[3]
FILE = ROOT / "config" / "edge.yaml"


def load(tmp_path: Path, text: str | bytes, **environ: str) -> Config:
    file = tmp_path / "edge.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_config(file, environ=environ)


def faults(tmp_path: Path, text: str | bytes) -> FaultyConfigError:
    with pytest.raises(FaultyConfigError) as caught:
        load(tmp_path, text)
    return caught.value


def leaves(content: dict[str, Any]) -> set[str]:
    return {f"{section}.{key}" for section, keys in content.items() for key in keys}


def test_the_file_is_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    monkeypatch.chdir(FILE.parent)  # below which its paths are
    of_file = load_config(Path(FILE.name), environ={})
    assert of_file == load_config(None, environ={}) == Config()
    assert leaves(content) == leaves(Config().model_dump())


def test_every_key_says_its_default_in_one_comment() -> None:
    lines = [
        line for line in FILE.read_text(encoding="utf-8").splitlines() if line.startswith("  ")
    ]
    assert len(lines) == len(leaves(Config().model_dump()))
    for line in lines:
        match = re.fullmatch(r"  (\w+): (\S+) +# default (.+)", line)
        assert match, line
        key, value, comment = match.groups()
        default = re.match(r"[\w.\-/\"\[]*[\w\"\]]", comment)
        assert default, line
        assert yaml.safe_load(default.group()) == yaml.safe_load(value), line
        if key.endswith(("_s", "_mb", "_hz", "_dbfs")):
            assert re.search(r"\b(s|MB|Hz|dB)\b", comment), f"{key} without its unit"


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = (
        "modle: {}\nmodel:\n  hop_sec: 1\naudio:\n  channel: left\nmqtt:\n  port: 70000\n  "
        "protocol: 4\nclips: 3\nhop_s: 2\n"
    )
    fault = {f.key: f for f in faults(tmp_path, text).faults}
    assert set(fault) == {
        "modle",
        "model.hop_sec",
        "audio.channel",
        "mqtt.port",
        "mqtt.protocol",
        "clips",
        "hop_s",
    }
    assert fault["modle"].suggestion == "did you mean model?"
    assert fault["model.hop_sec"].suggestion == "did you mean model.hop_s?"
    assert fault["hop_s"].suggestion == "did you mean model.hop_s?"
    assert fault["audio.channel"].value == "'left'"
    assert fault["audio.channel"].reason == "should be a valid integer or should be 'mix'"
    assert (fault["mqtt.port"].value, fault["mqtt.port"].suggestion) == ("70000", "default 1883")
    assert fault["clips"].reason == "must be keys with values"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("mqtt:\n  port: 1\n  port: 2\n", "line 3: is not YAML: the key port is there twice"),
        ("a: &x 1\nb: *x\n", "line 2: is not YAML: aliases are not used here"),
        ("device: [\n", "line 2: is not YAML"),
        ("- 1\n", "must be keys with values"),
        (b"device:\n  site: \xff\n", "is not UTF-8 text"),
        ("device:\n  site: 2024-13-45\n", "is not YAML"),
        ("[" * 2000, "is not YAML"),
        ("mqtt:\n  cert_file: a\n", "cert_file and key_file go together"),
        ("mqtt:\n  password_file: a\n", "password_file needs username_file"),
        ("mqtt:\n  ca_file: a\n", "ca_file and cert_file need tls: true"),
        ("device:\n  id: a/b\n", "device.id = 'a/b': should match pattern"),
        ("tracker:\n  cooldown_s: .nan\n", "tracker.cooldown_s = nan: should be"),
        ("model:\n  hop_s: '1'\n", "model.hop_s = '1': should be a valid number"),
        ("mqtt:\n  enabled: 1\n", "mqtt.enabled = 1: should be a valid boolean"),
        ("metrics:\n  7: 1\n", "metrics.7: unknown key"),
        ("store:\n  path: ''\n", "is not a path"),
        ("mqtt:\n  port: true\n", "mqtt.port = True: should be a valid integer"),
    ],
)
def test_a_fault_is_one_line_with_its_reason(
    tmp_path: Path, text: str | bytes, reason: str
) -> None:
    line = str(faults(tmp_path, text))
    assert reason in line
    assert "\n" not in line


def test_a_missing_file_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(FaultyConfigError, match="No such file"):
        load_config(tmp_path / "none.yaml", environ={})


def test_sections_without_keys_are_defaults(tmp_path: Path) -> None:
    sections = load(tmp_path, "mqtt:\n#  port: 3\nmodel:\n")
    assert sections == load(tmp_path, "")
    assert sections.mqtt == Config().mqtt


def test_nobody_can_change_it() -> None:
    with pytest.raises(pydantic.ValidationError):
        Config().mqtt.port = 2


def test_a_password_in_the_wrong_place_is_not_shown(tmp_path: Path) -> None:
    error = faults(tmp_path, "mqtt:\n  password: hunter2\npasswd: hunter2\n")
    assert "hunter2" not in str(error) + repr(error)
    assert error.faults[0].suggestion == "did you mean mqtt.password_file?"


def test_secrets_come_from_files_and_are_never_shown(tmp_path: Path) -> None:
    (tmp_path / "user").write_text("recorder\n")
    (tmp_path / "password").write_text("hunter2\n")
    config = load(
        tmp_path,
        "mqtt:\n  username_file: user\n  password_file: password\n",
        CREDENTIALS_DIRECTORY=str(tmp_path),
    )
    credentials = config.mqtt.credentials()
    assert (credentials.username, credentials.password) == ("recorder", "hunter2")
    assert "hunter2" not in repr(credentials) + str(credentials) + repr(config) + str(config)


def test_files_that_are_missing_are_told_by_key(tmp_path: Path) -> None:
    (tmp_path / "user").write_text("recorder")
    text = f"mqtt:\n  tls: true\n  ca_file: {tmp_path}/ca.pem\n  username_file: {tmp_path}/user\n"
    assert [f.key for f in load(tmp_path, text).missing_files()] == ["mqtt.ca_file"]


def test_relative_paths_are_below_the_state_directory(tmp_path: Path) -> None:
    config = load(tmp_path, "store:\n  path: a.db\n", STATE_DIRECTORY="/var/lib/edge:/x")
    assert config.store.path == Path("/var/lib/edge/a.db")
    assert config.clips.folder == Path("/var/lib/edge/clips")
    assert load(tmp_path, "", CACHE_DIRECTORY="/var/cache/edge").model.engines == Path(
        "/var/cache/edge/engines"
    )
    assert load(
        tmp_path, "store:\n  path: /a.db\n", STATE_DIRECTORY="/var/lib/edge"
    ).store.path == Path("/a.db")


def test_the_parts_get_what_they_take() -> None:
    assert Config().tracker == TrackerConfig()
    assert Config().health == HealthConfig()


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("mqtt:\n  host: elsewhere\n  username_file: u\n", True),
        ("store:\n  outbox_mb: 1\nclips:\n  enabled: false\nmetrics:\n  port: 1\n", True),
        ("device:\n  site: pond\n", True),
        ("audio:\n  buffer_s: 60\n  memory_mb: 100\n", True),
        ("site:\n  latitude: 48.2\n  longitude: 16.4\n", True),
        ("model:\n  hop_s: 2\n", False),
        ("tracker:\n  cooldown_s: 2\n", False),
        ("health:\n  dead_dbfs: -90\n", False),
        ("audio:\n  channel: 1\n", False),
        ("events:\n  unknown: false\n", False),
        ("events:\n  kinds: [animal]\n", True),
        ("events:\n  kinds: [human]\n", False),
        ("privacy:\n  speech: keep\n  dog: drop_clip\n  threshold: 0.5\n", True),
        ("privacy:\n  speech: drop_window\n", False),
        ("privacy:\n  dog: drop_window\n", False),
    ],
)
def test_the_digest_is_of_what_decides_detections(tmp_path: Path, text: str, same: bool) -> None:
    assert (load(tmp_path, text).digest == Config().digest) is same
    # As it has always been: the ids of events are made with it.
    assert Config().digest == "37019264645bd04c933575e0e4616bfd1c18a4e7ba3a5aa517868ac7fc6cec0a"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("latitude: 48.2", "latitude and longitude go together"),
        ("longitude: 16.4", "latitude and longitude go together"),
        ("latitude: 90.5\n  longitude: 16.4", "site.latitude = 90.5"),
        ("latitude: 48.2\n  longitude: -180.5", "site.longitude = -180.5"),
        ("latitude: north\n  longitude: 16.4", "site.latitude = 'north'"),
        ("latitude: .nan\n  longitude: 16.4", "site.latitude"),
    ],
)
def test_a_place_is_on_earth_and_whole(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(fault)):
        load(tmp_path, f"site:\n  {text}\n")


def test_a_place_may_be_at_the_equator(tmp_path: Path) -> None:
    assert load(tmp_path, "site:\n  latitude: 0\n  longitude: 0.0\n").site.position == (0.0, 0.0)
    assert Config().site.position is None


def test_the_device_has_an_id_of_its_own(tmp_path: Path) -> None:
    machine = tmp_path / "machine-id"
    machine.write_text("0123456789abcdef0123456789abcdef\n")
    derived = Config().device_id(machine)
    assert re.fullmatch(r"[0-9a-f]{12}", derived)
    assert derived not in machine.read_text()  # machine-id(5): it is not to be shown
    machine.write_text("1123456789abcdef0123456789abcdef\n")
    assert Config().device_id(machine) != derived
    assert load(tmp_path, "device:\n  id: pond-3\n").device_id(machine) == "pond-3"
    machine.write_text("")
    with pytest.raises(ConfigError, match=r"device\.id"):
        Config().device_id(machine)


def read_or_refused(file: Path) -> bool:
    """Whether a file is a configuration, or else every fault of it names its key and reason."""
    try:
        load_config(file, environ={})
    except FaultyConfigError as exc:
        return bool(exc.faults) and all(fault.key and fault.reason for fault in exc.faults)
    return True


@settings(max_examples=50)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_configuration_or_faults(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    file.write_bytes(content)
    assert read_or_refused(file)


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    PLAIN,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=5), v, max_size=3),
    max_leaves=5,
)
SECTION = st.dictionaries(
    st.sampled_from([k.partition(".")[2] for k in sorted(leaves(Config().model_dump()))]),
    VALUES,
    max_size=4,
)


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(sorted(Config.model_fields)), SECTION | VALUES, max_size=4))
def test_any_values_are_a_configuration_or_faults(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, Any]
) -> None:
    file = tmp_path_factory.getbasetemp() / "values.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert read_or_refused(file)
