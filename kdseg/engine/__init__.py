"""Networks at work, in rooms; each may use those below it, as its docstring says, and lint-imports holds it.

`run` drives all; `report` tells of what it left; `check` finds what would fail before it does; `judge` scores and
predicts; `learn` takes steps; `models` are networks that have left a run; `splits` are what a dataset holds; `machine`
is what a run runs on; and `folders` what it leaves on the disk.
"""
