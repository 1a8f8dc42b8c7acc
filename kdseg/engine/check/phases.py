"""All that can be wrong with a recipe, before a device is touched: networks live on the meta device here."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from attrs import define, field, frozen

from kdseg.by_name import OptionError
from kdseg.components import ClassShares, MetricContext
from kdseg.data.augment import Augmentation
from kdseg.data.images import refuse_small
from kdseg.data.loader import eval_batches, steps_per_epoch, train_steps
from kdseg.engine.check.advice import advice
from kdseg.engine.check.memory import step_memory
from kdseg.engine.check.parts import IMAGES_READ, check_critic, check_samples, try_forward
from kdseg.engine.learn.build import META, all_taps, build_participants, build_term, tap_shapes, term_taps
from kdseg.engine.learn.optim import build_optimizer, build_schedule, try_optimizer, try_schedule
from kdseg.engine.learn.plan import Plan
from kdseg.engine.models.weights import check_weights, weighted_models
from kdseg.engine.models.whole_image import WholeImage
from kdseg.engine.splits.open import split_context
from kdseg.errors import KdsegError, Problem, ProblemsError, did_you_mean, display_path
from kdseg.metrics.segmentation import scores_to_judge_by
from kdseg.recipe.schema import Learner

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kdseg.data.samples import ClassTable, Samples
    from kdseg.engine.learn.participants import Participant
    from kdseg.recipe.load import LoadedRecipe


@frozen(kw_only=True, eq=False)
class Checked:
    """A recipe in which nothing was found wrong, with what was made on the way."""

    loaded: LoadedRecipe
    plan: Plan
    classes: ClassTable
    train: Samples
    val: Samples
    augmentation: Augmentation
    image_size: tuple[int, int]
    """Height and width of a training image, after augmentation."""
    parameters: Mapping[str, int]
    tap_shapes: Mapping[str, Mapping[str, tuple[int, int, int]]]
    memory: int
    """Bytes that a step is estimated to take in each process."""
    warnings: tuple[str, ...]


def check(loaded: LoadedRecipe, world: int = 1) -> Checked:
    """Check a recipe for `world` processes.

    Raises:
        ProblemsError: with all that is wrong in the first phase that finds anything.
    """
    return _Check(loaded=loaded, world=world).run()


@define(kw_only=True, eq=False)
class _Check:
    loaded: LoadedRecipe
    world: int
    problems: list[Problem] = field(factory=list)

    def run(self) -> Checked:
        recipe = self.loaded.recipe
        with self.placed("data.dataset"):
            classes = recipe.data.dataset.class_table()
        self.end_of_phase()
        with self.placed("evaluate.metrics"):
            for metric in recipe.evaluate.metrics:
                metric.build(MetricContext(classes=classes))
        participants = self.build_phase(len(classes))
        augmentation = Augmentation([(spec.use, spec.options) for spec in recipe.data.augment], recipe.seed)
        train, val = self.open_splits(len(classes))
        size = self.try_loading(train, val, augmentation)
        plan = Plan(recipe=recipe, steps_per_epoch=steps_per_epoch(len(train), recipe.train.batch_size))
        shapes, memory = self.fit_phase(plan, participants, len(classes), size)
        return Checked(
            loaded=self.loaded,
            plan=plan,
            classes=classes,
            train=train,
            val=val,
            augmentation=augmentation,
            image_size=size,
            parameters={name: _count(participant.module) for name, participant in participants.items()},
            tap_shapes=shapes,
            memory=memory,
            warnings=tuple(advice(plan, memory, self.world, batch_norm=_has_batch_norm(participants.values()))),
        )

    def build_phase(self, num_classes: int) -> dict[str, Participant]:
        """Make everything that needs neither data nor a device."""
        recipe = self.loaded.recipe
        if recipe.train.precision == "fp16" and not torch.cuda.is_available():
            self.problem("train.precision", "'fp16' needs a GPU; 'bf16' runs on CPUs too")
        with self.placed("data.augment"):
            Augmentation([(spec.use, spec.options) for spec in recipe.data.augment], recipe.seed)
        participants: dict[str, Participant] = {}
        for name, model in recipe.models.items():
            with self.placed(f"models.{name}.backbone"):
                participants |= build_participants(recipe, num_classes, META, [name])
            if isinstance(model, Learner) and name in participants:
                with self.placed(f"models.{name}.optimizer"):
                    try_optimizer(model.optimizer)
                    optimizer = build_optimizer(model.optimizer, list(participants[name].module.parameters()))
                    with self.placed(f"models.{name}.schedule"):
                        build_schedule(model.schedule, optimizer, 1000)
        for name, backbone, weights in weighted_models(recipe):
            with self.placed(f"models.{name}.weights"):
                check_weights(self.loaded, name, backbone, weights)
        self.check_output_folder()
        self.end_of_phase()
        return participants

    def open_splits(self, num_classes: int) -> tuple[Samples, Samples]:
        """Open both splits and read the first samples of each."""
        data, train = self.loaded.recipe.data, self.loaded.recipe.train
        opened: dict[str, Samples] = {}
        for split in ("train", "val"):
            dataset = data.for_split(split)
            key = "data.dataset" if dataset is data.dataset else f"data.{split}"
            with self.placed(key):
                samples = dataset.build(split_context(self.loaded.recipe, split))
                for defect in getattr(samples, "defects", ()):
                    self.problem(key, str(defect))
                check_samples(samples, split, num_classes)
                opened[split] = samples
        if "train" in opened:
            with self.placed("train.batch_size"):
                steps_per_epoch(len(opened["train"]), train.batch_size)
                if train.batch_size % (self.world * train.micro_batches):
                    raise KdsegError(
                        f"a step's batch of {train.batch_size} does not divide over {self.world} processes with "
                        f"{train.micro_batches} micro-batches each"
                    )
        self.end_of_phase()
        return opened["train"], opened["val"]

    def try_loading(self, train: Samples, val: Samples, augmentation: Augmentation) -> tuple[int, int]:
        """Load as the run will, and give height and width of the training images."""
        recipe = self.loaded.recipe
        height = width = 0
        with self.placed("data.augment"):
            augmentation.check(train[0])
            share = recipe.train.batch_size // (self.world * recipe.train.micro_batches)
            batch_size = min(share, IMAGES_READ)
            steps = train_steps(
                train, augmentation, seed=recipe.seed, batch_size=batch_size, micro_batches=1, last_step=1, workers=0
            )
            images = next(steps)[0].images
            refuse_small(images[0].numpy(), "a training image, augmented,")
            height, width = images.shape[1:3]
        with self.placed("evaluate.batch_size"):
            batch_size = min(recipe.evaluate.batch_size or recipe.train.batch_size, IMAGES_READ)
            judged = next(eval_batches(val, batch_size=batch_size, workers=0)).images
            with self.placed("evaluate.scales"):
                WholeImage.of(recipe.evaluate, batch_size).refuse(*judged.shape[1:3])
        self.end_of_phase()
        return height, width

    def fit_phase(
        self, plan: Plan, participants: Mapping[str, Participant], num_classes: int, size: tuple[int, int]
    ) -> tuple[dict[str, dict[str, tuple[int, int, int]]], int]:
        """See whether plan, sizes, taps and losses fit together."""
        recipe = self.loaded.recipe
        self.check_plan(plan)
        batch = recipe.train.batch_size // (self.world * recipe.train.micro_batches)
        for name, participant in participants.items():
            if isinstance(participant.spec, Learner) and plan.learner_steps[name]:
                with self.placed(f"models.{name}.schedule"):
                    try_schedule(participant.spec.schedule, participant.spec.optimizer, plan.learner_steps[name])
            with self.placed(f"models.{name}.backbone"):
                try_forward(participant, batch, size, num_classes)
        self.end_of_phase()
        taps = {}
        for name, spec in recipe.terms.items():
            with self.placed(f"terms.{name}.loss"):
                taps[name] = term_taps(spec, participants)
        self.end_of_phase()
        memory = step_memory(participants, batch, size)
        shapes = {name: tap_shapes(participants[name], wanted, size) for name, wanted in all_taps(taps, recipe).items()}
        even = ClassShares(
            pixels=(1,) * num_classes, pixels_where_present=(1,) * num_classes, images=(1,) * num_classes
        )
        for name in recipe.terms:
            with self.placed(f"terms.{name}.loss"):
                term = build_term(
                    recipe, name, taps[name], shapes, num_classes=num_classes, class_shares=lambda: even, device=META
                )
                with self.placed(f"terms.{name}.critic"):
                    check_critic(recipe.terms[name], term)
        self.end_of_phase()
        return shapes, memory

    def check_plan(self, plan: Plan) -> None:
        """Refuse turns, terms and learners that the whole run never reaches."""
        recipe = self.loaded.recipe
        known = scores_to_judge_by(recipe.evaluate.metrics)
        if recipe.evaluate.metric not in known:
            hint = did_you_mean(recipe.evaluate.metric, known) or f"; known are {', '.join(known)}"
            self.problem("evaluate.metric", f"unknown metric {recipe.evaluate.metric!r}{hint}")
        steps = f"in the run's {plan.total_steps} steps" if plan.total_steps > 1 else "in the run's only step"
        for turn in plan.idle_turns:
            if plan.comes(turn):
                message = f"no term counts in turn {turn!r} {steps}: give it a term, or take it out"
            else:
                message = f"turn {turn!r} never comes {steps}: make the run longer, or take it out"
            self.problem("turns.order", message)
        for name, wanted in (recipe.train.steps_of or {}).items():
            if 0 < plan.learner_steps[name] != wanted:
                self.problem(
                    "train.steps_of",
                    f"{name!r} takes {plan.learner_steps[name]} {steps}, not {wanted}: the weights of its terms are 0 "
                    "at the others; give the length as `steps` or `epochs`",
                )
        for name in recipe.terms:
            if not plan.term_steps[name]:
                self.problem(f"terms.{name}", f"never counts {steps}: its turn does not come, or its weight is 0")
        for name, model in recipe.models.items():
            if isinstance(model, Learner) and not plan.learner_steps[name]:
                self.problem(
                    f"models.{name}",
                    f"never learns {steps}: give it a term, freeze it with `frozen = true`, or take it out",
                )

    def check_output_folder(self) -> None:
        """Refuse a folder for runs that cannot be written."""
        folder = (self.loaded.recipe.output.folder / self.loaded.recipe.name).absolute()
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        try:
            with tempfile.TemporaryDirectory(prefix=".kdseg-", dir=existing):
                pass
        except NotADirectoryError:
            self.problem("output.folder", f"{display_path(existing)} is a file; a folder for runs is needed")
        except OSError as error:
            what = f"{display_path(existing)} cannot be written to ({error.strerror})"
            self.problem("output.folder", f"{what}; name a folder that can")

    def problem(self, key: str, message: str) -> None:
        problem = self.loaded.problem(key, " ".join(message.split()))
        if problem not in self.problems:  # a folder that lacks both splits is told once
            self.problems.append(problem)

    @contextmanager
    def placed(self, key: str) -> Iterator[None]:
        """Turn whatever a part raises while it is made into a problem at its key."""
        try:
            yield
        except OptionError as error:
            for option, message in error.problems:
                self.problem(f"{key}.{option}" if option else key, message)
        except ProblemsError as error:  # of another recipe, which this one builds on
            for problem in error.problems:
                self.problem(key, str(problem))
        except (KdsegError, ValueError, TypeError) as error:
            self.problem(key, str(error))
        except Exception as error:  # noqa: BLE001 (a plugin may raise anything; it is told where the recipe asks for it)
            self.problem(key, f"{type(error).__name__}: {error}")

    def end_of_phase(self) -> None:
        if self.problems:
            raise ProblemsError(self.problems)


def _has_batch_norm(participants: Iterable[Participant]) -> bool:
    kinds = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d, torch.nn.SyncBatchNorm)
    learners = [one.module for one in participants if isinstance(one.spec, Learner)]
    return any(isinstance(layer, kinds) for module in learners for layer in module.modules())


def _count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
