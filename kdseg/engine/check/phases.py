"""All that can be wrong with a recipe, before a device is touched: networks live on the meta device here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from attrs import frozen

from kdseg.components import ClassShares, MetricContext
from kdseg.data.loader import steps_per_epoch
from kdseg.data.views import view_augmentation
from kdseg.engine.check.advice import advice
from kdseg.engine.check.images import open_splits, try_loading
from kdseg.engine.check.memory import step_memory
from kdseg.engine.check.parts import check_critic, check_head, check_output_folder, check_tracking, try_forward
from kdseg.engine.check.plan import check_plan
from kdseg.engine.check.problems import Found
from kdseg.engine.learn.build import META, all_taps, build_gate, build_participants, build_term, tap_shapes, term_taps
from kdseg.engine.learn.class_map import class_map_of
from kdseg.engine.learn.optim import build_optimizer, build_schedule, try_optimizer, try_schedule
from kdseg.engine.learn.plan import Plan
from kdseg.engine.learn.turns import TurnState
from kdseg.engine.learn.watched import callback_context
from kdseg.engine.machine.gpus import gpu_is_here
from kdseg.engine.models.programs import cannot_learn
from kdseg.engine.models.weights import check_weights, weighted_models, with_classes
from kdseg.engine.splits.feeds import augmentation_of
from kdseg.metrics.measure import made
from kdseg.recipe.schema import Learner

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kdseg.data.augment import Augmentation
    from kdseg.data.samples import ClassTable, Samples
    from kdseg.engine.learn.build import TermTaps
    from kdseg.engine.learn.participants import Participant
    from kdseg.engine.models.file_weights import Match
    from kdseg.recipe.load import LoadedRecipe


@frozen(kw_only=True, eq=False)
class Checked:
    """A recipe in which nothing was found wrong, with what was made on the way."""

    loaded: LoadedRecipe
    plan: Plan
    classes: ClassTable
    train: Samples
    val: Samples
    unlabelled: Samples | None
    augmentation: Augmentation
    image_size: tuple[int, int]
    """Height and width of a training image, after augmentation."""
    parameters: Mapping[str, int]
    weights: Mapping[str, Match]
    """What files and the networks that they fill have in common, by participant."""
    tap_shapes: Mapping[str, Mapping[str, tuple[int, int, int]]]
    memory: int
    """Bytes that a step is estimated to take in each process."""
    warnings: tuple[str, ...]


def check(loaded: LoadedRecipe, world: int = 1) -> Checked:
    """Check a recipe for `world` processes, phase by phase.

    Raises:
        ProblemsError: with all that is wrong in the first phase that finds anything.
    """
    loaded = with_classes(loaded)
    recipe, found = loaded.recipe, Found(loaded)
    classes = _classes(found)
    participants, matches = _build(found, len(classes))
    augmentation = augmentation_of(recipe)
    opened = open_splits(found, world, len(classes))
    train, val, unlabelled = opened["train"], opened["val"], opened.get("unlabelled")
    size = try_loading(found, world, opened, augmentation)
    per_epoch = steps_per_epoch(len(train), recipe.train.batch_size, recipe.unlabelled_images)
    plan = Plan(recipe=recipe, steps_per_epoch=per_epoch)
    batch = recipe.train.batch_size // (world * recipe.train.micro_batches)
    taps = _try_networks(found, plan, participants, batch, len(classes), size)
    memory = step_memory(participants, batch, size)
    shapes = _try_terms(found, taps, participants, len(classes), size)
    _build_callbacks(found, participants)
    return Checked(
        loaded=loaded,
        plan=plan,
        classes=classes,
        train=train,
        val=val,
        unlabelled=unlabelled,
        augmentation=augmentation,
        image_size=size,
        parameters={name: _count(participant.module) for name, participant in participants.items()},
        weights=matches,
        tap_shapes=shapes,
        memory=memory,
        warnings=tuple(advice(plan, memory, world, batch_norm=_has_batch_norm(participants.values()))),
    )


def _classes(found: Found) -> ClassTable:
    """Ask the dataset for its classes, and see that the metrics take them."""
    recipe = found.loaded.recipe
    with found.at("data.dataset"):
        classes = recipe.data.dataset.class_table()
    found.end_of_phase()
    with found.at("evaluate.metrics"):
        for metric in recipe.evaluate.metrics:
            made(metric, MetricContext(classes=classes))
    return classes


def _build(found: Found, num_classes: int) -> tuple[dict[str, Participant], dict[str, Match]]:
    """Make everything that needs neither data nor a device, and look at the weights."""
    recipe = found.loaded.recipe
    if recipe.train.precision == "fp16" and not gpu_is_here():
        found.add("train.precision", "'fp16' needs a GPU; 'bf16' runs on CPUs too")
    with found.at("data.augment"):
        augmentation_of(recipe)
    participants: dict[str, Participant] = {}
    for name, model in recipe.models.items():
        with found.at(f"models.{name}.class_map"):
            class_map_of(recipe, name)
            with found.at(f"models.{name}.backbone"):
                participants |= build_participants(recipe, num_classes, META, [name])
        if model.view is not None:
            with found.at(f"models.{name}.view.augment"):
                view_augmentation([(spec.use, spec.options) for spec in model.view.augment], recipe.seed, name)
        if isinstance(model, Learner) and model.backbone.program:
            found.add(f"models.{name}.backbone", cannot_learn(model.backbone))
        elif isinstance(model, Learner) and name in participants:
            with found.at(f"models.{name}.optimizer"):
                try_optimizer(model.optimizer)
                optimizer = build_optimizer(model.optimizer, list(participants[name].module.parameters()))
                with found.at(f"models.{name}.schedule"):
                    build_schedule(model.schedule, optimizer, 1000)
    matches = {}
    for name, backbone, weights in weighted_models(recipe):
        with found.at(f"models.{name}.weights"):
            network = participants[name].module if name in participants else None
            matches[name] = check_weights(found.loaded, name, backbone, weights, network)
    with found.at("output.folder"):
        check_output_folder(recipe)
    with found.at("tracking.tensorboard"):
        check_tracking(recipe)
    found.end_of_phase()
    return participants, {name: match for name, match in matches.items() if match is not None}


def _try_networks(
    found: Found,
    plan: Plan,
    participants: Mapping[str, Participant],
    batch: int,
    num_classes: int,
    size: tuple[int, int],
) -> dict[str, TermTaps]:
    """See whether plan, schedules and sizes fit together, and give the taps of each term."""
    recipe = found.loaded.recipe
    check_plan(found, plan)
    with found.at("turns.gate"):
        TurnState(plan, build_gate(recipe))
    heads = {}
    for name, participant in participants.items():
        if isinstance(participant.spec, Learner) and plan.learner_steps[name]:
            with found.at(f"models.{name}.schedule"):
                try_schedule(participant.spec.schedule, participant.spec.optimizer, plan.learner_steps[name])
        with found.at(f"models.{name}.backbone"):
            heads[name] = try_forward(participant, batch, size, num_classes)
    found.end_of_phase()
    taps = {}
    for name, spec in recipe.terms.items():
        for key, named in (("learner", [spec.learns]), ("source", spec.hears)):
            with found.at(f"terms.{name}.{key}"):
                for head in named:
                    check_head(head, heads[head.participant], (batch, num_classes, *size))
        with found.at(f"terms.{name}.loss"):
            taps[name] = term_taps(spec, participants)
    found.end_of_phase()
    return taps


def _try_terms(
    found: Found,
    taps: Mapping[str, TermTaps],
    participants: Mapping[str, Participant],
    num_classes: int,
    size: tuple[int, int],
) -> dict[str, dict[str, tuple[int, int, int]]]:
    """See whether losses take the shapes that taps have, and give the shapes."""
    recipe = found.loaded.recipe
    shapes = {}
    for name, wanted in all_taps(taps, recipe).items():
        with found.at(f"models.{name}.backbone"):
            shapes[name] = tap_shapes(participants[name], wanted, size)
    found.end_of_phase()
    even = ClassShares(pixels=(1,) * num_classes, pixels_where_present=(1,) * num_classes, images=(1,) * num_classes)
    for name in recipe.terms:
        with found.at(f"terms.{name}.loss"):
            term = build_term(
                recipe, name, taps[name], shapes, num_classes=num_classes, class_shares=lambda: even, device=META
            )
            with found.at(f"terms.{name}.critic"):
                check_critic(recipe.terms[name], term)
    found.end_of_phase()
    return shapes


def _build_callbacks(found: Found, participants: Mapping[str, Participant]) -> None:
    """Let callbacks see the recipe."""
    recipe = found.loaded.recipe
    for label, callback in recipe.callbacks.items():
        with found.at(f"callbacks.{label}"):
            callback.build(callback_context(recipe, label, participants))
    found.end_of_phase()


def _has_batch_norm(participants: Iterable[Participant]) -> bool:
    kinds = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d, torch.nn.SyncBatchNorm)
    learners = [one.module for one in participants if isinstance(one.spec, Learner)]
    return any(isinstance(layer, kinds) for module in learners for layer in module.modules())


def _count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
