"""The UNet family: one network by its options, three sizes of it under names of their own, two with further heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdseg.hookspecs import hookimpl
from kdseg_unet.options import UNet, UNet1M, UNet1MFast, UNet70M, UNetBranches, UNetStudentFriendly

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kdseg.components import Backbone

__all__ = ["UNet", "UNet1M", "UNet1MFast", "UNet70M", "UNetBranches", "UNetStudentFriendly", "kdseg_backbones"]


@hookimpl
def kdseg_backbones() -> Iterable[type[Backbone]]:
    """Hand over the UNets."""
    return [UNet, UNet70M, UNet1M, UNet1MFast, UNetBranches, UNetStudentFriendly]
