"""Clean, certified and round-trip certified accuracy."""

from jaxtyping import Int
from torch import Tensor

from mrcert_pl.defenders import Verdicts
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.metrics.counting import CountingMetric

ACCURACIES = ("base", "clean", "certified", "round_trip")
ADVERSARIAL = "adversarial_certified"


class CertifiedRecoveryAccuracy(CountingMetric):
    """Accuracies of a base model and a defender.

    - ``base``: the base model's label of the unmasked image is correct;
    - ``clean``: the defender's label is correct;
    - ``certified``: it is correct and certified;
    - ``round_trip``: it is correct and round-trip certified;
    - ``adversarial_certified``, for attacked images, relative to those that the base model misclassifies: the
      defender's label is correct and certified.

    Args:
        attacked: whether to include ``adversarial_certified``.
        kwargs: arguments of torchmetrics' ``Metric``.
    """

    states = (*ACCURACIES, ADVERSARIAL, "counted", "with_base")
    of_harmful = ADVERSARIAL

    base: Tensor
    clean: Tensor
    certified: Tensor
    round_trip: Tensor
    adversarial_certified: Tensor
    counted: Tensor
    with_base: Tensor

    def update(
        self, verdicts: Verdicts, target: Int[Tensor, "*images"], base: Int[Tensor, "*others"] | None = None
    ) -> None:
        """Count a batch.

        Args:
            verdicts: verdicts of the defender.
            target: true labels ``[image]``.
            base: labels of the base model ``[image]``, for every image or for none; without them, ``base`` and
                ``adversarial_certified`` are left out.

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

    def _counts(self) -> dict[str, int]:
        sums = {name: int(getattr(self, name)) for name in self.states}
        n, with_base = sums["counted"], sums["with_base"]
        if with_base not in (0, n):
            raise ConfigurationError(f"base labels were given for {with_base} of {n} images; give all or none")
        excluded = (set() if self.attacked else {ADVERSARIAL}) | (set() if with_base else {"base", ADVERSARIAL})
        return {name: sums[name] for name in (*ACCURACIES, ADVERSARIAL) if name not in excluded} | {"n": n}
