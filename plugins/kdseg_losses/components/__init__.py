"""The losses as recipes see them: nothing here loads torch."""
