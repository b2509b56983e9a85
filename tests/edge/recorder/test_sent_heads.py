"""Which head a recorder uses after whatever may happen to it while it takes one."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path

import pytest

from edge.bundle import Bundle
from edge.bundle.order import Order
from edge.bundle.packed import pack_head
from edge.config.config import Config, load_config
from edge.errors import ConfigError
from edge.recorder.plan import RecorderPlan, make_plan
from edge.recorder.sent_heads import SentHeads
from edge.store.store import Store
from tests.edge.recorder.test_daemon import daemon
from tests.support.bundles import tiny_bundle, tone
from tests.support.daemons import RealTimeAudio, write_config
from tests.support.dying_heads import DyingRecorder
from tests.support.sent import Sender, verified_plan

NOW = datetime(2026, 5, 1, 12, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def sender(tmp_path_factory: pytest.TempPathFactory) -> Sender:
    return Sender.in_folder(tmp_path_factory.mktemp("sender"))


@pytest.fixture(scope="module")
def heads(sender: Sender) -> list[Bundle]:
    return [sender.head(f"head{n}", card=f"# Head {n}\n") for n in range(3)]


def configure(folder: Path, sender: Sender, **model: object) -> Path:
    chosen = {"bundle": str(sender.trunk.path), "trusted_keys": [sender.key.text], **model}
    kept = {"broker": True, "kept": str(folder / "heads")}
    return write_config(folder, sender.trunk.path, model=chosen, heads=kept)


def started(
    file: Path,
    *,
    boot_id: str = "this",
    plan_of: Callable[[Config], RecorderPlan] = make_plan,
) -> tuple[SentHeads, str]:
    """A recorder's choice, and the digest of what it begins with."""
    found = SentHeads(load_config(file), plan_of=plan_of, boot_id=boot_id, wake=lambda: None)
    return found, found.first_plan().provenance.bundle


def give(chosen: SentHeads, sender: Sender, head: Bundle, number: int) -> str | None:
    """Send a head, and return the digest of what is used from then on, if it changes."""
    order = sender.order(head, number=number)
    assert chosen.inbox is not None
    believed = chosen.inbox.believed(sender.signed(order))
    assert believed == order
    assert chosen.inbox.bring(order, pack_head(head))
    with Store(Path(":memory:"), outbox_bytes=10**6, history_bytes=10**6) as store:
        plan = chosen.take(store=store, now=NOW)
    return None if plan is None else plan.provenance.bundle


def last(chosen: SentHeads) -> tuple[str, str]:
    assert chosen.inbox is not None
    said = chosen.inbox.said[1]["last"]
    return said["outcome"], said["reason"]


def test_killed_at_any_file_operation_it_has_the_old_head_or_the_new_one(
    tmp_path: Path, sender: Sender, heads: Sequence[Bundle]
) -> None:
    file = configure(tmp_path, sender)
    old, new = heads[:2]
    chosen, _ = started(file)
    assert give(chosen, sender, old, 1) == old.digest
    chosen._shelf.note(trial=None)  # it has passed
    untouched = tmp_path / "untouched"
    shutil.copytree(tmp_path / "heads", untouched)
    order, packed = tmp_path / "order", tmp_path / "packed"
    order.write_bytes(sender.signed(sender.order(new, number=2)))
    packed.write_bytes(pack_head(new))
    seen: list[str] = []
    with DyingRecorder(file, order, packed) as recorder:
        while recorder.killed_at(len(seen) + 1):
            chosen, used = started(file, boot_id="after the cut", plan_of=verified_plan)
            seen.append(used)
            if used == old.digest and len(seen) % 10 == 0:  # the order is still there
                assert give(chosen, sender, new, 2) == new.digest
                chosen.stopped()
                assert started(file, plan_of=verified_plan)[1] == new.digest
            shutil.rmtree(tmp_path / "heads")
            shutil.copytree(untouched, tmp_path / "heads")
            shutil.copy(untouched / "state.json", tmp_path / "sent-heads.json")
    assert len(seen) > 20
    assert set(seen) == {old.digest, new.digest}
    assert seen == sorted(seen, key=[old.digest, new.digest].index)  # one moment parts them


def test_a_crash_in_the_first_hour_goes_back_and_a_stop_does_not(
    tmp_path: Path, sender: Sender, heads: Sequence[Bundle]
) -> None:
    file = configure(tmp_path, sender)
    chosen, used = started(file)
    assert used == sender.trunk.digest
    assert give(chosen, sender, heads[0], 1) == heads[0].digest
    chosen.stopped()
    chosen, used = started(file)
    assert used == heads[0].digest
    assert give(chosen, sender, heads[1], 2) == heads[1].digest
    chosen, used = started(file)  # nobody had asked it to end
    assert used == heads[0].digest
    assert last(chosen) == ("went_back", "crash")
    assert chosen.counts["went_back"] == 1
    assert started(file)[1] == heads[0].digest  # whose trial is not begun again


def test_a_fault_of_the_configuration_in_the_first_hour_is_no_crash(
    tmp_path: Path, sender: Sender, heads: Sequence[Bundle]
) -> None:
    chosen, _ = started(configure(tmp_path, sender))
    give(chosen, sender, heads[0], 1)
    chosen.stopped()
    for _ in range(5):
        with pytest.raises(ConfigError):
            daemon(
                configure(tmp_path, sender, backend="tensorrt"), RealTimeAudio(tone(300, 1))
            ).run()
    assert started(configure(tmp_path, sender))[1] == heads[0].digest


def test_power_cuts_in_the_first_hour_are_borne_but_not_for_ever(
    tmp_path: Path, sender: Sender, heads: Sequence[Bundle]
) -> None:
    file = configure(tmp_path, sender)
    give(started(file)[0], sender, heads[0], 1)
    begun = [started(file, boot_id=f"boot {n}") for n in range(4)]
    assert [used for _, used in begun] == [heads[0].digest] * 3 + [sender.trunk.digest]
    assert last(begun[-1][0]) == ("went_back", "crash")


@pytest.mark.parametrize("damage", ["gone", "one byte", "of another network"])
def test_a_head_that_cannot_be_used_any_more_is_left_for_the_one_before(
    tmp_path: Path, sender: Sender, heads: Sequence[Bundle], damage: str
) -> None:
    file = configure(tmp_path, sender)
    chosen, _ = started(file)
    for number, head in enumerate(heads[:2], 1):
        give(chosen, sender, head, number)
    folder = tmp_path / "heads" / heads[1].digest
    match damage:
        case "gone":
            shutil.rmtree(folder)
        case "one byte":
            top = folder / "top.npz"
            top.write_bytes(top.read_bytes()[:-1] + b"?")
        case "of another network":
            shutil.rmtree(folder)
            shutil.copytree(sender.trunk.path, folder)
    chosen.stopped()
    chosen, used = started(file)
    assert used == heads[0].digest
    assert last(chosen) == ("went_back", "unusable")


DAMAGED = (b"", b"{", b'{"number": -1}', b'{"chosen": "../../etc"}', b"\xff" * 9, b"[]", None)


def spoil(file: Path, content: bytes | None) -> None:
    file.unlink() if content is None else file.write_bytes(content)


def refusal(chosen: SentHeads, sender: Sender, order: Order) -> str | None:
    """Why an order is refused, None where it is not."""
    assert chosen.inbox is not None
    if chosen.inbox.believed(sender.signed(order)) is not None:
        return None
    return str(chosen.inbox.said[1]["refused"]["reason"])


@pytest.mark.parametrize("content", DAMAGED)
def test_a_state_that_is_lost_or_damaged_lets_no_old_order_in(
    tmp_path: Path,
    sender: Sender,
    heads: Sequence[Bundle],
    caplog: pytest.LogCaptureFixture,
    content: bytes | None,
) -> None:
    file = configure(tmp_path, sender)
    chosen, _ = started(file)
    give(chosen, sender, heads[0], 4)
    give(chosen, sender, heads[1], 5)
    chosen.stopped()
    spoil(tmp_path / "heads" / "state.json", content)
    chosen, used = started(file)
    assert used == heads[1].digest
    assert "state.json" in caplog.text
    assert refusal(chosen, sender, sender.order(heads[0], number=4)) == "old"
    assert give(chosen, sender, heads[0], 6) == heads[0].digest
    chosen.stopped()
    spoil(tmp_path / "sent-heads.json", content)  # the other one
    chosen, used = started(file)
    assert used == heads[0].digest
    assert refusal(chosen, sender, sender.order(heads[1], number=5)) == "old"


def test_a_state_that_was_put_back_from_a_backup_lets_no_old_order_in(
    tmp_path: Path, sender: Sender, heads: Sequence[Bundle]
) -> None:
    file = configure(tmp_path, sender)
    chosen, _ = started(file)
    give(chosen, sender, heads[0], 4)
    chosen.stopped()
    shutil.copytree(tmp_path / "heads", tmp_path / "backup")
    give(chosen, sender, heads[1], 5)
    chosen.stopped()
    shutil.rmtree(tmp_path / "heads")
    shutil.move(tmp_path / "backup", tmp_path / "heads")
    chosen, used = started(file)
    assert used == heads[0].digest
    assert chosen.inbox is not None
    same = sender.signed(sender.order(heads[1], number=5))
    assert chosen.inbox.believed(same) is None  # it was dealt with, and there is no fault in it
    assert give(chosen, sender, heads[1], 6) == heads[1].digest


def test_where_all_is_lost_it_is_a_new_recorder_that_refuses_what_has_expired(
    tmp_path: Path, sender: Sender, heads: Sequence[Bundle]
) -> None:
    file = configure(tmp_path, sender)
    give(started(file)[0], sender, heads[0], 5)
    (tmp_path / "heads" / "state.json").write_bytes(b"{")
    (tmp_path / "sent-heads.json").unlink()
    chosen, used = started(file)
    assert used == sender.trunk.digest
    old = sender.order(heads[1], number=4, made_s=1_600_000_000, expires_s=1_602_600_000)
    assert refusal(chosen, sender, old) == "expired"
    assert give(chosen, sender, heads[0], 5) == heads[0].digest


def test_who_configures_another_bundle_has_the_last_word(
    tmp_path: Path, sender: Sender, heads: Sequence[Bundle]
) -> None:
    file = configure(tmp_path, sender)
    chosen, _ = started(file)
    give(chosen, sender, heads[0], 1)
    chosen.stopped()
    word = f"{sender.trunk.path}+{heads[2].path}"
    chosen, used = started(configure(tmp_path, sender, bundle=word))
    assert used == heads[2].digest
    assert last(chosen) == ("left", "configured")
    chosen, used = started(configure(tmp_path, sender))
    assert used == sender.trunk.digest  # and what was left is not used again
    assert give(chosen, sender, heads[1], 2) == heads[1].digest


def test_a_configuration_that_is_at_fault_costs_no_head(
    tmp_path: Path, sender: Sender, heads: Sequence[Bundle]
) -> None:
    file = configure(tmp_path, sender)
    chosen, _ = started(file)
    give(chosen, sender, heads[0], 1)
    faulty = load_config(configure(tmp_path, sender, backend="tensorrt"))
    with pytest.raises(ConfigError):
        chosen.plan(faulty)
    assert chosen.plan(load_config(configure(tmp_path, sender))).provenance.bundle == (
        heads[0].digest
    )


def test_without_a_key_to_trust_nothing_may_be_sent(tmp_path: Path, sender: Sender) -> None:
    with pytest.raises(ConfigError) as caught:
        started(configure(tmp_path, sender, trusted_keys=None))
    assert caught.value.fault.key == "model.trusted_keys"


def test_where_several_judge_there_is_no_place_for_a_head(
    tmp_path: Path, sender: Sender, heads: Sequence[Bundle]
) -> None:
    words = [f"{sender.trunk.path}+{head.path}" for head in heads[:2]]
    chosen, _ = started(configure(tmp_path, sender, bundle=None, bundles=words))
    assert give(chosen, sender, heads[2], 1) is None
    assert last(chosen) == ("refused", "other_trunk")


def test_a_full_disk_refuses_for_now_and_the_same_order_is_taken_later(
    tmp_path: Path, sender: Sender, heads: Sequence[Bundle]
) -> None:
    file = configure(tmp_path, sender)
    chosen, _ = started(file)
    (tmp_path / "heads").write_text("in the way")
    assert give(chosen, sender, heads[0], 1) is None
    assert chosen.counts["storage"] == 1
    (tmp_path / "heads").unlink()
    assert give(chosen, sender, heads[0], 1) == heads[0].digest


def test_a_head_that_ends_the_program_whenever_it_is_tried_is_refused_in_the_end(
    tmp_path: Path, sender: Sender, heads: Sequence[Bundle]
) -> None:
    def deadly(config: Config) -> RecorderPlan:
        if "+" in str(config.model.bundle):
            raise KeyboardInterrupt  # stands for a process that ends at once
        return make_plan(config)

    file = configure(tmp_path, sender)
    for _ in range(3):
        chosen, _ = started(file, plan_of=deadly)
        with pytest.raises(KeyboardInterrupt):
            give(chosen, sender, heads[0], 1)
    chosen, _ = started(file, plan_of=deadly)
    assert give(chosen, sender, heads[0], 1) is None
    assert last(chosen) == ("refused", "self_test")


def test_an_error_of_ours_that_a_head_finds_is_logged_and_survived(
    tmp_path: Path, sender: Sender, heads: Sequence[Bundle], caplog: pytest.LogCaptureFixture
) -> None:
    def faulty(config: Config) -> RecorderPlan:
        if "+" in str(config.model.bundle):
            raise ZeroDivisionError("a bug")
        return make_plan(config)

    chosen, _ = started(configure(tmp_path, sender), plan_of=faulty)
    with caplog.at_level(logging.ERROR):
        assert give(chosen, sender, heads[0], 1) is None
    assert last(chosen) == ("refused", "self_test")
    assert "Traceback" in caplog.text


def test_what_is_left_of_a_kill_is_cleared_away_and_the_one_before_is_kept(
    tmp_path: Path, sender: Sender, heads: Sequence[Bundle]
) -> None:
    file, kept = configure(tmp_path, sender), tmp_path / "heads"
    chosen, _ = started(file)
    for number, head in enumerate(heads, 1):
        assert give(chosen, sender, head, number) == head.digest
        (kept / f".{head.digest[:40]}.0a1b2c3d").mkdir()
    (kept / "photographs").mkdir()  # whose folder this was before
    chosen.stopped()
    started(file)
    names = {path.name for path in kept.iterdir()}
    assert names == {"state.json", "photographs", heads[1].digest, heads[2].digest}


def test_another_network_under_the_same_name_refuses_a_head(
    tmp_path: Path, sender: Sender, heads: Sequence[Bundle]
) -> None:
    other = tiny_bundle(tmp_path / "other", order=(2, 1, 0))
    file = configure(tmp_path, sender, bundle=str(other.path), trusted_keys=[sender.key.text])
    with pytest.raises(Exception, match="not signed"):
        started(file)
