"""Pocket: the small models that ship inside the project, and the studio that draws what they learn from."""
