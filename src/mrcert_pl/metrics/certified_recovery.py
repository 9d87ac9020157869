"""Clean, certified and round-trip certified accuracy."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from mrcert_pl.defenders import Verdicts
from mrcert_pl.errors import ConfigurationError

ACCURACIES = ("base", "clean", "certified", "round_trip")


class CertifiedRecoveryAccuracy(Metric):
    """Shares of images that a defender labels correctly, and that it provably keeps labelling correctly.

    - ``base``: the base model's own label of the unmasked image is right;
    - ``clean``: the defender's label is right;
    - ``certified``: it is right and certified;
    - ``round_trip``: it is right and round-trip certified.

    All states are integer counts, summed over processes, so the result is exact whatever the batches and devices.
    """

    full_state_update = False
    higher_is_better = True

    base: Tensor
    clean: Tensor
    certified: Tensor
    round_trip: Tensor
    counted: Tensor
    with_base: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in (*ACCURACIES, "counted", "with_base"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, verdicts: Verdicts, target: Tensor, base: Tensor | None = None) -> None:
        """Count a batch.

        Args:
            verdicts: what the defender said, for ``[image]``.
            target: true labels ``[image]``.
            base: labels ``[image]`` of the base model; without them there is no base accuracy.

        Raises:
            ConfigurationError: for labels of another shape, or verdicts that say nothing of certificates.
        """
        certified, round_trip = verdicts.certified, verdicts.round_trip
        if certified is None or round_trip is None:
            raise ConfigurationError(
                "the accuracies need certificates and round trips; ask the defender for them: "
                'defender.asked_for("round_trip")'
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

    def counts(self) -> dict[str, int]:
        """The numerators and their common denominator ``n`` over all processes (call it on every one).

        ``base`` is among them only if it was given; it must be given for every image or for none.
        """
        with self.sync_context():
            sums = self._sums()
        return _counts(sums)

    def _sums(self) -> dict[str, int]:
        return {name: int(getattr(self, name)) for name in (*ACCURACIES, "counted", "with_base")}

    def compute(self) -> dict[str, float]:
        """Shares of ``n``, and ``n``; NaN shares if nothing was counted."""
        counts = _counts(self._sums())
        n = counts.pop("n")
        return {name: count / n if n else float("nan") for name, count in counts.items()} | {"n": float(n)}


def _counts(sums: dict[str, int]) -> dict[str, int]:
    n, with_base = sums["counted"], sums["with_base"]
    if with_base not in (0, n):
        raise ConfigurationError(f"base labels were given for {with_base} of {n} images; give all or none")
    return {name: sums[name] for name in ACCURACIES if name != "base" or with_base} | {"n": n}
