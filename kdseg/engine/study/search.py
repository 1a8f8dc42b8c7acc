"""Search of a grid by Optuna: a few points of each arm's ranges, every seed at each."""

from __future__ import annotations

import hashlib
from statistics import fmean
from typing import TYPE_CHECKING, Any

from kdseg.engine.folders.files import disk_told
from kdseg.engine.study.checks import check_sweep, judged_otherwise
from kdseg.engine.study.children import Children, jobs_here, study_lock
from kdseg.engine.study.conduct import Conducted, conclude, write_state
from kdseg.engine.study.runs import Variant, plan_variant
from kdseg.engine.study.table import read_summary, score_of
from kdseg.errors import KdsegError, ProblemsError
from kdseg.recipe.keys import join_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kdseg.engine.study.checks import Row
    from kdseg.engine.study.children import Watch
    from kdseg.engine.study.sweep_file import Axis, SweepFile


def optuna_here() -> Any:
    """Give Optuna.

    Raises:
        KdsegError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise KdsegError("--search needs Optuna: pip install 'kdseg[search]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def first_points(file: SweepFile) -> tuple[Row, ...]:
    """Give each arm at one point of its grid, checked: what can be checked before a search.

    Raises:
        ProblemsError: with all that is wrong.
        KdsegError: there is no grid to search.
    """
    variants = first_variants(file)
    _refuse_other_judgements(file, variants)
    return check_sweep(file, variants)


def _refuse_other_judgements(file: SweepFile, variants: Sequence[Variant]) -> None:
    """Refuse an axis along which the judgement changes, too: the best of its points would only be judged best."""
    problems = []
    for variant in variants:
        axes = file.axes(variant.arm)
        for axis in axes:
            others = axis.values[1:] if isinstance(axis.values, list) else [axis.values.high]
            for value in others:
                other = plan_variant(file, variant.arm, {**_first(axes), axis: value})
                for what in judged_otherwise(other.asked.recipe, variant.asked.recipe):
                    told = f"{value!r} is judged with another {what}: points of a search need one judgement"
                    problems.append(file.problem(axis.stated, told))
    if problems:
        raise ProblemsError(problems)


def first_variants(file: SweepFile) -> list[Variant]:
    """Give the same, nothing checked but the recipes' shape.

    Raises:
        ProblemsError: with all that is wrong with the recipes.
        KdsegError: there is no grid to search.
    """
    if not any(file.axes(arm) for arm in file.sweep.arms):
        raise KdsegError(f"{file.path.name}: --search needs a [sweep.grid], or an arm with a grid")
    return [plan_variant(file, arm, _first(file.axes(arm))) for arm in file.sweep.arms]


def _first(axes: Sequence[Axis]) -> dict[Axis, Any]:
    return {axis: axis.values[0] if isinstance(axis.values, list) else axis.values.low for axis in axes}


def search_sweep(
    file: SweepFile, trials: int, watch: Callable[[Sequence[Row]], Watch], jobs: int | None = None
) -> Conducted:
    """Try points of every arm's grid, and hold the best of each arm against the baseline's.

    Every arm with a grid gets as many trials, each with every seed; what counts is the mean of the score.

    Args:
        file: the sweep.
        trials: how many of each arm, those of earlier calls included.
        watch: makes what is told of the runs, for these rows.
        jobs: how many runs at once; where None, as the file says.

    Raises:
        KdsegError: see `first_points`.
        SystemExit: after a signal; what was tried is known when the search goes on.
    """
    optuna = optuna_here()
    first = first_points(file)
    jobs = jobs or file.sweep.jobs or jobs_here()
    at_once = max(jobs // len(file.sweep.seeds), 1)
    failures: dict[str, str] = {}
    best: list[Variant] = []
    with disk_told(file.folder, f"when that is mended, go on: kdseg sweep {file.path}"), study_lock(file.folder):
        backend = optuna.storages.journal.JournalFileBackend(str(file.folder / "search.journal"))
        storage = optuna.storages.JournalStorage(backend)
        for row in first:
            axes = file.axes(row.variant.arm)
            if not axes:
                children = Children(folder=file.folder, jobs=jobs, watch=watch([row]))
                children.make(row.variant.runs)
                failures |= children.failures
                best.append(row.variant)
                continue
            study = _study(optuna, storage, row, axes)
            while True:
                pending = _pending(optuna, study, axes)
                told = [trial for trial in study.trials if trial.state.is_finished()]
                if not pending and len(told) >= trials:
                    break
                wanted = min(at_once, trials - len(told)) - len(pending)
                pending += [study.ask(_space(optuna, axes)) for _ in range(wanted)]
                failures |= _try(optuna, study, pending, file, row, axes, jobs, watch)
            if not any(trial.value is not None for trial in study.trials):
                raise KdsegError(
                    f"arm {row.variant.arm!r}: no trial of {trials} came to a score; see {file.folder}/logs"
                )
            best.append(plan_variant(file, row.variant.arm, _chosen(axes, study.best_params)))
        rows = check_sweep(file, best)
        write_state(file, [run for row in rows for run in row.variant.runs], failures)
        done = conclude(file, rows, failures)
    done.table["notes"].append(
        f"each arm with a grid is the best of {trials} trials, chosen by the scores that it is shown with: too good by "
        "what chance gave the best; run it again with other seeds before you believe it"
    )
    return done


def _study(optuna: Any, storage: Any, row: Row, axes: Sequence[Axis]) -> Any:
    """Open the study of an arm: another recipe, other seeds or another grid are another study."""
    space = repr([(axis.key, axis.values) for axis in axes])
    others = [(run.seed, run.loaded.recipe) for run in row.variant.runs]
    key = hashlib.sha256(f"{space}{others}".encode()).hexdigest()[:12]
    sampler = optuna.samplers.TPESampler(seed=int(key[:8], 16))
    name = f"{row.variant.arm}-{key}"
    study = optuna.create_study(
        storage=storage, study_name=name, direction="maximize", sampler=sampler, load_if_exists=True
    )
    if study.trials:  # or the same first points would be drawn again
        study.sampler = optuna.samplers.TPESampler(seed=int(key[:8], 16) + len(study.trials))
    return study


def _space(optuna: Any, axes: Sequence[Axis]) -> dict[str, Any]:
    """Give the distributions: of a list, the number of the value, which may be anything TOML knows."""
    found = {}
    for axis in axes:
        if isinstance(axis.values, list):
            space = optuna.distributions.CategoricalDistribution(tuple(range(len(axis.values))))
        else:
            low, high, log = axis.values.low, axis.values.high, axis.values.log
            kind = "IntDistribution" if isinstance(low, int) and isinstance(high, int) else "FloatDistribution"
            space = getattr(optuna.distributions, kind)(low, high, log=log)
        found[join_key(axis.key)] = space
    return found


def _chosen(axes: Sequence[Axis], params: Mapping[str, Any]) -> dict[Axis, Any]:
    """Give the values that a trial's parameters say."""
    drawn = {axis: params[join_key(axis.key)] for axis in axes}
    return {axis: axis.values[value] if isinstance(axis.values, list) else value for axis, value in drawn.items()}


def _pending(optuna: Any, study: Any, axes: Sequence[Axis]) -> list[Any]:
    """Give the trials that were begun when the search was killed; those without all parameters are given up."""
    found = []
    for trial in study.trials:
        if not trial.state.is_finished():
            if len(trial.params) == len(axes):
                found.append(trial)
            else:
                study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return found


def _try(
    optuna: Any,
    study: Any,
    trials: Sequence[Any],
    file: SweepFile,
    row: Row,
    axes: Sequence[Axis],
    jobs: int,
    watch: Callable[[Sequence[Row]], Watch],
) -> dict[str, str]:
    """Make the runs of some trials, tell the study what came of them, and give the failures."""
    variants = [plan_variant(file, row.variant.arm, _chosen(axes, trial.params)) for trial in trials]
    children = Children(folder=file.folder, jobs=jobs, watch=watch([row]))
    children.make([run for variant in variants for run in variant.runs])
    for trial, variant in zip(trials, variants, strict=True):
        summaries = [read_summary(run) for run in variant.runs]
        metric = variant.asked.recipe.evaluate.metric
        scores = [None if one is None else score_of(one, row.learner, metric, file.sweep.which) for one in summaries]
        known = [score for score in scores if score is not None]
        if len(known) == len(scores):
            study.tell(trial.number, fmean(known))
        else:
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return children.failures
