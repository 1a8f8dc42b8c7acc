"""Where datasets lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from kdseg.errors import KdsegError


def find_root(name: str, root: Path | None, layout: str) -> Path:
    """Give a dataset's folder: the option, else ``$KDSEG_DATA/NAME``, else the dataset's own variable ``$KDSEG_NAME``.

    Args:
        name: the dataset's.
        root: what the recipe says.
        layout: what the folder holds and where it is from, for the error: a clause.

    Raises:
        KdsegError: no such folder.
    """
    own = f"KDSEG_{name.upper()}"
    places = {f"data.dataset.root = {str(root)!r}": root} if root is not None else {}
    if root is None and os.environ.get("KDSEG_DATA"):
        places[f"$KDSEG_DATA/{name}"] = Path(os.environ["KDSEG_DATA"]) / name
    if root is None and os.environ.get(own):
        places[f"${own}"] = Path(os.environ[own])
    for place in places.values():
        if place.is_dir():
            return place
    if places:
        missing = " and ".join(f"{said} ({place})" for said, place in places.items())
        raise KdsegError(f"there is no folder at {missing}; {layout}")
    raise KdsegError(
        f"the folder of {name} is not said; set the option root, $KDSEG_DATA (its folder {name} is taken) or ${own}; "
        f"{layout}"
    )
