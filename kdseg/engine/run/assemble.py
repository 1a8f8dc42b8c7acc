"""From a recipe in which nothing is wrong to a run ready for its first step."""

from __future__ import annotations

import logging
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from attrs import asdict

from kdseg.data.images import Normalise
from kdseg.data.rare_classes import RareClasses, rare_classes
from kdseg.engine.folders.run_folder import METRICS
from kdseg.engine.learn.build import (
    all_taps,
    build_gate,
    build_learners,
    build_participants,
    build_shadows,
    build_term,
    term_taps,
)
from kdseg.engine.learn.critics import build_critics
from kdseg.engine.learn.step import Stepper
from kdseg.engine.learn.terms import Fusing
from kdseg.engine.learn.turns import TurnState
from kdseg.engine.machine.sharding import Sharded
from kdseg.engine.models.model import card_of
from kdseg.engine.models.settled import load_settled
from kdseg.engine.models.weights import weighted_models
from kdseg.engine.run.callbacks import Callbacks
from kdseg.engine.run.recorder import Recorder
from kdseg.engine.run.state import Run
from kdseg.engine.run.tensorboard_tracker import TensorBoardTracker
from kdseg.engine.run.wandb_tracker import WandbTracker
from kdseg.engine.splits.scans import scan_training
from kdseg.errors import KdsegError
from kdseg.recipe.schema import Frozen
from kdseg.recipe.single import plain_component

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from kdseg.data.scan import Scan
    from kdseg.engine.check.phases import Checked
    from kdseg.engine.learn.participants import Participant
    from kdseg.engine.machine.processes import Processes
    from kdseg.engine.run.trackers import Tracker
    from kdseg.hooks import Hooks
    from kdseg.recipe.schema import Recipe


log = logging.getLogger(__name__)


def assemble(folder: Path, checked: Checked, processes: Processes, console: Callable[[], Hooks] | None) -> Run:
    """Make all parts of a run on its device, with the first weights of its seed.

    Args:
        folder: the run's own.
        checked: the recipe.
        processes: what it runs on.
        console: makes what shows progress; called on the main process.

    Raises:
        KdsegError: weights cannot be loaded, or the training split is not as it must be.
    """
    recipe, device, precision = checked.loaded.recipe, processes.device, checked.loaded.recipe.train.precision
    training_scan: Callable[[], Scan] = cache(partial(scan_training, checked))
    participants = build_participants(recipe, len(checked.classes), device)
    for name, backbone, weights in weighted_models(recipe):
        match = load_settled(name, backbone, weights, participants[name].module, checked.loaded.plugins.registry)
        if match is not None and processes.is_main:
            for line in match.told():
                log.log(logging.INFO if match.is_full else logging.WARNING, "models.%s.weights: %s", name, line)
    taps = {name: term_taps(term, participants) for name, term in recipe.terms.items()}
    terms = {
        name: build_term(
            recipe,
            name,
            taps[name],
            checked.tap_shapes,
            num_classes=len(checked.classes),
            class_shares=lambda: training_scan().shares(),
            device=device,
        )
        for name in recipe.terms
    }
    for name, wanted in all_taps(taps, recipe).items():
        _make_ready(participants[name], wanted, recipe, processes)
    learners = build_learners(checked.plan, participants, terms, precision)
    stepper = Stepper(
        plan=checked.plan,
        turns=TurnState(checked.plan, build_gate(recipe)),
        processes=processes,
        participants=participants,
        learners=learners,
        shadows=build_shadows(participants, learners),
        terms=terms,
        critics=build_critics(recipe, terms, precision),
        fusing=Fusing(terms=terms, fuse=recipe.train.fuse, device=device),
        seed=recipe.seed,
        normalise=Normalise.of(recipe.data.mean, recipe.data.std, device),
    )
    return Run(
        checked=checked,
        folder=folder,
        processes=processes,
        stepper=stepper,
        recorder=_recorder(folder, checked, processes),
        callbacks=Callbacks.build(
            recipe,
            participants,
            [console()] if console is not None and processes.is_main else [],
            all_strict=processes.sharded,
        ),
        cards=_cards(checked, participants),
        sharded=[Sharded.of(one, processes.accelerator) for one in learners.values()] if processes.sharded else [],
        rare_classes=_rare_classes(recipe, training_scan),
    )


def _make_ready(participant: Participant, taps: set[str], recipe: Recipe, processes: Processes) -> None:
    """Let a participant capture its taps, stay as it is where it is frozen, and be compiled where that is asked for."""
    participant.watch(taps)
    if isinstance(participant.spec, Frozen):
        participant.module.requires_grad_(requires_grad=False).eval()
    else:
        participant.module.train()  # parts of it may have come in eval mode, as pretrained ones do
    if recipe.train.compile:
        if processes.sharded:
            raise KdsegError("train.compile: cannot run with FSDP2; set it to false, or launch without FSDP")
        participant.module.compile()


def _recorder(folder: Path, checked: Checked, processes: Processes) -> Recorder:
    if not processes.is_main:
        return Recorder(None)
    recipe, classes = checked.loaded.recipe, checked.classes
    trackers: list[Tracker] = []
    if recipe.tracking.wandb is not None:
        trackers.append(WandbTracker.start(recipe, folder, classes))
    if recipe.tracking.tensorboard:
        trackers.append(TensorBoardTracker(folder, classes.colours))
    return Recorder(folder / METRICS, tuple(trackers))


def _cards(checked: Checked, participants: Mapping[str, Participant]) -> dict[str, dict[str, Any]]:
    data, registry = checked.loaded.recipe.data, checked.loaded.plugins.registry
    return {
        name: card_of(plain_component(participant.backbone, registry), checked.classes, data.mean, data.std)
        for name, participant in participants.items()
        if not isinstance(participant.spec, Frozen)
    }


def _rare_classes(recipe: Recipe, training_scan: Callable[[], Scan]) -> RareClasses | None:
    options = recipe.data.rare_classes
    if options is None:
        return None
    scan = training_scan()
    return rare_classes(scan.labelled_pixels, scan.pixels.sum(1), **asdict(options))
