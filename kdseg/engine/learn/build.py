"""From what a recipe names to working parts, on a real device or, for checks, on the meta device."""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING

import torch
from attrs import frozen

from kdseg.components import BackboneContext, ClassShares, EnsembleContext, GateContext, LossContext
from kdseg.data.streams import stream
from kdseg.engine.learn.class_map import Known, class_map_of
from kdseg.engine.learn.optim import build_optimizer, build_schedule
from kdseg.engine.learn.participants import LearnerState, Participant, ShadowState, initialise, resolve_tap
from kdseg.engine.learn.terms import Term
from kdseg.errors import KdsegError, did_you_mean
from kdseg.recipe.schema import Learner, Shadow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import nn

    from kdseg.components import Backbone
    from kdseg.engine.learn.plan import Plan
    from kdseg.gates import TurnGate
    from kdseg.losses import LossModule
    from kdseg.recipe.schema import Recipe
    from kdseg.recipe.schema import Term as TermSpec

META = torch.device("meta")


def backbone_of(recipe: Recipe, name: str) -> Backbone:
    """Give a participant's backbone; a shadow's is its learner's."""
    spec = recipe.models[name]
    if isinstance(spec, Shadow):
        return backbone_of(recipe, spec.shadow_of)
    return spec.backbone


def build_network(recipe: Recipe, name: str, num_classes: int, device: torch.device) -> nn.Module:
    """Make a participant's network, its first weights keyed by the recipe's seed and its name alone."""
    spec, backbone = recipe.models[name], backbone_of(recipe, name)
    source = spec.shadow_of if isinstance(spec, Shadow) else name  # a shadow starts as its learner
    ctx = BackboneContext(in_channels=3, num_classes=num_classes, mean=recipe.data.mean, std=recipe.data.std)

    def build() -> nn.Module:
        return backbone.build(ctx)

    if device == META:
        with META, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a plugin that loads its own weights is told that meta holds none
            return build()
    network = initialise(build, stream(recipe.seed, "weights", source)).to(device)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def build_participants(
    recipe: Recipe, num_classes: int, device: torch.device, names: Iterable[str] | None = None
) -> dict[str, Participant]:
    """Make participants, all of the recipe's unless named, with the weights of their seed."""
    return {
        name: Participant(
            name=name,
            spec=recipe.models[name],
            backbone=backbone_of(recipe, name),
            module=build_network(recipe, name, num_classes if classes is None else classes.size, device),
            class_map=classes,
        )
        for name in (recipe.models if names is None else names)
        for classes in [class_map_of(recipe, name)]
    }


@frozen
class TermTaps:
    """The taps that a term's loss reads."""

    learner: tuple[str, ...]
    source: tuple[str, ...]


def term_taps(term: TermSpec, participants: Mapping[str, Participant]) -> TermTaps:
    """Ask a term's loss for its taps.

    Raises:
        KdsegError: for a tap that the network lacks.
    """
    learner = participants[term.learns.participant]
    source = participants[term.hears[0].participant] if len(term.hears) == 1 else None
    wanted = TermTaps(*term.loss.taps(_stages(learner), () if source is None else _stages(source)))
    for participant, taps in ((learner, wanted.learner), (source, wanted.source)):
        for tap in taps:
            if participant is None:
                found = "several sources, whose features are not combined" if term.hears else "no source"
                raise KdsegError(f"asks for the source's tap {tap!r}, but the term has {found}")
            try:
                resolve_tap(participant.backbone, participant.module, tap)
            except KeyError as error:
                offered = ", ".join(_stages(participant)) or "no stages, but any dotted submodule path"
                if not any(error.args[0]):
                    offered = "none"
                hint = did_you_mean(tap, error.args[0]) or f"; it has {offered}"
                raise KdsegError(f"{participant.name} has no tap {tap!r}{hint}") from None
    return wanted


def _stages(participant: Participant) -> tuple[str, ...]:
    return tuple(participant.backbone.taps(participant.module))


def all_taps(taps: Mapping[str, TermTaps], recipe: Recipe) -> dict[str, set[str]]:
    """Gather, by participant, the taps that any term reads."""
    wanted: dict[str, set[str]] = {name: set() for name in recipe.models}
    for name, term in recipe.terms.items():
        wanted[term.learns.participant].update(taps[name].learner)
        if taps[name].source:
            wanted[term.hears[0].participant].update(taps[name].source)
    return wanted


def tap_shapes(participant: Participant, taps: Iterable[str], size: tuple[int, int]) -> dict[str, tuple[int, int, int]]:
    """Give the shapes of taps for training images of a size, from a forward on the meta device.

    Raises:
        KdsegError: a tap gives no features: its module is not run, or gives something else.
    """
    participant.watch(taps)
    participant.set_training(False)
    with torch.no_grad():
        prediction = participant.predict_in_training(torch.empty(1, 3, *size, device=META))
    for tap in sorted(participant.taps):
        features = prediction.taps.get(tap)
        if not isinstance(features, torch.Tensor) or features.dim() != 4:  # noqa: PLR2004 (N×C×H×W)
            raise KdsegError(f"the tap {tap!r} of {participant.name} gives no features N×C×H×W as the network runs")
    return {name: (tap.shape[1], tap.shape[2], tap.shape[3]) for name, tap in prediction.taps.items()}


def build_term(
    recipe: Recipe,
    name: str,
    taps: TermTaps,
    shapes: Mapping[str, Mapping[str, tuple[int, int, int]]],
    *,
    num_classes: int,
    class_shares: Callable[[], ClassShares],
    device: torch.device,
) -> Term:
    """Make a term's loss, its own first weights keyed by the recipe's seed and the term's name.

    Raises:
        KdsegError: one of several sources does not know all classes.
    """
    spec = recipe.terms[name]
    known = _known(recipe, spec, device)
    if known is not None:
        num_classes, shares_of_all = len(known.classes), class_shares

        def class_shares() -> ClassShares:
            return shares_of_all().of(known.classes)

    ctx = LossContext(
        num_classes=num_classes,
        class_shares=class_shares,
        learner_taps={tap: shapes[spec.learns.participant][tap] for tap in taps.learner},
        source_taps={tap: shapes[spec.hears[0].participant][tap] for tap in taps.source},
    )
    combine = None
    if spec.combine is not None:
        combine = spec.combine.build(EnsembleContext(num_classes=num_classes, sources=len(spec.hears)))
    module = initialise(lambda: spec.loss.build(ctx), stream(recipe.seed, "loss-weights", name))
    return Term(
        name=name,
        learner=spec.learns,
        sources=spec.hears,
        combine=combine,
        loss=spec.loss,
        module=module.to(device),  # type: ignore[arg-type]
        learner_taps=taps.learner,
        on_all=spec.on == "all",
        known=known,
    )


def _known(recipe: Recipe, term: TermSpec, device: torch.device) -> Known | None:
    """Give the classes that a term is about, where its source does not know all."""
    maps = {head.participant: class_map_of(recipe, head.participant) for head in term.hears}
    partial = {name: classes for name, classes in maps.items() if classes is not None and not classes.is_whole}
    if partial and len(term.hears) > 1:
        raise KdsegError(
            f"its source {' and '.join(map(repr, partial))} does not know all classes, so that it cannot be one of "
            "several; give it a term of its own"
        )
    return next((Known.of(classes.known, device) for classes in partial.values()), None)


def build_gate(recipe: Recipe) -> TurnGate | None:
    """Make what chooses the turns, where the recipe has it.

    Raises:
        KdsegError: its options name what is not there.
    """
    turns = recipe.turns
    if turns is None or turns.gate is None:
        return None
    ctx = GateContext(order=turns.order, participants=(*recipe.models,), terms=(*recipe.terms,))
    gate = turns.gate.build(ctx)
    for kind, names, known in (("participant", gate.participants, recipe.models), ("term", gate.terms, recipe.terms)):
        for name in names:
            if name not in known:
                hint = did_you_mean(name, known) or f"; there are {', '.join(known)}"
                raise KdsegError(f"asks for the {kind} {name!r}, which is not there{hint}")
    for name in gate.participants:
        classes = class_map_of(recipe, name)
        if classes is not None and not classes.is_whole:
            raise KdsegError(f"reads {name!r}, which does not know all classes")
    return gate


def own_parameters(loss: LossModule) -> list[nn.Parameter]:
    """Give what learns with a loss's learner: all of its parameters but its critic's."""
    critics = set() if loss.critic is None else set(loss.critic.parameters())
    return [parameter for parameter in loss.parameters() if parameter not in critics]


def build_learners(
    plan: Plan, participants: Mapping[str, Participant], terms: Mapping[str, Term], precision: str
) -> dict[str, LearnerState]:
    """Give each learner its optimizer over its own weights and its losses' parts, its schedule and its scaler."""
    learners = {}
    for name, participant in participants.items():
        spec = participant.spec
        if not isinstance(spec, Learner):
            continue
        parts = tuple(term.module for term in terms.values() if term.learner.participant == name)
        groups = [{"params": list(participant.module.parameters())}]
        groups += [{"params": own_parameters(part)} for part in parts]
        device = next(participant.module.parameters()).device
        optimizer = build_optimizer(spec.optimizer, [group for group in groups if group["params"]], device)
        learners[name] = LearnerState(
            participant=participant,
            optimizer=optimizer,
            schedule=build_schedule(spec.schedule, optimizer, plan.learner_steps[name]),
            clip=spec.clip,
            scaler=torch.amp.GradScaler(device.type, enabled=precision == "fp16"),
        )
    return learners


def build_shadows(participants: Mapping[str, Participant], learners: Mapping[str, LearnerState]) -> list[ShadowState]:
    """Tie each shadow to its learner, starting as its copy."""
    shadows = []
    for participant in participants.values():
        spec = participant.spec
        if isinstance(spec, Shadow):
            learner = learners[spec.shadow_of]
            participant.module.load_state_dict(copy.deepcopy(learner.participant.module.state_dict()))
            participant.module.requires_grad_(requires_grad=False)
            shadows.append(
                ShadowState(
                    participant=participant, of=learner, decay=spec.decay, average_buffers=spec.buffers == "average"
                )
            )
    return shadows
