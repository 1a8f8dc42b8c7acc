"""The life of a run: assembled, stepped through, written down, taken up again.

Here belongs what knows a run as a whole: its order of events and what becomes of them. What a step does is `learn`'s,
how a file is written is `folders`'.
"""
