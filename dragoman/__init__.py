"""Dragoman, an interpreter, translator and guide between instruction sets: the front door of the package."""

__version__ = "0.1.0"
