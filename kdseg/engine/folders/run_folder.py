"""The folder of a run: made once, by one process, for one run."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shutil
import subprocess
from datetime import datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any

from kdseg.engine.folders.files import sha256, write_json
from kdseg.errors import KdsegError, did_you_mean, display_path
from kdseg.recipe.save import dumps, plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kdseg.plugins import Plugins
    from kdseg.recipe.load import LoadedRecipe

RECIPE = "recipe.toml"
ENVIRONMENT = "environment.json"
SUMMARY = "summary.json"
METRICS = "metrics.jsonl"
CONFUSION = "confusion"
LOG = "log.txt"
REPORT = "report.html"
CHECKPOINTS = "checkpoints"
LOCK = ".lock"
"""Held by the process that is at work in the folder; it stays, empty."""
_NAME = re.compile(r"[0-9]{8}-[0-9]{6}(-[0-9]+)?")


def make_run_folder(loaded: LoadedRecipe) -> Path:
    """Make ``FOLDER/NAME/TIMESTAMP/`` and point ``latest`` to it.

    Raises:
        KdsegError: where it cannot be made.
    """
    home = loaded.recipe.output.folder / loaded.recipe.name
    try:
        home.mkdir(parents=True, exist_ok=True)
        while True:
            folder = home / _next_name(home)
            try:
                folder.mkdir()
                break
            except FileExistsError:  # another run began at this moment
                continue
        _point_latest(home, folder)
    except OSError as error:
        raise KdsegError(f"output.folder: cannot make a run's folder in {home}: {error.strerror}") from error
    return folder.resolve()


def _next_name(home: Path) -> str:
    """Give a name after all that are there: the local time or, where the clock jumped back, the newest once more."""
    now = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    after = [(stamp, number + 1) for stamp, number in map(_age, _newest_first(home))]
    stamp, number = max([(now, 1), *after])
    return stamp if number == 1 else f"{stamp}-{number:02d}"


def _newest_first(home: Path) -> list[Path]:
    """Give what is named like a run."""
    return sorted((path for path in home.glob("[0-9]*") if _NAME.fullmatch(path.name)), key=_age, reverse=True)


def _age(run: Path) -> tuple[str, int]:
    """Give its stamp and its number among those of the stamp: as text, ``-10`` would come before ``-2``."""
    day, time, *number = run.name.split("-")
    return f"{day}-{time}", int(number[0]) if number else 1


def _point_latest(home: Path, folder: Path) -> None:
    draft = home / f".latest.{folder.name}"
    draft.symlink_to(folder.name)
    draft.replace(home / "latest")


def copy_plugin_files(files: tuple[Path, ...], folder: Path) -> tuple[Path, ...]:
    """Copy the plugin files of a recipe into the run, and give the copies."""
    copies = tuple(folder / "plugins" / file.name for file in files)
    for file, copy in zip(files, copies, strict=True):
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(file, copy)
    return copies


def recipe_digest(loaded: LoadedRecipe) -> str:
    """Give a hash of all that the recipe and its plugin files say, by which its runs are found again."""
    digest = hashlib.sha256(dumps(plain(loaded.recipe, loaded.plugins.registry)).encode())
    for file in loaded.recipe.plugins:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def runs_of(loaded: LoadedRecipe) -> Iterator[Path]:
    """Give the runs of this very recipe, newest first."""
    home, digest = loaded.recipe.output.folder / loaded.recipe.name, recipe_digest(loaded)
    for folder in _newest_first(home):
        try:
            environment = json.loads((folder / ENVIRONMENT).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue  # killed while it was made: nothing in it to go on with
        if isinstance(environment, dict) and environment.get("recipe_digest") == digest:
            yield folder.resolve()


def is_finished(folder: Path) -> bool:
    """Whether the run took its last step."""
    return (folder / SUMMARY).exists()


def find_run(path: Path) -> Path:
    """Give the folder of a run named by a person: the folder itself, or one above with its newest run.

    Raises:
        KdsegError: where it is no run, or is named as a file is that is not there.
    """
    for folder in (path, *_newest_first(path)):
        if (folder / RECIPE).exists():
            return folder.resolve()
    if path.suffix and not path.exists():
        raise KdsegError(f"{display_path(path)}: no such file or run{file_instead(path)}")
    raise KdsegError(
        f"{display_path(path)}: no run here (no {RECIPE}); a run's folder is FOLDER/NAME/TIMESTAMP, or FOLDER/NAME for "
        "its latest"
    )


def file_instead(path: Path) -> str:
    """Give what may be meant by a file that is not there, as the end of a message; empty where nothing is near."""
    folder = next((above for above in path.parents if above.is_dir()), path.parent)
    for run in _newest_first(folder):  # FOLDER/NAME stands for its latest run, but for none of the files in it
        below = run / path.relative_to(folder)
        if below.exists():
            return f"; the latest run there has {display_path(below)}"
        return f"; files of a run lie in its own folder: {display_path(run)}{file_instead(below)}"
    if folder != path.parent:
        return ""
    return did_you_mean(path.name, sorted(file.name for file in folder.iterdir()))


def write_environment(folder: Path, loaded: LoadedRecipe, hardware: dict[str, Any]) -> None:
    """Write what the recipe does not say: versions, plugins, commit, hardware."""
    write_json(
        folder / ENVIRONMENT,
        {
            "recipe": str(loaded.path),
            "recipe_digest": recipe_digest(loaded),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "packages": {name: _version(name) for name in ("kdseg", "torch", "accelerate", "albumentations", "numpy")},
            "plugins": _plugins(loaded.plugins),
            "plugin_files": {file.name: sha256(file) for file in loaded.recipe.plugins},
            "git_commit": git_commit(),
            "hardware": hardware,
        },
    )


def _plugins(plugins: Plugins) -> list[dict[str, str]]:
    return [
        {"name": report.name, "distribution": report.distribution, "version": report.version, "status": report.status}
        for report in plugins.reports
    ]


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def git_commit() -> str | None:
    """Give the commit of the working folder's repository, with ``-dirty`` where it was changed; None without one."""
    try:
        done = subprocess.run(
            [  # noqa: S607 (git, wherever the user has it)
                "git",
                # Else git would run programs that the configuration of the working folder's repository names.
                "-c",
                "core.fsmonitor=false",
                "-c",
                "core.hooksPath=/dev/null",
                "describe",
                "--always",
                "--dirty",
                "--abbrev=40",
            ],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
