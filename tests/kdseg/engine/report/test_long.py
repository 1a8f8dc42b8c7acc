"""What a report costs: next to nothing of a tiny run; seconds of a hundred thousand steps, and no larger a page."""

from __future__ import annotations

import json
import resource
import time

from kdseg.engine.report.write import write_report


def test_a_hundred_thousand_steps_take_seconds_and_little_memory(made, tmp_path):
    folder = made(lines=[])
    with (folder / "metrics.jsonl").open("w") as file:
        for step in range(1, 100_001):
            teach = step % 3 == 1
            values = {"kind": "step", "step": step, "epoch": 0, "turn": "teach" if teach else "study", "seconds": 0.1}
            terms = ("teacher-labels",) if teach else ("labels", "mimic")
            values |= {f"loss/{name}": 1 + step % 7 for name in terms} | {f"weight/{name}": 1.0 for name in terms}
            file.write(json.dumps(values) + "\n")
            if step % 1000 == 0:
                scores = {f"val/{name}/miou": step / 200_000 for name in ("teacher", "student")}
                file.write(json.dumps({"kind": "evaluation", "step": step} | scores) + "\n")
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    write_report([folder], tmp_path / "report.html")
    assert time.process_time() - began < 8  # some two seconds on a core of its own
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024  # KiB
    assert (tmp_path / "report.html").stat().st_size < 500_000


def test_a_tiny_run_pays_next_to_nothing(made, pictured, tmp_path):
    folder = made()
    pictured(folder, "comparison.png")
    write_report([folder], tmp_path / "report.html")  # reads the templates
    began = time.process_time()
    write_report([folder], tmp_path / "report.html")
    assert time.process_time() - began < 0.2  # some 0.03 s on a core of its own
