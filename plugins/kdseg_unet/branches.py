"""UNets with further heads: branches that share a trunk, and branches shaped like a student."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve
from torch import nn

from kdseg_unet.model import DecoderStage, UNetModule, initialise, upsampling

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from kdseg_unet.options import UNet, UNetBranches, UNetStudentFriendly


class BranchesModule(UNetModule):
    """A UNet whose last decoder stages and head exist several times, and a gate that weighs them.

    The first branch is the UNet itself: its weights have the names, and from one seed the values, that `UNetModule`
    gives them. After ONE (Lan et al., 1806.04606): z_e = sum over branches of g_i z_i with g the softmax, for each
    image, of a linear map of the trunk's features, averaged over the image. Their gate has batch normalisation and a
    ReLU before the softmax, which are left out; it starts with equal shares.
    """

    def __init__(self, options: UNetBranches, *, in_channels: int, num_classes: int) -> None:
        super().__init__(options, in_channels=in_channels, num_classes=num_classes)
        self.own_stages = options.own_stages
        self.branches = nn.ModuleDict(
            {str(i): _Branch(options, options.own_stages, num_classes) for i in range(2, options.branches + 1)}
        )
        self.branches.apply(initialise)
        self.gate = nn.Linear(options.base * 2**options.own_stages, options.branches)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def forward(self, images: Tensor) -> dict[str, Tensor]:  # type: ignore[override] # further heads come with it
        """Give logits at the images' size: of the first branch, of each further one, and of all together."""
        height, width = images.shape[-2:]
        x, skips = self.encode(images)
        stages = [(level, stage) for level, stage in self.decoder.items() if int(level) > self.own_stages]
        for level, stage in stages:
            x = stage(x, skips[level])
        shares = self.gate(x.mean((2, 3))).softmax(1)
        first = x
        for level, stage in self.decoder.items():
            if int(level) <= self.own_stages:
                first = stage(first, skips[level])
        heads = {"logits": self.head(first)}
        heads |= {f"branch{number}": branch(x, skips) for number, branch in self.branches.items()}
        heads = {name: logits[..., :height, :width] for name, logits in heads.items()}
        weighted = (share.view(-1, 1, 1, 1) * logits for share, logits in zip(shares.T, heads.values(), strict=True))
        return {**heads, "ensemble": sum(weighted)}


class StudentFriendlyModule(UNetModule):
    """A UNet beside which student-shaped branches read the encoder's features.

    After SFTN (Park et al., "Learning Student-Friendly Teacher Networks for Knowledge Distillation", 2102.07650): what
    branches shaped like the student make of the teacher's features teaches the teacher which features serve it. Branch
    k is the student's decoder from stage k on, with a head: the teacher's encoder stages 1..k are its skips and the
    next deeper features its bottleneck, each through a 1x1 convolution to the student's channels. The UNet itself has
    the names and first weights of `UNetModule`.
    """

    def __init__(self, options: UNetStudentFriendly, *, in_channels: int, num_classes: int) -> None:
        super().__init__(options, in_channels=in_channels, num_classes=num_classes)
        self.students = nn.ModuleDict({str(k): _StudentBranch(options, k, num_classes) for k in options.students})
        self.students.apply(initialise)

    def forward(self, images: Tensor) -> dict[str, Tensor]:  # type: ignore[override] # further heads come with it
        """Give logits at the images' size: of the UNet and of each student-shaped branch."""
        height, width = images.shape[-2:]
        x, skips = self.encode(images)
        features = {**skips, str(len(skips) + 1): x}
        for level, stage in self.decoder.items():
            x = stage(x, skips[level])
        heads = {"logits": self.head(x)}
        heads |= {f"student{level}": branch(features) for level, branch in self.students.items()}
        return {name: logits[..., :height, :width] for name, logits in heads.items()}


class _Branch(nn.Module):
    """The last `stages` stages of a decoder, and a head."""

    def __init__(self, options: UNet, stages: int, num_classes: int) -> None:
        super().__init__()
        channels = [options.base * 2**i for i in range(stages + 1)]
        self.decoder = nn.ModuleDict(
            {str(i): DecoderStage(options, channels[i], channels[i - 1]) for i in reversed(range(1, stages + 1))}
        )
        self.head = upsampling(options, options.base, num_classes, options.stem_stride)

    def forward(self, x: Tensor, skips: Mapping[str, Tensor]) -> Tensor:
        for level, stage in self.decoder.items():
            x = stage(x, skips[level])
        logits: Tensor = self.head(x)
        return logits


class _StudentBranch(nn.Module):
    """The student's decoder from a stage on, which reads the teacher's features."""

    def __init__(self, options: UNetStudentFriendly, stages: int, num_classes: int) -> None:
        super().__init__()
        student = evolve(options, base=options.student_base)
        self.adapt = nn.ModuleDict(
            {str(i + 1): nn.Conv2d(options.base * 2**i, student.base * 2**i, 1) for i in range(stages + 1)}
        )
        self.branch = _Branch(student, stages, num_classes)

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        adapted = {level: adapt(features[level]) for level, adapt in self.adapt.items()}
        logits: Tensor = self.branch(adapted.pop(str(len(adapted))), adapted)
        return logits
