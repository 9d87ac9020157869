"""Clean, certified and round-trip certified accuracy."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric

from mrcert_pl.defenders import Verdicts
from mrcert_pl.errors import ConfigurationError

ACCURACIES = ("base", "clean", "certified", "round_trip")
ADVERSARIAL = "adversarial_certified"
_STATES = (*ACCURACIES, ADVERSARIAL, "counted", "with_base")


class CertifiedRecoveryAccuracy(Metric):
    """Accuracies of a base model and a defender.

    - ``base``: the base model's label of the unmasked image is correct;
    - ``clean``: the defender's label is correct;
    - ``certified``: it is correct and certified;
    - ``round_trip``: it is correct and round-trip certified;
    - ``adversarial_certified``, for attacked images, relative to those that the base model misclassifies: the
      defender's label is correct and certified.

    All states are integer counts, summed over processes, so the result depends on neither batches nor devices.

    Args:
        attacked: whether to include ``adversarial_certified``.
        kwargs: arguments of torchmetrics' ``Metric``.
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

    def update(
        self, verdicts: Verdicts, target: Int[Tensor, "*images"], base: Int[Tensor, "*others"] | None = None
    ) -> None:
        """Count a batch.

        Args:
            verdicts: verdicts of the defender.
            target: true labels ``[image]``.
            base: labels of the base model ``[image]``; without them, ``base`` and ``adversarial_certified`` are left
                out.

        Raises:
            ConfigurationError: for labels of another shape, or verdicts without certificates or round trips.
        """
        certified, round_trip = verdicts.certified, verdicts.round_trip
        if certified is None or round_trip is None:
            raise ConfigurationError(
                'the accuracies need the output level "round_trip"; call defender.with_output("round_trip")'
            )
        for name, labels in (("target", target), ("base", base)):
            if labels is not None and labels.shape != verdicts.label.shape:
                raise ConfigurationError(
                    f"{name} must be {list(verdicts.label.shape)} like the verdicts, not {list(labels.shape)}"
                )
        correct = verdicts.label == target
        self.counted += len(target)
        self.clean += correct.sum()
        self.certified += (correct & certified).sum()
        self.round_trip += (correct & round_trip).sum()
        if base is not None:
            self.with_base += len(target)
            self.base += (base == target).sum()
            self.adversarial_certified += (correct & certified & (base != target)).sum()

    def counts(self) -> dict[str, int]:
        """Return the numerators and their common denominator ``n`` over all processes; call it on every process.

        ``base`` is included if it was given; it must be given for every image or for none. The denominator of
        ``adversarial_certified`` is ``n - base``.
        """
        with self.sync_context():
            return self._counts()

    def compute(self) -> dict[str, Float[Tensor, ""]]:
        """Return the accuracies and ``n``, each a float scalar; an accuracy with the denominator 0 is NaN."""
        counts = self._counts()
        n = counts.pop("n")
        denominators = dict.fromkeys(counts, n)
        if ADVERSARIAL in denominators:
            denominators[ADVERSARIAL] -= counts["base"]
        accuracies = {
            name: count / denominators[name] if denominators[name] else float("nan") for name, count in counts.items()
        }
        return {name: torch.tensor(value, device=self.device) for name, value in {**accuracies, "n": float(n)}.items()}

    def _counts(self) -> dict[str, int]:
        sums = {name: int(getattr(self, name)) for name in _STATES}
        n, with_base = sums["counted"], sums["with_base"]
        if with_base not in (0, n):
            raise ConfigurationError(f"base labels were given for {with_base} of {n} images; give all or none")
        excluded = (set() if self.attacked else {ADVERSARIAL}) | (set() if with_base else {"base", ADVERSARIAL})
        return {name: sums[name] for name in (*ACCURACIES, ADVERSARIAL) if name not in excluded} | {"n": n}
