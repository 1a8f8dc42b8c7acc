"""What a sweep comes to: a table for people, and the same as data."""

from __future__ import annotations

import json
import math
from statistics import fmean
from typing import TYPE_CHECKING, Any

from attrs import asdict

from kdseg.engine.folders.run_folder import SUMMARY
from kdseg.estimates import CONFIDENCE, POWER, difference, estimate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kdseg.engine.study.checks import Row
    from kdseg.engine.study.planned import PlannedRun
    from kdseg.engine.study.sweep_file import SweepFile

NOTHING = "–"


def read_summary(run: PlannedRun) -> dict[str, Any] | None:
    """Give the summary of a finished run, with its folder; None where it is not finished."""
    folder = run.finished()
    if folder is None:
        return None
    summary: dict[str, Any] = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    return summary | {"folder": str(folder)}


def score_of(summary: Mapping[str, Any], learner: str, metric: str, which: str) -> float | None:
    """Give a learner's score; None where it is no number, of a split without labels, say."""
    participant = summary["participants"][learner]
    value = participant[metric] if which == "last" else (participant["best"] or {}).get("value")
    return value if isinstance(value, float) and math.isfinite(value) else None


def text_score(file: SweepFile, rows: Sequence[Row], run: PlannedRun) -> str | None:
    """Say what a finished run came to; None of a teacher, or where it is no number."""
    summary = read_summary(run)
    learner = next((row.learner for row in rows if row.label == run.label), None)
    score = (
        None if summary is None or learner is None else score_of(summary, learner, summary["metric"], file.sweep.which)
    )
    return None if summary is None or score is None else f"{summary['metric']} {score:.4f}"


def make_table(file: SweepFile, rows: Sequence[Row], failures: Mapping[str, str]) -> dict[str, Any]:
    """Give all that is known of the sweep by now.

    Args:
        file: the sweep.
        rows: its rows.
        failures: by a run's name, why it is not there.
    """
    metric, which = rows[0].variant.asked.recipe.evaluate.metric, file.sweep.which
    summaries = {row.label: {run.seed: read_summary(run) for run in row.variant.runs} for row in rows}
    scores: dict[str, dict[int, float]] = {}
    for row in rows:
        found = {
            seed: score_of(summary, row.learner, metric, which)
            for seed, summary in summaries[row.label].items()
            if summary is not None
        }
        scores[row.label] = {seed: score for seed, score in found.items() if score is not None}
    return {
        "name": file.name,
        "metric": metric,
        "which": which,
        "baseline": file.baseline,
        "seeds": list(file.sweep.seeds),
        "confidence": CONFIDENCE,
        "power": POWER,
        "teachers": file.sweep.teachers,
        "rows": [_row(row, summaries[row.label], scores, failures) for row in rows],
        "notes": list(dict.fromkeys(_notes(file, rows, summaries))),
    }


def _row(
    row: Row,
    summaries: Mapping[int, dict[str, Any] | None],
    scores: Mapping[str, dict[int, float]],
    failures: Mapping[str, str],
) -> dict[str, Any]:
    mine, baseline = scores[row.label], scores[row.against]
    against = None if row.against == row.label else difference(mine, baseline)
    done = [summary for summary in summaries.values() if summary is not None]
    before = [sum(found) for run in row.variant.runs if (found := _teacher_seconds(run.needs))]
    return {
        "label": row.label,
        "arm": row.variant.arm,
        "point": dict(row.variant.point),
        "learner": row.learner,
        "scores": {str(seed): score for seed, score in mine.items()},
        "folders": {str(seed): summary["folder"] for seed, summary in summaries.items() if summary is not None},
        "estimate": asdict(estimate([*mine.values()])) if mine else None,
        "against": None if row.against == row.label else row.against,
        "difference": None if against is None else asdict(against),
        "steps": dict(row.costs.steps),
        "steps_before": dict(row.costs.before),
        "flops": row.costs.flops,
        "flops_before": row.costs.flops_before,
        "seconds": fmean(summary["seconds"] for summary in done) if done else None,
        "seconds_before": fmean(before) if before else None,
        "missing": [
            {"seed": run.seed, "why": failures.get(run.name, "not run yet")}
            for run in row.variant.runs
            if run.seed not in mine and summaries[run.seed] is None
        ],
    }


def _teacher_seconds(teachers: Iterable[PlannedRun]) -> list[float]:
    found = []
    for teacher in teachers:
        summary = read_summary(teacher)
        found += [*_teacher_seconds(teacher.needs), *([] if summary is None else [summary["seconds"]])]
    return found


def _notes(
    file: SweepFile, rows: Sequence[Row], summaries: Mapping[str, Mapping[int, dict[str, Any] | None]]
) -> Iterable[str]:
    """Tell what a reader must know to believe the table."""
    if any(row.costs.before for row in rows):
        yield {
            "own": "teachers that are trained before were trained once a seed, by that seed: the spread holds theirs",
            "shared": (
                "one teacher, trained before, served all seeds: the spread lacks that of the teacher, and what it took "
                "is counted in every run"
            ),
        }[file.sweep.teachers]
    for row in rows:
        for run in row.costs.uncounted:
            yield f"{row.label}: what {run} took, from which weights come, is not counted"
        for seed, summary in summaries[row.label].items():
            planned = row.costs.steps[row.learner]
            if summary is not None and summary["participants"][row.learner]["steps"] != planned:
                taken = summary["participants"][row.learner]["steps"]
                yield f"{row.label}, seed {seed}: {row.learner} took {taken} steps of {planned} ({summary['stopped']})"
    if file.sweep.which == "best":
        yield "scores are of the best evaluation, chosen on the images that judge: a little too good for every arm"
    if not file.sweep.equal_steps:
        yield "arms may differ in the steps of the learner that is judged: see the steps"


def text_rows(table: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Give the table for people, the headings first."""
    metric, grid = table["metric"], len({row["against"] for row in table["rows"]} - {None}) > 1
    headings = ["arm", "seeds", f"{metric} ± sd", "difference [95 %]", "could show", "steps", "trained before"]
    rows = [(*headings, "PFLOPs", "minutes", *(["against"] if grid else []))]
    for row in table["rows"]:
        found, against = row["estimate"], row["difference"]
        cells = [
            row["label"],
            f"{len(row['scores'])} of {len(table['seeds'])}",
            NOTHING if found is None else f"{found['mean']:.4f} ± {_number(found['sd'])}",
            ("baseline" if row["against"] is None else NOTHING) if against is None else _interval(against),
            NOTHING if against is None or against["detectable"] is None else f"{against['detectable']:.4f}",
            ", ".join(f"{name} {count}" for name, count in row["steps"].items()),
            ", ".join(f"{name} {count}" for name, count in row["steps_before"].items()) or NOTHING,
            _with_before(row["flops"] / 1e15, row["flops_before"] / 1e15, ".3g"),
            _minutes(row["seconds"], row["seconds_before"]),
        ]
        rows.append((*cells, *([row["against"] or ""] if grid else [])))
    return rows


def _with_before(value: float, before: float, form: str) -> str:
    return f"{value:{form}}" + (f" + {before:{form}}" if before else "")


def _minutes(seconds: float | None, before: float | None) -> str:
    return NOTHING if seconds is None else _with_before(seconds / 60, (before or 0) / 60, ".1f")


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.4f}"


def _interval(found: Mapping[str, Any]) -> str:
    if found["low"] is None:
        said = "(one pair)" if found["n"] == 1 else "(no spread)"
    else:
        said = f"[{found['low']:+.4f}, {found['high']:+.4f}]"
    return f"{found['mean']:+.4f} {said}" + ("" if found["paired"] else " unpaired")


def text_notes(table: Mapping[str, Any]) -> list[str]:
    """Give what stands below the table: what the columns mean here, and what is missing."""
    lines = [
        f"difference: of the same seed, to {table['baseline']}; PFLOPs, minutes: of one run, + what is trained before",
        "could show: the smallest true difference that so many seeds show with a chance of 80 %",
        *table["notes"],
    ]
    for row in table["rows"]:
        lines += [
            f"missing: {row['label']}, seed {missing['seed']}: {missing['why'].splitlines()[-1]}"
            for missing in row["missing"]
        ]
    return lines


def markdown(table: Mapping[str, Any]) -> str:
    """Give the table as a page."""
    head, *rows = [[cell.replace("|", r"\|") for cell in row] for row in text_rows(table)]
    lines = [f"# {table['name']}", "", "| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([*lines, "", *(f"- {note}" for note in text_notes(table)), "", "![](comparison.png)", ""])
