"""Attacking a test set: as a LightningModule, so that Lightning gives devices, DDP and progress."""

from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from mrcert_pl.attacks import PatchAttack
from mrcert_pl.data import AttackedSet, Sample
from mrcert_pl.errors import NumericalError


class PatchAttacking(L.LightningModule):
    """Attacks every image of a test set that is not in the attacked set yet, and writes each when it is finished.

    Args:
        model: the base model; its weights are frozen.
        attack: patches an image.
        attacked: where the images go.
    """

    def __init__(self, model: nn.Module, attack: PatchAttack, attacked: AttackedSet) -> None:
        super().__init__()
        self.model = model.requires_grad_(False)
        self.attack = attack
        self.attacked = attacked
        self._finished = attacked.ids()

    def test_step(self, batch: Sample, batch_idx: int) -> None:
        rows = zip(batch.image, batch.label.tolist(), batch.id.tolist(), batch.path, strict=True)
        for image, label, key, path in rows:
            if key not in self._finished:
                self._attack(image, label, key, path)

    def _attack(self, image: Tensor, label: int, key: int, path: str) -> None:
        with torch.no_grad():
            clean = int(self.model(image[None]).argmax())
        try:
            found = self.attack.attack(self.model, image, label, key)
        except NumericalError as error:
            raise NumericalError(f"{path}: {error}") from error
        facts: dict[str, Any] = {
            "id": key,
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
