"""Splits of a dataset as wholes: opened, scanned, kept as raw arrays, reported.

Here belongs what reads every sample of a split once. What a sample is, and how batches of them reach a step, is
`kdseg.data`'s.
"""
