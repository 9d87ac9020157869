from pathlib import Path

import lightning as L
import pytest
import torch

from mrcert_pl.data import ImageDataModule
from mrcert_pl.errors import CheckpointError, ConfigurationError, NumericalError
from mrcert_pl.geometry import PatchSpec, covering_masks
from mrcert_pl.lit import MaskedFinetuning
from mrcert_pl.models import AblatedViT, ViTSRF
from mrcert_pl.models.checkpoints import describe_model, read_checkpoint, restore
from mrcert_pl.training import AblationSampler, MaskSampler


def module(model: ViTSRF, **arguments: object) -> MaskedFinetuning:
    masks = MaskSampler(covering_masks(model.grid, model.window_px, PatchSpec(32)), model.windows, range(5))
    optimizer = {"opt": "adamw", "lr": 1e-3, "weight_decay": 0.05}
    settings = {"optimizer": optimizer, "origin": describe_model(model), **arguments}
    return MaskedFinetuning(model, masks, num_classes=10, **settings)  # type: ignore[arg-type]


def trainer(folder: Path, **arguments: object) -> L.Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    return L.Trainer(accelerator="cpu", default_root_dir=folder, **{**quiet, **arguments})  # type: ignore[arg-type]


def digits(limit: int = 64, batch_size: int = 16) -> ImageDataModule:
    return ImageDataModule("digits", limit=limit, batch_size=batch_size)


@pytest.mark.parametrize("mixup", [None, {"mixup_alpha": 0.8, "cutmix_alpha": 1.0}])
def test_training_lowers_the_loss_and_leaves_a_checkpoint_that_comes_back(
    tiny_vit: ViTSRF, tmp_path: Path, mixup: dict | None
) -> None:
    fit = trainer(tmp_path, max_epochs=4, enable_checkpointing=False)
    tuned = module(tiny_vit.train(), mixup=mixup, warmup_epochs=1)
    losses = []

    class Recorder(L.Callback):
        def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            losses.append(float(trainer.callback_metrics["train/loss"]))

    fit.callbacks.append(Recorder())
    fit.fit(tuned, digits())
    assert losses[-1] < losses[0]
    assert not tiny_vit.new_head

    fit.save_checkpoint(tmp_path / "last.ckpt")
    again = ViTSRF(**tiny_vit.config)
    restore(again, read_checkpoint(tmp_path / "last.ckpt"))
    images = torch.rand(2, 3, 224, 224)
    assert torch.equal(again.eval()(images), tiny_vit.eval()(images))


def test_a_distilled_training_neither_trains_nor_saves_its_teacher(tiny_vit: ViTSRF, tmp_path: Path) -> None:
    tiny_vit.new_head = False
    images = torch.rand(2, 3, 224, 224)
    before = tiny_vit.eval()(images)
    tuned = module(tiny_vit.train(), warmup_epochs=0, drop_path=0.1, distillation={"weight": 0.7, "temperature": 2.0})
    fit = trainer(tmp_path, max_epochs=2, enable_checkpointing=False)
    fit.fit(tuned, digits())
    assert tuned.distillation is not None
    assert not torch.equal(tiny_vit.eval()(images), before)
    assert float(tuned.distillation(torch.tensor(0.0), images, before.detach())) == pytest.approx(0.0, abs=1e-6)
    plain = {f"model.{name}" for name in tiny_vit.state_dict()}
    assert set(tuned.state_dict()) == plain
    rates = [group["params"] for group in fit.optimizers[0].param_groups]
    assert sum(map(len, rates)) == len(list(tiny_vit.parameters()))


def test_a_distilled_training_is_resumed_with_its_teacher_alone(tiny_vit: ViTSRF) -> None:
    tiny_vit.new_head = False
    first = module(tiny_vit, distillation={})
    checkpoint = {"state_dict": first.state_dict()}
    first.on_save_checkpoint(checkpoint)
    module(tiny_vit, distillation={}).on_load_checkpoint(checkpoint)
    with torch.no_grad():
        tiny_vit.get_parameter("head.bias").add_(0.1)
    for other in (module(tiny_vit, distillation={}), module(tiny_vit)):
        with pytest.raises(CheckpointError, match=r"give the model\.weights and model\.head_rows"):
            other.on_load_checkpoint(checkpoint)
    module(tiny_vit, distillation={}).on_load_checkpoint({})


def test_a_distillation_of_a_new_head_or_with_other_arguments_is_an_error(tiny_vit: ViTSRF) -> None:
    with pytest.raises(ConfigurationError, match="takes weight and temperature"):
        module(tiny_vit, distillation={"alpha": 0.7})
    with pytest.raises(ConfigurationError, match="can classify these images before the training"):
        module(tiny_vit, distillation={"weight": 0.7})


def test_the_learning_rate_warms_up_and_falls_to_the_minimum(tiny_vit: ViTSRF, tmp_path: Path) -> None:
    rates = []

    class Recorder(L.Callback):
        def on_train_batch_end(self, trainer: L.Trainer, *_: object) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    fit = trainer(tmp_path, max_epochs=4, enable_checkpointing=False, callbacks=[Recorder()])
    fit.fit(module(tiny_vit.train(), warmup_epochs=1, warmup_lr=1e-5, min_lr=1e-6), digits())
    assert len(rates) == 16
    assert rates[0] < rates[1] < rates[2]
    assert max(rates) > 0.8e-3
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[-1] == pytest.approx(1e-6, rel=0.1)


def test_masks_really_hide_windows_from_the_model(tiny_vit: ViTSRF, tmp_path: Path) -> None:
    seen = []

    class Spy(ViTSRF):
        def classify_visible(self, features: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
            if self.training:
                seen.append(hidden)
            return super().classify_visible(features, hidden)

    fit = trainer(tmp_path, max_epochs=1, enable_checkpointing=False)
    fit.fit(module(Spy(**tiny_vit.config)), digits())
    hidden = torch.cat(seen)
    assert hidden.shape == (64, 14)
    assert hidden.any()
    assert len(hidden.unique(dim=0)) > 20


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mixup": {"mixup_alpha": 0.8}, "batch_size": 7}, "batch_size must be even, got 7"),
        ({"mixup": {"mixup_alfa": 0.8}}, "timm's Mixup lacks"),
        ({"mixup": {"mixup_alpha": -1.0}}, "needs a mixup_alpha or cutmix_alpha above 0"),
        ({"mixup": {"mixup_alpha": "much"}}, "needs a mixup_alpha or cutmix_alpha above 0"),
        ({"lr_scaling": "cubic"}, "unknown learning rate scaling"),
        ({"mixup": {"cutmix_minmax": [1]}}, r"does not accept recipe\.finetuning\.mixup=\{'cutmix_minmax': \[1\]\}"),
        ({"label_smoothing": None}, r"recipe\.finetuning\.label_smoothing must be a number, got None"),
        ({"warmup_epochs": "two"}, r"recipe\.finetuning\.warmup_epochs must be a number, got 'two'"),
        ({"label_smoothing": 1.0}, "label_smoothing must be from 0 to below 1"),
        ({"step_epochs": 0}, "step_epochs above 0"),
        ({"optimizer": {"opt": "adamm", "lr": 1e-3}}, "timm has no optimizer 'adamm'; similar names: adam"),
        ({"optimizer": {"opt": "adamw", "lr": 0}}, "lr must be a positive number, got 0"),
        ({"optimizer": {"opt": "adamw", "lr": "fast"}}, "lr must be a positive number, got 'fast'"),
        ({"optimizer": {"opt": "adamw"}}, "lr must be a positive number, got None"),
        ({"optimizer": {"opt": "adamw", "lr": 1e-3, "layer_decay": 2}}, "layer_decay must be above 0"),
        ({"optimizer": {"opt": "adamw", "lr": 1e-3, "weight_decay": -1}}, "adamw does not accept"),
        ({"optimizer": {"opt": "adamw", "lr": 1e-3, "momentun": 0.9}}, "adamw does not accept"),
    ],
)
def test_bad_settings_end_in_one_sentence_before_a_training_starts(
    tiny_vit: ViTSRF, settings: dict, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        module(tiny_vit, **settings)


@pytest.mark.parametrize("opt", ["adamw", "muon", "momentum", "sgd", "lookahead_adamw"])
def test_known_optimizers_are_accepted(tiny_vit: ViTSRF, opt: str) -> None:
    module(tiny_vit, optimizer={"opt": opt, "lr": 1e-3, "layer_decay": 0.5})


def test_layer_decay_goes_by_true_depth(tiny_vit: ViTSRF, tmp_path: Path) -> None:
    """Embedding, two blocks, head: the further from the head, the smaller the learning rate."""
    optimizer = {"opt": "adamw", "lr": 1e-3, "weight_decay": 0.05, "layer_decay": 0.5}
    fit = trainer(tmp_path, max_epochs=1, enable_checkpointing=False, limit_val_batches=0)
    fit.fit(module(tiny_vit.train(), optimizer=optimizer), digits(16))
    names = {id(parameter): name for name, parameter in tiny_vit.named_parameters()}
    scales, decays = {}, {}
    for group in fit.optimizers[0].param_groups:
        for parameter in group["params"]:
            scales[names[id(parameter)]] = group["lr_scale"]
            decays[names[id(parameter)]] = group["weight_decay"]
    assert scales["patch_embed.proj.weight"] == scales["pos_embed"] == scales["cls_token"]
    order = ["cls_token", "blocks.0.mlp.fc1.weight", "blocks.1.mlp.fc1.weight", "head.weight"]
    assert [scales[name] for name in order] == sorted({scales[name] for name in order})
    assert scales["blocks.1.mlp.fc1.weight"] == 2 * scales["blocks.0.mlp.fc1.weight"]
    assert scales["fc_norm.weight"] == scales["blocks.1.mlp.fc1.weight"]
    assert scales["head.weight"] == 1
    for name, decay in decays.items():
        kept = name.endswith("bias") or "norm" in name or name in ("cls_token", "pos_embed")
        assert decay == (0 if kept else 0.05), name


def test_a_loss_that_is_not_finite_stops_with_advice(tiny_vit: ViTSRF, tmp_path: Path) -> None:
    with torch.no_grad():
        tiny_vit.head.weight[0] = torch.nan
    with pytest.raises(NumericalError, match=r"became nan in epoch 0.*lower recipe\.finetuning\.optimizer\.lr"):
        trainer(tmp_path, max_epochs=1, enable_checkpointing=False).fit(module(tiny_vit.train()), digits())


@pytest.mark.parametrize(("factor", "expected"), [(0.1, [1.0, 1.0, 0.1, 0.1, 0.01]), (1.0, [1.0] * 5)])
def test_the_learning_rate_falls_in_steps(
    tiny_vit: ViTSRF, tmp_path: Path, factor: float, expected: list[float]
) -> None:
    """A factor of 1 keeps it as it is."""
    rates = []

    class Recorder(L.Callback):
        def on_train_batch_start(self, trainer: L.Trainer, *_: object) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    fit = trainer(tmp_path, max_epochs=5, enable_checkpointing=False, callbacks=[Recorder()], limit_val_batches=0)
    optimizer = {"opt": "momentum", "momentum": 0.9, "lr": 1e-3, "weight_decay": 0.0}
    settings = {"optimizer": optimizer, "step_epochs": 2, "step_factor": factor, "warmup_epochs": 0}
    fit.fit(module(tiny_vit.train(), **settings), digits(16, 8))
    assert rates == pytest.approx([1e-3 * share for share in expected for _ in range(2)])


def test_ablations_are_trained_on_like_masks(tmp_path: Path) -> None:
    """The same module; each image sees one band, in groups of as many tokens."""
    seen = []

    class Spy(AblatedViT):
        def classify_visible(self, features: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
            if torch.is_grad_enabled():  # not in validation
                seen.append(hidden)
            return super().classify_visible(features, hidden)

    backbone_args = {"embed_dim": 16, "depth": 1, "num_heads": 2}
    model = Spy("vit_tiny_patch16_224", num_classes=10, backbone_args=backbone_args)
    optimizer = {"opt": "adamw", "lr": 1e-3, "weight_decay": 0.05, "layer_decay": 0.5}
    masks = AblationSampler(model.ablations())
    tuned = MaskedFinetuning(model, masks, num_classes=10, optimizer=optimizer, drop_path=0.1)
    fit = trainer(tmp_path, max_epochs=1, enable_checkpointing=False)
    fit.fit(tuned, digits(16, 8))
    hidden = torch.cat(seen)
    assert hidden.shape == (16, 448)
    assert ((~hidden).sum(1) == 224 + 19).all()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    scales = {names[id(p)]: g["lr_scale"] for g in fit.optimizers[0].param_groups for p in g["params"]}
    order = ["vit.cls_token", "vit.blocks.0.mlp.fc1.weight", "vit.head.weight"]
    assert [scales[name] for name in order] == [0.25, 0.5, 1.0]
