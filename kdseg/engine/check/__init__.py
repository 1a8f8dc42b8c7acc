"""All that can be wrong with a recipe, and what is seldom meant, before a device is touched.

Here belongs what holds parts of a recipe against each other without training. What a key may hold by itself is said
in `kdseg.recipe`; a part that refuses its own options does so where it is built.
"""
