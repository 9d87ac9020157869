"""Result of an attack on the base model."""

from dataclasses import dataclass, field

from mrcert_pl.plain import FieldError
from mrcert_pl.results import upgrade
from mrcert_pl.results.codec import Count, Settings
from mrcert_pl.results.schema.common import Accuracy, RunDocument


@dataclass(frozen=True)
class AttackResult(RunDocument):
    """``results.json`` of an attack on the base model.

    Attributes:
        weights_sha256: Digest of the weights.
        attack: Name of the attack.
        attack_settings: Settings of the attack.
        n: Number of images.
        before, after: Accuracy of the base model without and with the patch.
        successes: Attacked images that the base model misclassifies.
        attacked: Folder of the attacked set.
    """

    KIND = "attack"
    COMMAND = "mrcert attack"

    weights_sha256: str
    attack: str
    n: Count
    before: Accuracy
    after: Accuracy
    successes: Count
    attacked: str
    attack_settings: Settings = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.successes > self.n:
            raise FieldError("successes", f"must be at most n = {self.n}, got {self.successes}")

    upgrade = staticmethod(upgrade.attack)
