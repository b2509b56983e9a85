"""The members of an ensemble, each a network trained by itself.

On a CPU they train side by side, each in a process of its own.
"""

from __future__ import annotations

import math
import multiprocessing
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import cast

import torch
from torch import nn

from edge.errors import SpecError, UserError
from train.learning.checkpoint import load_trained
from train.learning.lessons import lessons_of
from train.learning.splits import Splits
from train.learning.stages import check_stages
from train.learning.trainer import Progress, Trainer, pick_device
from train.networks import build_network
from train.networks.backbones import Backbone, load_published
from train.recipe.load import load_recipe
from train.recipe.recipe import Recipe
from train.windows.cache import ComponentCache
from train.windows.pseudo import PseudoLabels

__all__ = [
    "MemberTask",
    "Report",
    "check_network",
    "member_network",
    "train_members",
]

Report = Callable[[int, Progress], None]


@dataclass(frozen=True, kw_only=True)
class MemberTask:
    """What the training of one member needs; crosses a process border.

    `earlier` is the run whose weights it starts from; its pseudo labels are in `folder`. Training
    ends after `most_s` at the latest, and an epoch.
    """

    recipe: Recipe
    labels: tuple[str, ...]
    splits: Splits
    cache: ComponentCache
    folder: Path
    device: str
    threads: int
    earlier: Path | None = None
    most_s: float = math.inf

    @property
    def pseudo(self) -> PseudoLabels | None:
        """The pseudo labels of a training that follows an earlier one."""
        if self.earlier is None:
            return None
        return PseudoLabels(folder=self.folder / "labels", labels=self.labels)


def check_network(task: MemberTask) -> None:
    """Build the network once, and fetch its published weights.

    Whatever cannot work raises `UserError` here, before features are computed.
    """
    network = member_network(task.recipe, task.labels)
    check_stages(network, task.recipe.network.kind, task.recipe.stages)
    has_trunk = any(isinstance(part, Backbone) for part in network.modules())
    if task.recipe.head_rate != 1 and not has_trunk:
        raise SpecError(
            f"head_rate: network {task.recipe.network.kind} has no published trunk beside a head; "
            "leave it out"
        )
    if not (task.folder / "member-0" / "checkpoint.pt").exists():
        _give_first_weights(network, task, 0)


def _give_first_weights(network: nn.Module, task: MemberTask, member: int) -> None:
    """Load what training starts from: an earlier run's weights, published ones, or none."""
    if task.earlier is not None:
        count = load_recipe(task.earlier / "recipe.yaml").members
        folder = task.earlier / f"member-{member % count}"
        if not (folder / "checkpoint.pt").exists():
            raise UserError(
                f"{folder}: checkpoint.pt is missing; this training would start from its weights: "
                "give a finished run"
            )
        load_trained(network, folder=folder)
    elif task.recipe.network.pretrained:
        file = task.recipe.network.weights
        load_published(network, file=Path(file) if file else None)


def train_members(task: MemberTask, report: Report) -> list[nn.Module]:
    """Train the members and return their networks.

    On a CPU they train side by side with one thread each, which is faster than one after the other
    with all threads.
    """
    count = task.recipe.members
    if count == 1 or pick_device(task.device).type != "cpu":
        torch.set_num_threads(task.threads)
        return [_train_member(task, i, report) for i in range(count)]
    _train_side_by_side(task, report)
    return [
        load_trained(member_network(task.recipe, task.labels), folder=task.folder / f"member-{i}")
        for i in range(count)
    ]


def _train_side_by_side(task: MemberTask, report: Report) -> None:
    """Train each member in a process of its own; raises what one of them has raised, and
    `UserError` when one is killed.
    """
    context = multiprocessing.get_context("spawn")
    processes, readers, faults = [], [], list[Exception]()
    for i in range(task.recipe.members):
        reader, writer = context.Pipe(duplex=False)
        processes.append(context.Process(target=_member_process, args=(task, i, writer)))
        processes[-1].start()
        # The member's own is the only one left, so that its death is the end of the stream.
        writer.close()
        readers.append(reader)
    while readers:
        for ready in wait(readers):
            reader = cast(Connection, ready)
            try:
                message: Exception | tuple[int, Progress] = reader.recv()
            except EOFError:
                readers.remove(reader)
                continue
            if isinstance(message, Exception):
                faults.append(message)
            else:
                report(*message)
    for process in processes:
        process.join()
    if faults:
        raise faults[0]
    if any(process.exitcode for process in processes):
        raise UserError(
            f"{task.folder}: training was interrupted; run the same command again to resume"
        )


def _member_process(task: MemberTask, member: int, reports: Connection) -> None:
    torch.set_num_threads(1)
    with reports:
        try:
            _train_member(task, member, lambda i, progress: reports.send((i, progress)))
        except UserError as exc:
            reports.send(exc)
        except Exception:  # ours: with where it came from, which is lost on the way
            reports.send(RuntimeError(f"member {member}: {traceback.format_exc()}"))


def _train_member(task: MemberTask, member: int, report: Report) -> nn.Module:
    from torch.utils.tensorboard import SummaryWriter  # imports slowly

    recipe = task.recipe
    folder = task.folder / f"member-{member}"
    device = pick_device(task.device)
    torch.manual_seed(recipe.seed + member)
    network = member_network(recipe, task.labels)
    if not (folder / "checkpoint.pt").exists():
        _give_first_weights(network, task, member)
    objective, validate = lessons_of(task, device)
    trainer = Trainer(
        recipe, network, objective, folder=folder, device=device, seed=recipe.seed + member
    )
    board = SummaryWriter(str(folder))

    def log(progress: Progress) -> None:
        for key, value in progress.numbers.items():
            board.add_scalar(key, value, progress.step)
        board.flush()
        report(member, progress)

    trained = trainer.run(validate, log, most_s=task.most_s)
    board.close()
    return trained.cpu().eval()


def member_network(recipe: Recipe, labels: Sequence[str]) -> nn.Module:
    """Return a new network of the recipe.

    It has no class scores where a classifier is trained on top of it.
    """
    classes = None if recipe.classifier is not None else len(labels)
    return build_network(
        recipe.network.kind, recipe.network.options, shape=recipe.frontend.shape, classes=classes
    )
