"""The protocol of docs/results.md: which trainings, evaluations and attacks, and what they cost."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mrcert_pl.cli.overrides import override
from mrcert_pl.results.runs import RESULTS, TRAINING

# The first one labels all mutants; the others find theirs in the store.
MASKING = ("mrcert", "mrcert_sharp", "mrcert_cascade", "patchcure_paper", "patchcure")
VOTING = ("vot", "vot_sharp")


@dataclass(frozen=True)
class Images:
    """A data set.

    Attributes:
        name: Name of the data set.
        train: Number of training images, for estimates.
        test: Number of test images to certify, drawn with the seed.
        attacked: Number of test images to attack.
        overrides: Settings of all commands.
        training: Settings of trainings.
    """

    name: str
    train: int
    test: int
    attacked: int
    overrides: tuple[str, ...] = ()
    training: tuple[str, ...] = ()


@dataclass(frozen=True)
class Base:
    """A base model, trained once per seed.

    Attributes:
        name: Name of the training.
        title: Name in tables.
        patch: Patch size of the training masks in px.
        overrides: Settings of all commands.
        defenders: Defenders that certify with it.
        strides: Stride of the masks by patch size at which it is evaluated; ``None``: that of the model.
        seconds: Seconds per image of all mutants by patch size, for estimates.
        training_seconds: Seconds per image and epoch of a training, for estimates.
        attacked: Whether the patch sizes are attacked as well.
    """

    name: str
    title: str
    patch: int
    overrides: tuple[str, ...]
    defenders: tuple[str, ...]
    strides: Mapping[int, int | None]
    seconds: Mapping[int, float]
    training_seconds: float
    attacked: bool = True


@dataclass(frozen=True)
class Protocol:
    """All configurations.

    Attributes:
        images: Data sets.
        bases: Base models.
        overrides: Settings of all commands.
        training: Settings of trainings.
        attack: Settings of attacks.
        epochs: Epochs of a training by data set.
        attack_seconds: Seconds of an attack per image, for estimates.
        seeds: Seeds of training and choice of images.
    """

    images: tuple[Images, ...]
    bases: tuple[Base, ...]
    overrides: tuple[str, ...]
    training: tuple[str, ...]
    attack: tuple[str, ...]
    epochs: Mapping[str, int]
    attack_seconds: float
    seeds: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Job:
    """One command and its result file.

    Attributes:
        name: Folder of the run, below that of the protocol.
        command: Command of ``mrcert``.
        overrides: Its settings.
        leaves: File of the finished result.
        needs: Names of the jobs that must be finished before.
        seconds: Estimated duration on one CPU thread of docs/performance.md.
        shares: Store of mutants that the job shares with others; the first of them computes it.
    """

    name: str
    command: str
    overrides: tuple[str, ...]
    leaves: str
    needs: tuple[str, ...] = ()
    seconds: float = 0.0
    shares: str | None = None


@dataclass(frozen=True)
class Cell:
    """One row of a table: the evaluations of one configuration, by seed.

    Attributes:
        images, base, patch, defender: The configuration.
        attacked: Whether the images are attacked ones.
        jobs: Names of the evaluations.
    """

    images: Images
    base: Base
    patch: int
    defender: str
    attacked: bool
    jobs: tuple[str, ...] = field(default=())


def jobs(protocol: Protocol, out: Path) -> list[Job]:
    """Return all jobs, each after those that it needs.

    Args:
        protocol: Configurations.
        out: Folder of all runs.
    """
    return [
        job
        for seed in protocol.seeds
        for images in protocol.images
        for base in protocol.bases
        for job in _of_base(protocol, out, images, base, seed)
    ]


def cells(protocol: Protocol) -> list[Cell]:
    """Return the rows of the tables."""
    return [
        Cell(
            images, base, patch, defender, attacked, tuple(_evaluation(where, defender, attacked) for where in folders)
        )
        for images in protocol.images
        for attacked in (False, True)
        for base in protocol.bases
        for patch in base.strides
        for defender in base.defenders
        if base.attacked or not attacked
        for folders in [[f"{_folder(images, base, seed)}/at{patch}" for seed in protocol.seeds]]
    ]


def needed(jobs: Sequence[Job], chosen: Iterable[str]) -> list[Job]:
    """Return the chosen jobs and all that they need, in their order."""
    by_name = {job.name: job for job in jobs}
    names: set[str] = set()
    waiting = list(chosen)
    while waiting:
        name = waiting.pop()
        if name not in names:
            names.add(name)
            waiting += by_name[name].needs
    return [job for job in jobs if job.name in names]


def _folder(images: Images, base: Base, seed: int) -> str:
    return f"{images.name}/{base.name}/seed{seed}"


def _evaluation(folder: str, defender: str, attacked: bool) -> str:
    return f"{folder}/{'attacked_' if attacked else ''}{defender}"


def _of_base(protocol: Protocol, out: Path, images: Images, base: Base, seed: int) -> Iterator[Job]:
    folder = _folder(images, base, seed)
    train, checkpoint = f"{folder}/train", override("checkpoint", str(out / folder / "best.ckpt"))
    # An attacked set states its data set and model.
    common = (*protocol.overrides, override("seed", seed))
    subject = (override("dataset", images.name), *images.overrides, *base.overrides, *common)
    epochs = protocol.epochs[images.name]
    yield Job(
        train,
        "train",
        (
            *subject,
            *protocol.training,
            *images.training,
            override("patch", base.patch),
            override("recipe.epochs", epochs),
            checkpoint,
        ),
        TRAINING,
        seconds=epochs * images.train * base.training_seconds,
    )
    for patch, stride in base.strides.items():
        at = f"{folder}/at{patch}"
        masks = (override("patch", patch), *(() if stride is None else (override("stride", stride),)), checkpoint)
        tables = f"{at}/tables"
        for defender in base.defenders:
            yield Job(
                _evaluation(at, defender, False),
                "eval",
                (
                    *subject,
                    *masks,
                    override("dataset.limit", images.test),
                    override("defender", defender),
                    override("store", str(out / tables)),
                ),
                RESULTS,
                (train,),
                images.test * base.seconds[patch],
                tables,
            )
        if base.attacked:
            attack = Job(
                f"{at}/attack",
                "attack",
                (
                    *subject,
                    *masks,
                    *protocol.attack,
                    override("images", images.attacked),
                    override("store", str(out / at / "attacked")),
                ),
                RESULTS,
                (train,),
                images.attacked * protocol.attack_seconds,
            )
            yield attack
            tables = f"{at}/attacked_tables"
            for defender in base.defenders:
                yield Job(
                    _evaluation(at, defender, True),
                    "eval",
                    (
                        *common,
                        *masks,
                        override("dataset", "attacked"),
                        override("dataset.path", str(out / at / "attacked")),
                        override("defender", defender),
                        override("store", str(out / tables)),
                    ),
                    RESULTS,
                    (train, attack.name),
                    images.attacked * base.seconds[patch],
                    tables,
                )


IMAGENETTE_ROWS = "model.head_rows=[0,217,482,491,497,566,569,571,574,701]"
_DEIT = "model.backbone=deit_tiny_patch16_224.fb_in1k"
# Seconds per image: docs/results.md, accuracy against cost; docs/performance.md, training and the token grid. Those of
# votes are 80 GFLOPs at the speed of the 75 GFLOPs of the token grid, and one ablation per training image.
_BASES = (
    Base(
        "vit_srf_p16",
        "ViT-SRF 14x1, split 6",
        16,
        ("model=vit_srf", _DEIT),
        MASKING,
        {16: None},
        {16: 8.2},
        0.079,
    ),
    Base(
        "vit_srf_p32",
        "ViT-SRF 14x1, split 6",
        32,
        ("model=vit_srf", _DEIT),
        MASKING,
        {32: None},
        {32: 3.1},
        0.070,
    ),
    # At these strides both patch sizes have nine masks of 6x6 tokens, so one training serves both.
    Base(
        "masked_vit",
        "token grid",
        32,
        ("model=masked_vit", _DEIT),
        MASKING,
        {16: 5, 32: 4},
        {16: 4.2, 32: 4.2},
        0.061,
    ),
    Base(
        "column_vit",
        "votes, bands of 19 px",
        32,
        ("model=column_vit", _DEIT),
        VOTING,
        {16: None, 32: None},
        {16: 1.1, 32: 1.1},
        0.02,
        attacked=False,
    ),
)

FULL = Protocol(
    images=(
        Images("imagenette", 8994, 500, 200, ("dataset.resize=whole",), (IMAGENETTE_ROWS,)),
        Images("cifar10", 47500, 1000, 200),
    ),
    bases=_BASES,
    overrides=("trainer.precision=bf16-mixed",),
    training=("recipe=short", "callbacks.mutant_predictions.images=32"),
    attack=("attack.starts=4", "attack.steps=30"),
    epochs={"imagenette": 3, "cifar10": 1},
    # Four starts of thirty steps of 0.071 s.
    attack_seconds=8.5,
)
"""The protocol of docs/results.md."""

_ARGUMENTS = "model.backbone_args={embed_dim: 16, depth: 2, num_heads: 2}"
_TINY_OVERRIDES = {
    "vit_srf": ("model=vit_srf", _ARGUMENTS, "model.split=1"),
    "masked_vit": ("model=masked_vit", _ARGUMENTS),
    "column_vit": ("model=column_vit", _ARGUMENTS),
}

TINY = Protocol(
    images=(Images("digits", 16, 2, 2, training=("dataset.limit=16",)),),
    bases=tuple(replace(base, overrides=_TINY_OVERRIDES[base.overrides[0].removeprefix("model=")]) for base in _BASES),
    overrides=("trainer=cpu",),
    training=("recipe.batch_size=8", "callbacks.mutant_predictions.images=2"),
    attack=("attack.starts=1", "attack.steps=1"),
    epochs={"digits": 1},
    attack_seconds=0.1,
)
"""The same configurations with embedded digits and models of a few thousand weights, to try the script."""
