"""What a run takes of the machine, by clocks that the test winds."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from kdseg_watch.hardware import GIB, MeasureHardware, gpu, process_tree


class Machine:
    """A clock, a processor that is half as busy as the clock goes, and a run of 8 images a step."""

    def __init__(self):
        self.now = 100.0
        self.step, self.times, self.images_per_step = 0, {}, 8
        self.written = []

    def clock(self):
        return self.now

    def processor(self):
        return self.now / 2, 3 * GIB

    def record(self, name, value):
        self.written.append((self.step, name, value))

    def take(self, hooks, seconds, waited):
        self.now += seconds
        self.step += 1
        self.times = {"seconds": seconds, "data_seconds": waited}
        hooks.on_step_end(self)

    def of(self, name):
        return [(step, value) for step, written, value in self.written if written == f"mine/{name}"]


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def hooks(machine):
    made = MeasureHardware("mine", 4, machine.clock, machine.processor)
    made.on_run_start(machine)
    return made


def test_images_a_second_are_those_of_the_steps_since_the_last_measurement(machine, hooks):
    for seconds in (9.0, 1.0, 2.0, 3.0, 0.5, 0.5, 0.5, 0.5):  # the first begins before anybody looks at the clock
        machine.take(hooks, seconds, seconds / 4)
    assert machine.of("images_per_second") == [(4, 4.0), (8, 16.0)]
    assert machine.of("cpu_cores") == [(4, 0.5), (8, 0.5)]
    assert machine.of("memory_gib") == [(4, 3.0), (8, 3.0)]
    assert machine.of("data_wait_share")[1] == (8, 0.25)


def test_evaluations_and_checkpoints_are_no_part_of_a_step(machine, hooks):
    machine.take(hooks, 1.0, 0.0)
    machine.take(hooks, 1.0, 0.0)
    machine.now += 100
    hooks.on_evaluation_end(machine)
    machine.now += 100
    hooks.on_checkpoint(machine)
    machine.take(hooks, 1.0, 0.0)
    machine.take(hooks, 1.0, 0.0)
    assert machine.of("images_per_second") == [(4, 8.0)]


def test_with_one_step_between_evaluations_the_speed_is_what_the_run_tells(machine, hooks):
    for _ in range(4):
        machine.take(hooks, 1.0, 0.5)
        machine.now += 100
        hooks.on_evaluation_end(machine)
    assert machine.of("images_per_second") == [(4, 8.0)]
    assert machine.of("data_wait_share") == [(4, 0.5)]


def test_times_that_are_told_late_count_once(machine, hooks):
    told = {"seconds": 1.0, "data_seconds": 0.25}
    for _ in range(8):
        machine.now += 1.0
        machine.step += 1
        machine.times = told
        hooks.on_step_end(machine)
    assert machine.of("data_wait_share") == [(4, 0.25)]


def test_the_process_tree_counts_what_children_take():
    _, before = process_tree()
    code = (
        "import time; b = bytearray(200 << 20); t = time.process_time()\n"
        "while time.process_time() < t + 0.5: pass\nprint(flush=True); time.sleep(60)"
    )
    seconds = process_tree()[0]
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        child.stdout.readline()
        more, after = process_tree()
    finally:
        child.kill()
        child.communicate()
    assert more - seconds >= 0.45
    assert after - before >= 190 << 20


def test_a_busy_loop_keeps_about_one_core_busy():
    run = SimpleNamespace(step=1, times={}, images_per_step=1, found={})
    run.record = run.found.__setitem__
    hooks = MeasureHardware("mine", 1)
    hooks.on_run_start(run)
    begin, used = time.perf_counter(), sum(os.times()[:2])
    while sum(os.times()[:2]) - used < 0.5:
        pass
    taken = time.perf_counter() - begin
    hooks.on_step_end(run)
    assert run.found["mine/cpu_cores"] == pytest.approx(0.5 / taken, rel=0.3)


def test_without_a_gpu_nothing_is_said_of_one():
    assert gpu() == {}


def test_of_a_gpu_the_memory_is_told_and_its_use_where_something_can_tell_it(monkeypatch):
    import torch

    from kdseg_watch import hardware

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 5 * GIB)
    monkeypatch.setattr(torch.cuda, "utilization", lambda: 87)
    monkeypatch.setattr(hardware, "find_spec", lambda _name: None)
    assert gpu() == {"gpu_memory_gib": 5.0}
    monkeypatch.setattr(hardware, "find_spec", lambda _name: object())
    assert gpu() == {"gpu_memory_gib": 5.0, "gpu_percent": 87.0}


def test_a_run_writes_them(train, lines):
    recipe = '[models.student]\nbackbone = "tiny"\n[terms.labels]\nlearner = "student"\nloss = "cross_entropy"\n'
    found = lines(train(recipe + '[callbacks.machine]\nuse = "hardware"\nevery = 3'), "callback")
    steps = {line["step"] for line in found if "machine/images_per_second" in line}
    assert steps == {3, 6}
    assert all(value > 0 for line in found for name, value in line.items() if name.endswith("_gib"))
