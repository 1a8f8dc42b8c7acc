"""A student that is soon trained, for tests that export it."""

STUDENT = """
[train]
steps = 40
batch_size = 4
workers = 0
[data]
dataset = { use = "synthroad", size = [64, 96], images = 8 }
[models.student]
backbone = { use = "unet", base = 4, downsamplings = 2 }
optimizer = { use = "AdamW", lr = 1e-2 }
[terms.labels]
learner = "student"
loss = "cross_entropy"
[evaluate]
every = 1000
[tracking]
"""
