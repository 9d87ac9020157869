"""Typed results: what commands leave, as frozen dataclasses, JSON and Parquet; statistics and comparisons of them."""
