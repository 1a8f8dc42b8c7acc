"""What is allowed in a recipe but seldom meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.engine.machine.gpus import available_memory
from kdseg.engine.machine.launch import asks_for_fsdp
from kdseg.recipe.schema import Frozen, Learner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kdseg.engine.learn.plan import Plan
    from kdseg.recipe.schema import Recipe

GIB = 2**30


def advice(plan: Plan, memory: int, world: int, *, batch_norm: bool) -> Iterator[str]:
    """Give warnings, each starting with the recipe's key.

    Args:
        plan: what the run does.
        memory: bytes that a step is estimated to take.
        world: how many processes share a step.
        batch_norm: whether a learner has layers that normalise over the batch.
    """
    recipe = plan.recipe
    yield from _about_classes(recipe)
    yield from _about_learning(recipe)
    if asks_for_fsdp():
        yield (
            "accelerate: FSDP2 is experimental: it has run in two processes on a CPU, never yet on GPUs. Plain data "
            "parallelism (--multi_gpu) is enough where learners fit on one GPU: 70 million weights, with gradients and "
            "Adam's state, take 1.1 GB"
        )
    if recipe.train.micro_batches * world > 1:
        share = recipe.train.batch_size // (recipe.train.micro_batches * world)
        for name, term in recipe.terms.items():
            if term.loss.per == "batch":
                yield f"terms.{name}.loss: a mean over a batch, and it sees micro-batches of {share} images"
        if batch_norm:
            yield (
                f"train.micro_batches: batch normalisation sees micro-batches of {share} images, "
                f"not the step's {recipe.train.batch_size}; group normalisation would see no difference"
            )
    free = available_memory()
    if free is not None and memory > free:
        yield f"train.batch_size: a step takes about {memory / GIB:.1f} GiB of memory and {free / GIB:.1f} GiB are free"


def _about_classes(recipe: Recipe) -> Iterator[str]:
    """Tell which classes a source does not know, and which it knows in vain."""
    names = recipe.data.dataset.class_table().names
    for name, model in recipe.models.items():
        if not isinstance(model, Frozen) or model.class_map is None or model.classes is None:
            continue
        taught = set(model.class_map.values())
        if unknown := [one for one in names if one not in taught]:
            yield (
                f"models.{name}.class_map: {name!r} does not know {', '.join(unknown)}: its terms leave out pixels "
                "with these labels, and compare probabilities of the other classes alone"
            )
        if dropped := [one for one in model.classes if one not in model.class_map]:
            yield f"models.{name}.class_map: nothing is made of {', '.join(dropped)}"


def _about_learning(recipe: Recipe) -> Iterator[str]:
    if recipe.data.unlabelled is not None and all(term.on == "labelled" for term in recipe.terms.values()):
        yield 'data.unlabelled: no term counts on these images; a distillation with on = "all" would'
    for name, model in recipe.models.items():
        if not isinstance(model, Learner):
            continue
        terms = {label: term for label, term in recipe.terms.items() if term.learns.participant == name}
        if not any(term.loss.role == "supervised" for term in terms.values()) and model.weights is None:
            for label, term in terms.items():
                sources = {head.participant: recipe.models[head.participant] for head in term.hears}
                if sources and all(isinstance(one, Learner) and one.weights is None for one in sources.values()):
                    named = " and ".join(map(repr, sources))
                    yield (
                        f"terms.{label}: {name!r} learns from no labels, and its source {named} starts "
                        "untrained; a supervised term, or weights for the source, would give it something to learn"
                    )
        if len(terms) == 1:
            ((label, term),) = terms.items()
            if not isinstance(term.weight, float | int):
                yield (
                    f"terms.{label}.weight: a curve on the only term of {name!r} does little: optimizers that scale "
                    "gradients by their size, Adam's family, do not feel it; shape the schedule instead"
                )
