"""productshot: catalog product photos by the thousand, with the real product in every picture."""

__version__ = "0.1.0"
