"""Attack on a test set as a LightningModule: Lightning adds devices, DDP and progress."""

from typing import Any

import lightning as L
import torch
from torch import Tensor

from mrcert_pl.attacks import PatchAttack
from mrcert_pl.data import AttackedSet, Sample
from mrcert_pl.errors import NumericalError
from mrcert_pl.models.protocols import BaseModel


class PatchAttacking(L.LightningModule):
    """Attack every image of a test set that the attacked set lacks, and write each as soon as it is finished.

    Args:
        model: Base model; gradients of its weights are switched off.
        attack: Patch attack.
        attacked: Attacked set that receives the images.
    """

    def __init__(self, model: BaseModel, attack: PatchAttack, attacked: AttackedSet) -> None:
        super().__init__()
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        self.model = model
        self.attack = attack
        self.attacked = attacked
        self._finished = attacked.ids()

    def test_step(self, batch: Sample, batch_idx: int) -> None:
        rows = zip(batch.image, batch.label.tolist(), batch.id.tolist(), batch.path, strict=True)
        for image, label, image_id, path in rows:
            if image_id not in self._finished:
                self._attack(image, label, image_id, path)

    def _attack(self, image: Tensor, label: int, image_id: int, path: str) -> None:
        with torch.no_grad():
            clean = int(self.model(image[None]).argmax())
        try:
            found = self.attack.attack(self.model, image, label, image_id)
        except NumericalError as error:
            raise NumericalError(f"{path}: {error}") from error
        facts: dict[str, Any] = {
            "id": image_id,
            "label": label,
            "path": path,
            "placement": found.placement._asdict(),
            "loss": found.loss,
            "clean_prediction": clean,
            "prediction": found.prediction,
            "success": found.prediction != label,
            "start": found.start,
            "step": found.step,
        }
        self.attacked.add(found.image, facts)
