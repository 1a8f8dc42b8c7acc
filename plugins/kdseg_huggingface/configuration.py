"""A network's configuration, and how its images are normalised, from a folder or the library's cache."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from attrs import frozen

from kdseg import KdsegError

if TYPE_CHECKING:
    from pathlib import Path

    from kdseg import BackboneContext
    from kdseg_huggingface.backbone import HFSegmentation

_CONFIG, _PREPROCESSOR = "config.json", "preprocessor_config.json"


@frozen(kw_only=True)
class Normalisation:
    """What a network wants taken off RGB values in 0..1, and what they are divided by then."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    flipped: bool
    """Whether it takes BGR."""


def find_configuration(options: HFSegmentation, ctx: BackboneContext) -> Any:
    """Give the configuration of a network for so many channels and classes.

    Raises:
        KdsegError: it is not here, cannot be read, or is of a network for other channels.
    """
    config, place = read_configuration(options), _place(options)
    config.num_labels = ctx.num_classes
    if getattr(config, "num_channels", ctx.in_channels) != ctx.in_channels:
        raise KdsegError(f"{place}: takes images of {config.num_channels} channels; here they have {ctx.in_channels}")
    if hasattr(config, "use_pretrained_backbone"):
        config.use_pretrained_backbone = False  # which would fetch weights
    return config


def read_configuration(options: HFSegmentation) -> Any:
    """Give the configuration of a network as it was saved.

    Raises:
        KdsegError: it is not here, or cannot be read.
    """
    from transformers import AutoConfig

    place = _place(options)
    if options.folder is not None and not (options.folder / _CONFIG).is_file():
        raise KdsegError(
            f"{options.folder}: has no {_CONFIG}; folder names what save_pretrained wrote, or what "
            "`hf download NAME --local-dir FOLDER` fetched. A trained network needs that file too when it is loaded"
        )
    try:
        config: Any = AutoConfig.from_pretrained(place, local_files_only=not options.download, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        hint = (
            "" if options.model is None or options.download else "; download = true fetches it, where that is allowed"
        )
        raise KdsegError(f"{place}: no configuration that transformers can read: {_first_line(error)}{hint}") from error
    return config


def find_normalisation(options: HFSegmentation) -> Normalisation | None:
    """Give how the network wants its images; None where nothing says it.

    Raises:
        KdsegError: the file that says it cannot be read.
    """
    path = _preprocessor(options)
    if path is None:
        return None
    try:
        return _normalisation(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise KdsegError(f"{path}: says not how images are normalised: {type(error).__name__}: {error}") from error


def _normalisation(said: dict[str, Any]) -> Normalisation:
    # Its mean is of bytes times the factor; that of a network here of bytes by 255.
    scale = 255.0 * (said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 1.0)
    known = said.get("do_normalize", "image_mean" in said)
    mean, std = (said["image_mean"], said["image_std"]) if known else ((0.0,) * 3, (1.0,) * 3)
    if not len(mean) == len(std) == 3 or min(*std, scale) <= 0:  # noqa: PLR2004 (colours)
        raise ValueError(f"found mean {mean} and std {std}; each must be of three colours, and std above 0")
    return Normalisation(
        mean=tuple(value / scale for value in mean),
        std=tuple(value / scale for value in std),
        flipped=bool(said.get("do_flip_channel_order", False)),
    )


def _place(options: HFSegmentation) -> str:
    return str(options.folder if options.model is None else options.model)


def _preprocessor(options: HFSegmentation) -> Path | None:
    from pathlib import Path

    from transformers.utils import cached_file

    if options.folder is not None:
        path = options.folder / _PREPROCESSOR
        return path if path.is_file() else None
    found = cached_file(
        options.model,
        _PREPROCESSOR,
        local_files_only=not options.download,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return None if found is None else Path(found)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
