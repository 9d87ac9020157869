"""Result of an audit of certificates."""

from dataclasses import dataclass

from mrcert_pl.plain import FieldError, Record
from mrcert_pl.results import upgrade
from mrcert_pl.results.codec import Amount, Count
from mrcert_pl.results.schema.common import RunDocument


@dataclass(frozen=True)
class AttackTally(Record):
    """One kind of patch in an audit of certificates.

    Attributes:
        name: Kind of the patches.
        tried: Number of patched images.
        labels_broken: Patched images with another label than the certified one, and no alert.
        certificates_broken: Patched images that the round trip promised a certificate for and that have none.
        detected: Patched images with another label than the certified one, and an alert; ``None`` for defenders that
            raise none.
    """

    name: str
    tried: Count
    labels_broken: Count | None = None
    certificates_broken: Count | None = None
    detected: Count | None = None


@dataclass(frozen=True)
class CertificateAuditResult(RunDocument):
    """``certificates.json``: attacks on certified images.

    Attributes:
        weights_sha256: Digest of the weights.
        defender: Name of the defender.
        images: Images examined.
        certified, round_trip: Those certified, for a detector detection-certified, and round-trip certified.
        placements: Number of patch placements per image.
        attacks: What was tried and what broke, by kind of patch.
        labels_broken, certificates_broken: Sums over the attacks.
        breaks: Files of the breaks.
        seconds: Duration of the attacks.
        mutants_evaluated: Number of mutants evaluated.
    """

    KIND = "certificate_audit"
    COMMAND = "mrcert audit certificates"

    weights_sha256: str
    defender: str
    images: Count
    certified: Count
    round_trip: Count
    placements: Count
    attacks: tuple[AttackTally, ...]
    labels_broken: Count
    certificates_broken: Count
    breaks: tuple[str, ...] = ()
    seconds: Amount | None = None
    mutants_evaluated: Count | None = None

    def __post_init__(self) -> None:
        if not self.round_trip <= self.certified <= self.images:
            raise FieldError("certified", "must lie between round_trip and images")

    @property
    def tried(self) -> int:
        """Number of patched images of all attacks."""
        return sum(attack.tried for attack in self.attacks)

    @property
    def detected(self) -> int:
        """Number of patched images of another label that raised an alert."""
        return sum(attack.detected or 0 for attack in self.attacks)

    @property
    def of_detector(self) -> bool:
        """Whether the certificates allow an alert in place of the label."""
        return any(attack.detected is not None for attack in self.attacks)

    upgrade = staticmethod(upgrade.certificate_audit)
