"""Recipes: the schema, loading, strict structuring, problems with file and line, saving."""
