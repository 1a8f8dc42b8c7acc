"""Runs recipes in a process of its own, which has touched no device before: ``python worker.py job.toml``."""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import logging
import os
import signal
from pathlib import Path

import torch

from kdseg.engine.run.start import run_recipe
from kdseg.hooks import Hooks
from kdseg.recipe.load import load_recipe


class Watch(Hooks):
    """Kills the process after a step, or notes what it holds at some steps."""

    def __init__(self, kill_at, gauge_at, gauge):
        self.kill_at, self.gauge_at, self.gauge = kill_at, gauge_at, gauge
        self.held = []

    def on_step_end(self, run):
        if run.step == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if run.step in self.gauge_at:
            self.held.append(held())
            self.gauge.write_text(json.dumps(self.held), encoding="utf-8")


def held():
    """Give the bytes of this process, and those that tensors have on the GPU and that torch keeps there for them."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what is free, but kept for later, is no leak
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    gpu = torch.cuda.is_initialized()
    return {
        "resident": pages * os.sysconf("SC_PAGE_SIZE"),
        "allocated": torch.cuda.memory_allocated() if gpu else 0,
        "reserved": torch.cuda.memory_reserved() if gpu else 0,
    }


def join_by_gloo():
    """Let this process's group be gloo's: Accelerate takes one that exists, and NCCL refuses two ranks on one GPU."""
    torch.distributed.init_process_group("gloo")


def probe(device):
    """Do what a run asks of the processes' group, with tensors on the device."""
    rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
    mine = torch.full((3,), float(rank), device=device)
    torch.distributed.all_reduce(mine)
    torch.distributed.broadcast(mine, 0)
    parts = [torch.empty_like(mine) for _ in range(world)]
    torch.distributed.all_gather(parts, mine)
    torch.distributed.barrier()
    assert mine.tolist() == [world * (world - 1) / 2] * 3


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("recipes", nargs="*", type=Path)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--kill-at", type=int)
    parser.add_argument("--gauge-at", type=int, nargs="*", default=[])
    parser.add_argument("--gauge", type=Path, default=Path("held.json"))
    parser.add_argument("--gloo", action="store_true")
    parser.add_argument("--probe", help="try the group on this device, and no more")
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("kdseg").setLevel(logging.INFO)
    if options.gloo:
        join_by_gloo()
    if options.probe:
        probe(options.probe)
    watch = Watch(options.kill_at, options.gauge_at, options.gauge)
    for recipe in options.recipes:
        run_recipe(load_recipe(recipe, options.settings), resume=options.resume, console=lambda: watch)
    if options.gloo:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
