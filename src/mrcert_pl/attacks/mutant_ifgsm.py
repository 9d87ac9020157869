"""Patch IFGSM with a score of mutants."""

from abc import abstractmethod

from jaxtyping import Bool
from torch import Tensor

from mrcert_pl.attacks.adaptive import WON
from mrcert_pl.attacks.ascent import Objective
from mrcert_pl.attacks.patch_ifgsm import PatchIFGSM
from mrcert_pl.errors import ConfigurationError
from mrcert_pl.models.protocols import BaseModel, DenseModel


class MutantIFGSM(PatchIFGSM):
    """Random starts at random locations, each improved by signed gradient steps on a score of some mutants.

    Raises:
        ConfigurationError: For numbers out of range.
    """

    def objective(self, model: BaseModel, label: int) -> Objective:
        if not isinstance(model, DenseModel):
            raise ConfigurationError(f"attack={self.name} needs a model with classify(), unlike {type(model).__name__}")
        hidden = self.hidden(model)

        def objective(images: Tensor) -> tuple[Tensor, Tensor]:
            return self.score(model, hidden.to(images.device), label)(images)

        return objective

    def succeeded(self, loss: float, prediction: int, label: int) -> bool:
        """Return whether an iterate is a success: its score is the largest possible one."""
        return loss >= WON

    def tokens(self, model: BaseModel) -> int:
        return int(model.mutant_tokens(self.hidden(model)).sum())

    @abstractmethod
    def hidden(self, model: BaseModel) -> Bool[Tensor, "mutant window"]:
        """Return the hidden windows of the mutants in the score; the first one hides nothing."""

    @abstractmethod
    def score(self, model: DenseModel, hidden: Bool[Tensor, "mutant window"], label: int) -> Objective:
        """Return the score of patched images on these mutants, and their labels unmasked."""
