"""Clean, certified and round-trip certified accuracy."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from mrcert_pl.defenders import Verdicts
from mrcert_pl.errors import ConfigurationError

ACCURACIES = ("base", "clean", "certified", "round_trip")
ADVERSARIAL = "adversarial_certified"
_STATES = (*ACCURACIES, ADVERSARIAL, "counted", "with_base")


class CertifiedRecoveryAccuracy(Metric):
    """Shares of images that a defender labels correctly, and that it provably keeps labelling correctly.

    - ``base``: the base model's own label of the unmasked image is right;
    - ``clean``: the defender's label is right;
    - ``certified``: it is right and certified;
    - ``round_trip``: it is right and round-trip certified.

    On images that were attacked there is one more, of those that the base model misreads:

    - ``adversarial_certified``: the defender's label is right and certified.

    All states are integer counts, summed over processes, so the result is exact whatever the batches and devices.

    Args:
        attacked: whether to count the last one.
        kwargs: of torchmetrics' ``Metric``.
    """

    full_state_update = False
    higher_is_better = True

    base: Tensor
    clean: Tensor
    certified: Tensor
    round_trip: Tensor
    adversarial_certified: Tensor
    counted: Tensor
    with_base: Tensor

    def __init__(self, attacked: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attacked = attacked
        for name in _STATES:
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, verdicts: Verdicts, target: Tensor, base: Tensor | None = None) -> None:
        """Count a batch.

        Args:
            verdicts: what the defender said, for ``[image]``.
            target: true labels ``[image]``.
            base: labels ``[image]`` of the base model; without them there is no base accuracy, and no adversarial one.

        Raises:
            ConfigurationError: for labels of another shape, or verdicts that say nothing of certificates.
        """
        certified, round_trip = verdicts.certified, verdicts.round_trip
        if certified is None or round_trip is None:
            raise ConfigurationError(
                "the accuracies need certificates and round trips; ask the defender for them: "
                'defender.with_output("round_trip")'
            )
        for name, labels in (("target", target), ("base", base)):
            if labels is not None and labels.shape != verdicts.label.shape:
                raise ConfigurationError(
                    f"{name} must be {list(verdicts.label.shape)} like the verdicts, not {list(labels.shape)}"
                )
        right = verdicts.label == target
        self.counted += len(target)
        self.clean += right.sum()
        self.certified += (right & certified).sum()
        self.round_trip += (right & round_trip).sum()
        if base is not None:
            self.with_base += len(target)
            self.base += (base == target).sum()
            self.adversarial_certified += (right & certified & (base != target)).sum()

    def counts(self) -> dict[str, int]:
        """The numerators and their common denominator ``n`` over all processes (call it on every one).

        ``base`` is among them only if it was given; it must be given for every image or for none. The denominator of
        ``adversarial_certified`` is ``n - base``.
        """
        with self.sync_context():
            return self._counts()

    def compute(self) -> dict[str, float]:
        """Shares of their denominators, and ``n``; NaN shares of none."""
        counts = self._counts()
        n = counts.pop("n")
        of = dict.fromkeys(counts, n)
        if ADVERSARIAL in of:
            of[ADVERSARIAL] -= counts["base"]
        shares = {name: count / of[name] if of[name] else float("nan") for name, count in counts.items()}
        return shares | {"n": float(n)}

    def _counts(self) -> dict[str, int]:
        sums = {name: int(getattr(self, name)) for name in _STATES}
        n, with_base = sums["counted"], sums["with_base"]
        if with_base not in (0, n):
            raise ConfigurationError(f"base labels were given for {with_base} of {n} images; give all or none")
        left_out = (set() if self.attacked else {ADVERSARIAL}) | (set() if with_base else {"base", ADVERSARIAL})
        return {name: sums[name] for name in (*ACCURACIES, ADVERSARIAL) if name not in left_out} | {"n": n}
