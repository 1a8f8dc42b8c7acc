"""The gates as recipes see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from attrs import field, frozen
from attrs.validators import ge, gt, lt

from kdseg.components import Gate
from kdseg.errors import KdsegError

if TYPE_CHECKING:
    from kdseg.components import GateContext
    from kdseg.gates import TurnGate


@frozen(kw_only=True)
class SwitOKD(Gate):
    """The teacher pauses while it is too far ahead: SwitOKD's adaptive switch (Qian et al., 2209.04996).

    `turns.order` has two turns: the first while both learn, the second while the student learns alone. With
    probabilities p and one-hot labels y, mean L1 distances over the labelled pixels of a step are s = |p_s - y|,
    t = |p_t - y| and the gap |p_s - p_t|. The next step is the student's alone where t < s and the gap is above
    s - exp(-t / (s + t)) t. The paper's code decides by the batch at hand; here the one before decides, so that every
    process knows beforehand.
    """

    name: ClassVar[str] = "switokd"
    student: Annotated[str, "who must not be left behind"] = "student"
    teacher: Annotated[str, "who pauses"] = "teacher"

    def build(self, ctx: GateContext) -> TurnGate:
        """Make it.

        Raises:
            KdsegError: there are not two turns.
        """
        if len(ctx.turns) != 2:  # noqa: PLR2004 (both, or the student alone)
            raise KdsegError(
                f"switokd chooses between two turns, both learning and the student alone; turns.order has "
                f"{len(ctx.turns)}: {', '.join(ctx.turns)}"
            )
        from kdseg_gates.switch import AdaptiveSwitch

        return AdaptiveSwitch(self.student, self.teacher, *ctx.turns)


@frozen(kw_only=True)
class Plateau(Gate):
    """Each turn lasts until a term's value no longer falls; then comes the next of `turns.order`, and the last stays.

    Fallen is a value, averaged exponentially over steps, that is below its least so far by more than `least_gain` of
    that. `patience` steps of the turn without it end the turn.
    """

    name: ClassVar[str] = "plateau"
    term: Annotated[str, "whose value is watched; a turn in which it does not count waits for nothing and stays"]
    patience: Annotated[int, "steps without a fall that end a turn"] = field(default=200, validator=ge(1))
    least_gain: Annotated[float, "what counts as a fall: a share of the least value so far, 0 to below 1"] = field(
        default=0.01, validator=[ge(0.0), lt(1.0)]
    )
    memory: Annotated[float, "how many steps the average looks back, about"] = field(default=50.0, validator=gt(0.0))

    def build(self, ctx: GateContext) -> TurnGate:
        """Make it."""
        from kdseg_gates.plateau import PlateauGate

        return PlateauGate(self, ctx.order)
