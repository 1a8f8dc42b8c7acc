"""The folder of a run that begins, with all that says what it will be."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import torch
from attrs import evolve

from kdseg.engine.folders.files import disk_told
from kdseg.engine.folders.run_folder import RECIPE, copy_plugin_files, make_run_folder, write_environment
from kdseg.recipe.save import save_recipe

if TYPE_CHECKING:
    from pathlib import Path

    from kdseg.engine.machine.processes import Processes
    from kdseg.recipe.load import LoadedRecipe


def new_folder(asked: LoadedRecipe, settled: LoadedRecipe, processes: Processes) -> Path:
    """Make a run's folder; only the main process calls this.

    Args:
        asked: the recipe as the user said it, by which the run is found again.
        settled: the recipe with its weights found, which is written.
        processes: what the run runs on.

    Raises:
        KdsegError: where it cannot be written.
    """
    folder = make_run_folder(asked)
    with disk_told(folder, "no run began"):
        recipe = evolve(settled.recipe, plugins=copy_plugin_files(settled.recipe.plugins, folder))
        save_recipe(recipe, settled.plugins.registry, folder / RECIPE)
        write_environment(folder, asked, _hardware(processes))
    return folder


def _hardware(processes: Processes) -> dict[str, Any]:
    device = processes.device
    return {
        "processes": processes.world,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
