"""Weights & Biases."""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import sys
import tomllib
from netrc import NetrcParseError, netrc
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import define, field

from kdseg.engine.folders.run_folder import CONFUSION, RECIPE
from kdseg.engine.models.model import CARD, MODELS, read_card
from kdseg.engine.run.trackers import Guard, numbers
from kdseg.engine.run.wandb_file import holds_run, last_row
from kdseg.errors import display_path, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from kdseg.data.samples import ClassTable
    from kdseg.recipe.schema import Recipe, Wandb

    Image = npt.NDArray[np.uint8]

log = logging.getLogger(__name__)

SETTINGS: Mapping[str, Any] = {
    # Else it collects the program's arguments and the repository's remote: either may hold a token.
    "x_disable_meta": True,
    "disable_git": True,
    "disable_code": True,
    "console": "off",  # the live table would be thousands of lines; what kdseg logs goes there instead:
    "capture_loggers": {"kdseg": "INFO"},
    "x_transaction_log_flush_interval": 1.0,  # seconds: what is not on the disk is lost with a killed process
    # Seconds to wait for the service before a run begins and after it has ended.
    "init_timeout": 30.0,
    "login_timeout": 30.0,
    "finish_timeout": 60.0,
    "finish_timeout_raises": True,
}


@define(eq=False)
class WandbTracker:
    """A run of Weights & Biases, offline unless logged in; a failure is told and ends it, not the run.

    Each step is a row there, which is sent once all of it is known. So a run that is resumed can leave out the rows
    that are there, whole, and send those that were lost as it was killed.
    """

    _run: Any
    _folder: Path | None = None
    _labels: Mapping[int, str] = field(factory=dict)
    """The classes' names by their numbers."""
    _there: int = -1
    """The last row that was there when this process began."""
    _rows: dict[int, dict[str, Any]] = field(factory=dict)
    """Those that are not sent yet, by step."""
    _settled: int = -1
    """The last row that a checkpoint keeps the run from telling again."""
    _guard: Guard = field(factory=lambda: Guard("Weights & Biases"))

    @classmethod
    def start(cls, recipe: Recipe, folder: Path, classes: ClassTable) -> WandbTracker:
        """Begin, or go on with, the W&B run that belongs to the run's folder."""
        assert recipe.tracking.wandb is not None
        spec = recipe.tracking.wandb
        self = cls(None, folder, labels=dict(enumerate(classes.names)))
        mode = mode_of(folder)
        if mode != "disabled":
            self._run = self._guard(lambda: _begin(spec, recipe, folder, mode))
        if self._run is not None:
            self._guard(self._see_what_is_there)
        return self

    def go_on(self, step: int, lines: Iterable[tuple[str, int, Mapping[str, Any]]]) -> None:
        """Send those lines that were lost."""
        for line in lines:
            self.log(*line)
        self._settled = step

    def log(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Send numbers; texts stay in the local file."""
        self._row(step).update(numbers(values))
        if kind == "step":
            self._send(step - 1)

    def picture(self, step: int, name: str, picture: Image, caption: str) -> None:
        """Send a picture as ``pictures/NAME``."""
        if self._wants(step):
            self._guard(lambda: self._row(step).update({f"pictures/{name}": _image(picture, caption=caption or None)}))

    def masks(self, step: int, name: str, images: Sequence[Image], masks: Mapping[str, Sequence[Image]]) -> None:
        """Send images as ``masks/NAME``, with masks that can be laid over them one by one."""
        if self._wants(step):
            self._guard(lambda: self._row(step).update({f"masks/{name}": self._overlaid(images, masks)}))

    def settle(self) -> None:
        """Take all rows for whole."""
        self._settled = max([self._settled, *self._rows])

    def finish(self, *, complete: bool) -> str | None:
        """Send what is whole, of a run that took its last step the models too, and end the W&B run."""
        if self._run is None:
            return None
        if not self._guard.failure:
            self._send(self._settled)
            if complete:
                self._guard(self._send_matrices)
                self._guard(self._send_models)
            ending = Guard(self._guard.name)  # it ends, and brings what it has to the disk, with the models or without
            ending(lambda: self._run.finish(exit_code=0 if complete else 1))
            self._guard.failure = self._guard.failure or ending.failure
        told: str | None = Guard("Weights & Biases")(self._last_line)
        return told

    def _see_what_is_there(self) -> None:
        run, folder = self._run, self._folder
        assert folder is not None
        self._there = last_row(folder) if run.offline else run.starting_step - 1

    def _wants(self, step: int) -> bool:
        return step > self._there and self._run is not None and not self._guard.failure

    def _row(self, step: int) -> dict[str, Any]:
        return self._rows.setdefault(step, {})

    def _send(self, last: int) -> None:
        """Send the rows up to step number `last`."""
        for step in sorted(step for step in self._rows if step <= last):
            row = self._rows.pop(step)
            if self._wants(step) and row:
                self._guard(lambda step=step, row=row: self._run.log(row, step=step))  # type: ignore[misc]

    def _overlaid(self, images: Sequence[Image], masks: Mapping[str, Sequence[Image]]) -> list[Any]:
        return [
            _image(
                image,
                masks={
                    who: {"mask_data": those[number], "class_labels": dict(self._labels)}
                    for who, those in masks.items()
                },
            )
            for number, image in enumerate(images)
        ]

    def _send_matrices(self) -> None:
        """Send pixels by truth and prediction, with the last row: it is open until the run ends."""
        import wandb

        assert self._folder is not None
        for file in sorted(self._folder.glob(f"{CONFUSION}/*.json")):
            found = json.loads(file.read_text(encoding="utf-8"))
            names = found["classes"]
            pixels = [
                [names[truth], names[predicted], count]
                for truth, counts in enumerate(found["matrix"])
                for predicted, count in enumerate(counts)
            ]
            if len(pixels) > wandb.Table.MAX_ROWS:  # what is more, it would drop from the end, whatever it says
                told = (row for row in pixels if row[2])
                pixels = sorted(told, key=lambda row: -row[2])[: wandb.Table.MAX_ROWS]
            fields = {name: name for name in ("Actual", "Predicted", "nPredictions")}  # as that chart wants them
            chart = wandb.plot_table(
                "wandb/confusion_matrix/v1", wandb.Table([*fields], pixels), fields, {"title": file.stem}
            )
            self._run.log({f"confusion/{file.stem}": chart}, step=self._settled)

    def _send_models(self) -> None:
        """Send each learner's and shadow's best weights with their card, and the file of its backbone if it has one."""
        import wandb

        assert self._folder is not None
        for card in sorted(self._folder.glob(f"{MODELS}/*/{CARD}")):
            model = card.parent
            name = re.sub(r"[^A-Za-z0-9_.-]+", "_", self._run.id)[: 127 - len(model.name)]  # 128 are allowed in all
            artifact = wandb.Artifact(f"{name}-{model.name}", "model", metadata=read_card(model))
            for file in sorted(model.iterdir()):
                if file.name != "last.safetensors":
                    artifact.add_file(str(file), policy="immutable")  # as it lies there: no second copy on the disk
            self._run.log_artifact(artifact, aliases=["best"])

    def _last_line(self) -> str:
        """Say where the W&B run is or, where not all of it is there, how to send it."""
        files = [] if self._folder is None else self._folder.glob("wandb/*run-*/*.wandb")
        folders = sorted({file.parent for file in files})
        offline = [one for one in folders if one.name.startswith("offline-") and not list(one.glob("*.synced"))]
        unsent = [one for one in offline if holds_run(one)] or (folders[-1:] if self._guard.failure else [])
        if not unsent:
            return f"Weights & Biases: {f'stopped ({self._guard.failure})' if self._guard.failure else self._run.url}"
        told = f"stopped ({self._guard.failure})" if self._guard.failure else "offline"
        online = "" if offline else " --include-online"
        paths = "".join(f" {shlex.quote(display_path(one))}" for one in unsent)
        return f"Weights & Biases: {told}; to upload what there is: wandb sync{online}{paths}"


def _begin(spec: Wandb, recipe: Recipe, folder: Path, mode: str) -> Any:
    """Make the W&B run; where the service cannot be reached, one that waits on the disk."""
    os.environ.setdefault("WANDB_SILENT", "true")

    import wandb

    def begin(mode: Any) -> Any:
        known = {name: value for name, value in SETTINGS.items() if name in wandb.Settings.model_fields}
        return wandb.init(
            project=spec.project,
            entity=spec.entity,
            name=spec.name or f"{folder.parent.name}/{folder.name}",
            tags=[*spec.tags, f"seed {recipe.seed}"],
            dir=str(folder),
            id=f"{_plain(folder.parent.name)}-{folder.name}",
            resume="allow",
            mode=mode,
            config=tomllib.loads((folder / RECIPE).read_text(encoding="utf-8")),
            settings={**known, "allow_val_change": True},
        )

    leaving = sys.exit, sys.excepthook  # it puts its own in their place, for good; `finish` tells it how a run ended
    try:
        run = begin(mode)
    except Exception as error:  # wandb's own and those of whatever library it reaches the service by
        if mode != "online":
            raise
        log.warning("Weights & Biases cannot be reached (%s); this run stays offline there", one_line(error))
        wandb.teardown()  # which tries on otherwise, and holds the run's name
        mode = "offline"
        run = begin(mode)
    finally:
        sys.exit, sys.excepthook = leaving
    for name in recipe.models:
        for score in {recipe.evaluate.metric, "miou", "pixel_accuracy", "iou/*"}:
            run.define_metric(f"val/{name}/{score}", summary="max,last")
    log.info("Weights & Biases: %s, project %s", mode, spec.project)
    return run


def mode_of(folder: Path) -> str:
    """Choose online where that is possible without a question, and offline where a part of this run waits to be sent.

    Rows are sent in order: what is offline has to come before what follows.
    """
    asked = os.environ.get("WANDB_MODE")
    if asked not in (None, "", "online"):
        return str(asked)
    if list(folder.glob("wandb/offline-run-*")):
        return "offline"
    if _logged_in():
        return "online"
    if asked:
        log.warning("WANDB_MODE is online, but nobody is logged in here (wandb login); this run stays offline there")
    return "offline"


def _plain(name: str) -> str:
    """Make of a folder's name one that W&B takes."""
    return re.sub(r"[^\w.=+-]+", "_", name)


def _image(picture: Image, **more: Any) -> Any:
    import wandb

    return wandb.Image(picture, **more)


def _logged_in() -> bool:
    """Whether a key lies ready, where `wandb login` puts it or in the environment: without one, wandb would ask."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, NetrcParseError):
        return False
