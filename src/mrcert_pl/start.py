"""Settings of a model that name the weights it starts from."""

from collections.abc import Mapping

START: Mapping[str, bool | None] = {"pretrained": False, "weights": None, "head_rows": None}
"""Names of these settings, with the values for random weights.

They are no part of a model that was trained: its checkpoint has the weights.
"""
