"""Self-distillation: on mutants, the student learns the predictions that the model had for whole images."""

import copy
import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mrcert_pl.errors import ConfigurationError


class Distillation:
    """Divergence of a student from a frozen teacher, the same model before the training.

    The teacher sees the whole image, the student a mutant of it (Hinton et al. 2015 for the loss and its scale). The
    teacher is neither trained nor saved; a resumed training makes it again from the weights that it starts from.

    Attributes:
        teacher: Copy of the model, frozen and in evaluation mode.

    Args:
        model: Model before the training; if it has an attribute ``new_head``, that must be false.
        weight: Weight of the divergence in the loss, above 0 and at most 1; the labels have the rest.
        temperature: Divisor of both logits, above 0.

    Raises:
        ConfigurationError: For numbers out of range, or a model with a new head.
    """

    def __init__(self, model: nn.Module, weight: float = 0.7, temperature: float = 2.0) -> None:
        if not 0 < weight <= 1 or not 0 < temperature < math.inf:
            raise ConfigurationError(
                "recipe.finetuning.distillation needs a weight above 0 and at most 1 and a temperature above 0, got "
                f"{weight} and {temperature}"
            )
        if getattr(model, "new_head", False):
            raise ConfigurationError(
                "recipe.finetuning.distillation needs a model that can classify these images before the training; give "
                "weights with a head for their classes (model.weights=, model.head_rows=), or "
                "recipe.finetuning.distillation=null"
            )
        self.weight = weight
        self.temperature = temperature
        self.teacher = copy.deepcopy(model).eval().requires_grad_(False)
        self._device: torch.device | None = None

    def __call__(
        self,
        loss: Float[Tensor, ""],
        images: Float[Tensor, "image 3 height width"],
        logits: Float[Tensor, "image class"],
    ) -> Float[Tensor, ""]:
        """Return the loss with the divergence mixed in.

        Args:
            loss: Loss of the labels.
            images: Whole images.
            logits: Logits of the student, which saw mutants of them.
        """
        if self._device != images.device:
            self.teacher.to(images.device)
            self._device = images.device
        with torch.no_grad():
            taught = F.log_softmax(self.teacher(images).float() / self.temperature, 1)
        said = F.log_softmax(logits.float() / self.temperature, 1)
        divergence = F.kl_div(said, taught, reduction="batchmean", log_target=True)
        return (1 - self.weight) * loss + self.weight * self.temperature**2 * divergence
