"""The network: images as the recipe normalises them in, logits at their size out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers.core_model_loading import revert_weight_conversion
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING,
    MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING,
)

from kdseg import KdsegError

if TYPE_CHECKING:
    from torch import Tensor

    from kdseg_huggingface.configuration import Normalisation

_LEAST = 1e-8
"""A class's score where no mask is: its logarithm is finite."""


class HFNetwork(nn.Module):
    """A network of transformers.

    Its tensors are called as in the files that `save_pretrained` writes, so that these fit it, and what it is saved as
    fits transformers.
    """

    scale: Tensor
    shift: Tensor
    size: tuple[int, ...]
    """Height and width at which the network sees images; empty: at theirs."""
    classes: int
    """Of a network of masks, how many it has; 0 for others."""

    def __init__(
        self,
        config: Any,
        *,
        normalisation: Normalisation | None,
        given: tuple[tuple[float, ...], tuple[float, ...]],
        size: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.size = size or _only_size(config)
        self.classes = config.num_labels if type(config) in MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING else 0
        self.flipped = normalisation is not None and normalisation.flipped
        mean, std = map(torch.tensor, given)
        wanted = (
            (mean, std)
            if normalisation is None
            else (torch.tensor(normalisation.mean), torch.tensor(normalisation.std))
        )
        # (x * std + mean - wanted mean) / wanted std, for x as the recipe normalises it
        self.register_buffer("scale", (std / wanted[1]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", ((mean - wanted[0]) / wanted[1]).view(1, 3, 1, 1), persistent=False)
        self.model: Any = _network_class(config)(config)
        self._theirs = _names_in_files(self.model)
        self.register_state_dict_post_hook(_as_in_files)  # type: ignore[no-untyped-call] # of torch
        self.register_load_state_dict_pre_hook(_from_files)  # type: ignore[no-untyped-call] # of torch

    def forward(self, images: Tensor) -> Tensor:
        """Give the logits at the images' size."""
        if images.is_meta and self.classes:  # networks of masks look at values, of which there are none
            return images.new_empty((len(images), self.classes, *images.shape[-2:]))
        pixels = images * self.scale + self.shift
        if self.flipped:
            pixels = pixels.flip(1)
        if self.size:
            pixels = F.interpolate(pixels, self.size, mode="bilinear", align_corners=False)
        output = self.model(pixel_values=pixels)
        masks = getattr(output, "masks_queries_logits", None)
        logits = output.logits if masks is None else _scores(output.class_queries_logits, masks)
        logits = F.interpolate(logits, images.shape[-2:], mode="bilinear", align_corners=False)
        return logits if masks is None else logits.clamp_min(_LEAST).log()

    def stages(self) -> dict[str, nn.Module]:
        """Give the features that have stable names."""
        if self.model.config.model_type != "segformer":
            return {}
        stages: dict[str, nn.Module] = {
            f"encoder.{number}": stage for number, stage in enumerate(self.model.segformer.stages, 1)
        }
        return {**stages, "decoder": self.model.decode_head.activation}


def _only_size(config: Any) -> tuple[int, ...]:
    """Give the height and width of the only images that a network takes; nothing where it takes any."""
    fixed = config.model_type in ("dpt", "eomt") and getattr(config, "backbone_config", None) is None
    return (config.image_size,) * 2 if fixed else ()


def _scores(classes: Tensor, masks: Tensor) -> Tensor:
    """Give each class's score at each cell: what each query says of the class, where its mask lies."""
    shares = classes.float().softmax(-1)[..., :-1]  # the last is no class
    return torch.einsum("bqc,bqhw->bchw", shares, masks.float().sigmoid())


def _network_class(config: Any) -> Any:
    """Find the class of a configuration's network.

    Raises:
        KdsegError: it is no segmentation network's.
    """
    for mapping in (MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING, MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING):
        if type(config) in mapping:
            return mapping[type(config)]
    raise KdsegError(
        f"the configuration is of a {config.model_type!r}, which transformers does not offer for semantic segmentation"
    )


def _names_in_files(model: Any) -> dict[str, str]:
    """Give what each tensor is called in files: several families are called otherwise there than in memory."""
    ours = list(model.state_dict())
    numbered = {name: torch.tensor(number, device="cpu") for number, name in enumerate(ours)}
    theirs = {ours[int(number)]: name for name, number in revert_weight_conversion(model, numbered).items()}
    return {f"model.{name}": theirs[name] for name in ours}


def _as_in_files(network: HFNetwork, state: dict[str, Any], prefix: str, _metadata: Any) -> None:
    names = network._theirs.items()  # noqa: SLF001 (a hook of the class)
    state |= {prefix + theirs: state.pop(prefix + ours) for ours, theirs in names}


def _from_files(network: HFNetwork, state: dict[str, Any], prefix: str, *_: Any) -> None:
    names = network._theirs.items()  # noqa: SLF001 (a hook of the class)
    state |= {prefix + ours: state.pop(prefix + theirs) for ours, theirs in names if prefix + theirs in state}
