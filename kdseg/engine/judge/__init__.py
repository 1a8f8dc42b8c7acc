"""Networks held against images: scores on whole splits, diagnostics, predictions as files.

Here belongs what looks at a network from outside, in a run or after it. How one image passes through a network is
`models`'; what a score is, `kdseg.metrics`'.
"""
