"""Settings of a model that choose its initial weights."""

from collections.abc import Mapping

INITIAL_WEIGHTS: Mapping[str, bool | None] = {"pretrained": False, "weights": None, "head_rows": None}
"""Names of these settings, with the values for random weights.

They do not distinguish trained models: a checkpoint has its own weights.
"""
