"""Studies of many runs: arms, grids and seeds, trained in processes of their own and held against each other.

Here belongs what knows several runs: which there are, who trains them when, what they come to together. What a run
does is `run`'s; nothing here reaches into one, it only reads what finished runs leave.
"""
