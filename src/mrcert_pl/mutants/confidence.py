"""The confidence of a label, as log-odds."""

import torch
from jaxtyping import Float
from torch import Tensor


def log_odds(logits: Float[Tensor, "*batch class"]) -> Float[Tensor, "*batch"]:
    """Log-odds ``log(s / (1 - s))`` of the softmax confidence ``s`` of the predicted label, in float64.

    ``s`` reaches a threshold if and only if its log-odds reach the threshold's. In another run whose logits differ by
    at most ``delta`` the log-odds differ by at most ``2 * delta``, as margins do (docs/theory.md, Theorem 6), and
    unlike the confidence they tell values near 1 apart.

    Args:
        logits: finite logits; with a single class the log-odds are infinite.
    """
    exact = logits.double()
    first = exact.argmax(-1, keepdim=True)
    others = exact.scatter(-1, first, -torch.inf)
    return exact.gather(-1, first).squeeze(-1) - others.logsumexp(-1)
