"""How far predictions for several masked views of the same images are apart."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def disagreement(views: Sequence[Tensor]) -> Tensor:
    """Mean Jensen-Shannon divergence of the predictions for several views, in nats.

    A certificate asks that mutants of an image have one label, whether or not it is the right one: this is the
    differentiable form of that. It is 0 if all views give the same probabilities and at most ``ln(views)``
    (the consistency term of AugMix, Hendrycks et al. 2020).

    Args:
        views: logits ``[image, class]`` of each view.
    """
    log_p = torch.stack([F.log_softmax(logits.float(), dim=1) for logits in views])
    mixture = log_p.exp().mean(0).clamp(min=1e-7).log()
    return F.kl_div(mixture.expand_as(log_p), log_p, reduction="none", log_target=True).sum(2).mean()
