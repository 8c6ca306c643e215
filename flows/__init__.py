"""Prefect lives here and nowhere else: flows of a few lines around the library's own steps."""
