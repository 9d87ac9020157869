"""The base class of accuracies that are made of integer counts."""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric


class CountingMetric(Metric):
    """Counts of images, summed over processes, so the result depends on neither batches nor devices.

    A subclass names its integer states and returns its counts.

    Args:
        attacked: whether to include the accuracy of images that the base model misclassifies.
        kwargs: arguments of torchmetrics' ``Metric``.

    Attributes:
        states: names of the integer states.
        of_harmful: accuracy of the images that the base model misclassifies, of which there are ``n - base``.
    """

    full_state_update = False
    higher_is_better = True

    states: ClassVar[tuple[str, ...]]
    of_harmful: ClassVar[str]

    def __init__(self, attacked: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attacked = attacked
        for name in self.states:
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def counts(self) -> dict[str, int]:
        """Return the numerators and ``n`` over all processes; call it on every process.

        The denominator is ``n``, and ``n - base`` for :attr:`of_harmful`.
        """
        with self.sync_context():
            return self._counts()

    def compute(self) -> dict[str, Float[Tensor, ""]]:
        """Return the accuracies and ``n``, each a float scalar; an accuracy with the denominator 0 is NaN."""
        counts = self._counts()
        n = counts.pop("n")
        totals = {name: n - counts["base"] if name == self.of_harmful else n for name in counts}
        accuracies = {name: count / totals[name] if totals[name] else float("nan") for name, count in counts.items()}
        return {name: torch.tensor(value, device=self.device) for name, value in {**accuracies, "n": float(n)}.items()}

    @abstractmethod
    def _counts(self) -> dict[str, int]:
        """Numerators of this process by name, and ``n``."""
