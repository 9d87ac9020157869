"""Certified recovery from adversarial patches for Vision Transformers."""

__version__ = "0.1.0"
