"""One optimizer step: which terms count, which networks run, who learns.

Here belongs what a loop written by hand would have in its body, and what it is built of. It knows no files, no events
and no evaluation.
"""
