"""A recipe of each way to learn, five steps long, without anything that a device draws: all devices take these steps.

They extend `tests/kdseg/engine/base.toml`.
"""

from __future__ import annotations

TEACHER = """
[models.teacher]
backbone = { use = "tiny", norm = "batch", width = 6 }
optimizer = { use = "SGD", lr = 0.05, momentum = 0.9 }
clip = 0.5
"""
STUDENT = """
[models.student]
backbone = { use = "tiny", norm = "batch" }
optimizer = { use = "SGD", lr = 0.1, momentum = 0.9 }
"""
TEACHER_LABELS = """
[terms.teacher-labels]
learner = "teacher"
loss = "cross_entropy"
"""
LABELS = """
[terms.labels]
learner = "student"
loss = "cross_entropy"
"""
MIMIC = """
[terms.mimic]
learner = "student"
source = "teacher"
loss = { use = "pixel_kl", temperature = 2.0 }
weight = 0.7
"""
BACK = """
[terms.back]
learner = "teacher"
source = "student"
loss = "pixel_kl"
"""
TRAINED = "teacher"
"""The recipe whose run others take their teacher from: it comes first."""
_STEPS = "[train]\nsteps = 5\n"
_PAIR = _STEPS + TEACHER + STUDENT + TEACHER_LABELS + LABELS


def _in_turn(turn: str, term: str) -> str:
    return term.replace("]\n", f']\nturn = "{turn}"\n', 1)


def _from_teacher(*losses: str) -> str:
    terms = [
        f'[terms.of-{number}]\nlearner = "student"\nsource = "teacher"\nloss = {loss}\n'
        for number, loss in enumerate(losses)
    ]
    return _PAIR + "".join(terms)


PARADIGMS = {
    TRAINED: _STEPS + TEACHER + TEACHER_LABELS,
    "alone": _STEPS + STUDENT + LABELS,
    "offline": _STEPS
    + """
[models.teacher]
frozen = true
backbone = { use = "tiny", norm = "batch", width = 6 }
weights = { run = "cpu/teacher" }
"""
    + STUDENT
    + LABELS
    + MIMIC,
    "alternating": _STEPS
    + '[turns]\norder = ["teach", "study"]\n'
    + TEACHER
    + STUDENT
    + _in_turn("teach", TEACHER_LABELS)
    + _in_turn("study", LABELS)
    + _in_turn("study", MIMIC),
    "simultaneous": _PAIR + MIMIC + BACK + '[turns]\norder = ["both"]\nsync = "simultaneous"\n',
    "sequential": _PAIR + MIMIC + BACK + '[turns]\norder = ["both"]\nsync = "sequential"\n',
    "shadow": _STEPS
    + STUDENT
    + '[models.mean]\nshadow_of = "student"\n'
    + LABELS
    + MIMIC.replace('source = "teacher"', 'source = "mean"'),
    "features": _from_teacher('"feature_mimic"', '{ use = "fitnet", between = ["all"] }', '"cwd"'),
    "critics": _from_teacher('"duel"', '{ use = "holistic", objective = "hinge", width = 4 }'),
    "micro-batches": _PAIR.replace(_STEPS, _STEPS + "micro_batches = 2\n") + MIMIC,
}
