from itertools import product

import pytest
import timm
import torch
import torch.nn.functional as F
from noisy_srf import SMALL, noisy_srf, random_images

from mrcert_pl.errors import ConfigurationError
from mrcert_pl.geometry import PatchSpec, covering_lattice
from mrcert_pl.models import ViTSRF

DEPTH = SMALL["depth"]
HEAD_ORDERS = ["pool_norm", "norm_pool"]
# Windows of the 4x4 tokens, with a patch and an order whose unions leave something to see.
LATTICES = [
    pytest.param((4, 1), 1, 3, id="columns"),
    pytest.param((1, 4), 1, 3, id="rows"),
    pytest.param((2, 1), 1, 3, id="half columns"),
    pytest.param((2, 2), 1, 3, id="quarters"),
    pytest.param((1, 1), 16, 3, id="tokens"),
    pytest.param((4, 4), 1, 0, id="whole image"),
]


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def merged_logits(model, features, image, hidden):
    """``classify_mutants`` for any unions, called once for each number of visible windows."""
    logits = features.new_full((len(hidden), model.num_classes), torch.nan)
    shown = (~hidden).sum(1)
    for count in shown.unique():
        rows = shown == count
        logits[rows] = model.classify_mutants(features, image[rows], hidden[rows])
    return logits


def assert_same_logits(actual, expected, relative):
    """Close in relation to the spread of the logits, and the spread is not that of a dead model."""
    spread = (expected.amax(1) - expected.amin(1)).min().item()
    assert spread > 1e-2
    torch.testing.assert_close(actual, expected, rtol=0, atol=relative * spread)


@pytest.mark.parametrize(("dtype", "relative"), [(torch.float32, 1e-4), (torch.float64, 1e-11)])
@pytest.mark.parametrize("head_order", HEAD_ORDERS)
@pytest.mark.parametrize("split", [0, 1, 2, DEPTH])
@pytest.mark.parametrize(("window", "patch", "order"), LATTICES)
def test_merged_path_is_the_dense_path_for_every_union(window, patch, order, split, head_order, dtype, relative):
    """Theorem 5: masked tokens may be carried as one. Double precision shows that it's no approximation."""
    model = noisy_srf(window=window, split=split, head_order=head_order).to(dtype)
    hidden = covering_lattice(model.grid, model.window_px, PatchSpec(patch), order).hidden
    features = model.encode(random_images(2).to(dtype))

    # Mutants of both images in one call, alternating.
    image = torch.arange(2 * len(hidden)) % 2
    hidden = hidden.repeat_interleave(2, dim=0)
    dense = model.classify(features[image], hidden)
    assert_same_logits(merged_logits(model, features, image, hidden), dense, relative)


@pytest.mark.parametrize("hidden_as", ["zero", "drop"])
@pytest.mark.parametrize("head_order", HEAD_ORDERS)
@pytest.mark.parametrize("split", [0, 2, DEPTH])
@pytest.mark.parametrize("window", [(4, 1), (2, 2), (1, 1)])
def test_training_with_masks_per_image_has_the_gradients_of_the_dense_path(window, split, head_order, hidden_as):
    model = noisy_srf(window=window, split=split, head_order=head_order, hidden_tokens=hidden_as).double().train()
    images = random_images(11).double()
    # From nothing to all but one window, so that groups need padding; what all groups have in common is not enough.
    hidden = torch.stack([torch.randperm(model.windows) < count % model.windows for count in range(11)])
    dense = model.classify if hidden_as == "zero" else one_by_one(model)
    with torch.enable_grad():
        results = []
        for classify in (dense, model.classify_visible):
            model.zero_grad()
            logits = classify(model.encode(images), hidden)
            logits.square().sum().backward()
            gradients = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
            results.append((logits.detach(), gradients))
    (expected, slopes), (actual, found) = results
    assert_same_logits(actual, expected, 1e-11)
    assert len(slopes) > 1000
    torch.testing.assert_close(found, slopes, rtol=1e-9, atol=1e-9 * slopes.abs().max().item())


def one_by_one(model):
    """A dense path for dropped tokens: each image alone, without what it hides."""

    def classify(features, hidden):
        return torch.cat(
            [model.classify_mutants(features, torch.tensor([i]), hidden[i : i + 1]) for i in range(len(hidden))]
        )

    return classify


def test_merged_path_is_the_dense_path_for_vit_base():
    model = noisy_srf(
        noise=0.02, backbone="vit_base_patch16_224.mae", backbone_args={}, num_classes=1000, window=(14, 1), split=6
    )
    unions = covering_lattice(model.grid, model.window_px, PatchSpec(32), order=4)
    hidden = unions.hidden[[0, 1, 40, int(unions.visible.argmin())]]
    assert hidden.sum(1).tolist() == [0, 3, 6, 12]

    features = model.encode(random_images(1, px=224))
    dense = model.classify(features.expand(4, -1, -1, -1), hidden)
    merged = merged_logits(model, features, torch.zeros(4, dtype=torch.long), hidden)
    assert_same_logits(merged, dense, relative=1e-4)
    assert merged.argmax(1).tolist() == dense.argmax(1).tolist()


@pytest.mark.parametrize("window", [(4, 1), (2, 2), (1, 1)])
def test_mutant_tokens_are_those_that_the_blocks_see(window):
    model = noisy_srf(window=window)
    features = model.encode(random_images(1))
    lengths = []
    model.lrf_blocks[0].register_forward_pre_hook(lambda _, inputs: lengths.append(inputs[0].shape[1]))
    hidden = torch.arange(model.windows) >= torch.arange(1, model.windows + 1)[:, None]
    for row in hidden:
        model.classify_mutants(features, torch.tensor([0]), row[None])
    assert lengths == model.mutant_tokens(hidden).tolist()


@pytest.mark.parametrize("settings", [{}, {"no_embed_class": True}], ids=["position of cls", "no position of cls"])
@pytest.mark.parametrize("head_order", HEAD_ORDERS)
def test_without_srf_blocks_it_is_the_vit_of_timm(head_order, settings):
    """The class token has no position in ViT-SRF, so timm's must be zero. timm can norm before it pools, too."""
    model = noisy_srf(split=0, head_order=head_order, backbone_args=SMALL | settings)
    if not settings:
        model.pos_embed[:, 0] = 0
    images = random_images(3)
    weights = model.state_dict()
    mean, std = weights.pop("mean"), weights.pop("std")

    pool_first = head_order == "pool_norm"
    if not pool_first:
        weights = {name.replace("fc_norm", "norm"): value for name, value in weights.items()}
    arguments = SMALL | settings | {"global_pool": "avg", "fc_norm": pool_first}
    vit = timm.create_model("vit_tiny_patch16_224", num_classes=5, **arguments).eval()
    vit.load_state_dict(weights)
    assert_same_logits(model(images), vit((images - mean) / std), relative=1e-4)


def test_images_are_normalised_as_the_backbone_was_trained():
    half, imagenet = noisy_srf(), noisy_srf(backbone="deit_tiny_patch16_224")
    assert half.mean.flatten().tolist() == half.std.flatten().tolist() == [0.5, 0.5, 0.5]
    assert imagenet.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert imagenet.std.flatten().tolist() == pytest.approx([0.229, 0.224, 0.225])
    assert {"mean", "std"} <= half.state_dict().keys()


def layer_norm(x, norm):
    deviation = x - x.mean(-1, keepdim=True)
    return deviation / (deviation.pow(2).mean(-1, keepdim=True) + norm.eps).sqrt() * norm.weight + norm.bias


@pytest.mark.parametrize("hidden", [[], [2], [0, 1, 3]], ids=str)
@pytest.mark.parametrize("head_order", HEAD_ORDERS)
def test_without_lrf_blocks_it_is_an_average_of_features(head_order, hidden):
    model = noisy_srf(split=DEPTH, head_order=head_order)
    features = model.encode(random_images(1))
    mask = torch.tensor([[window in hidden for window in range(4)]])

    tokens = features[0, :, 1:].clone()
    tokens[hidden] = 0
    tokens = tokens.flatten(0, 1)
    if head_order == "pool_norm":
        pooled = layer_norm(tokens.sum(0) / 16, model.fc_norm)
    else:
        pooled = layer_norm(tokens, model.fc_norm).sum(0) / 16
    logits = (model.head.weight @ pooled + model.head.bias)[None]
    assert_same_logits(model.classify(features, mask), logits, relative=1e-4)
    assert_same_logits(model.classify_mutants(features, torch.tensor([0]), mask), logits, relative=1e-4)


def slow_logits(model, image, hidden):
    """One image, one token and one window at a time, from the pixels to the logits of a ``pool_norm`` head."""
    (height, width), (rows, columns) = model.window, model.grid
    position = {}
    token = {}
    for row, column in product(range(4), range(4)):
        pixels = image[:, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
        pixels = (pixels - model.mean[0]) / model.std[0]
        embedded = (model.patch_embed.proj.weight * pixels).sum((1, 2, 3)) + model.patch_embed.proj.bias
        position[row, column] = model.pos_embed[0, 1 + 4 * row + column]
        token[row, column] = embedded + position[row, column]

    class_tokens = []
    for window, (top, left) in enumerate(product(range(rows), range(columns))):
        places = [(top * height + y, left * width + x) for y, x in product(range(height), range(width))]
        sequence = torch.stack([model.cls_token[0, 0], *(token[place] for place in places)])
        for block in model.blocks[: model.split]:
            sequence = block(sequence[None])[0]
        for place, value in zip(places, sequence[1:], strict=True):
            token[place] = torch.zeros_like(value) if window in hidden else value
        if window not in hidden:
            class_tokens.append(sequence[0])

    sequence = torch.stack([sum(class_tokens) / len(class_tokens), *(token[place] for place in sorted(token))])
    for block in model.blocks[model.split :]:
        sequence = block(sequence[None])[0]
    return model.head.weight @ layer_norm(sequence[1:].mean(0), model.fc_norm) + model.head.bias


@pytest.mark.parametrize(
    ("window", "hidden"),
    [
        ((4, 1), []),
        ((4, 1), [1]),
        ((4, 1), [0, 3]),
        ((1, 4), [1, 2, 3]),
        ((2, 2), [1]),
        ((2, 2), [0, 3]),
        ((2, 1), [0, 5, 6]),
        ((1, 2), [1, 4, 6]),
        ((1, 1), [0, 1, 4, 5, 15]),
        ((4, 4), []),
    ],
)
@pytest.mark.parametrize("split", [1, 2])
def test_data_flow(window, hidden, split):
    model = noisy_srf(window=window, split=split)
    images = random_images(2)
    mask = torch.tensor([window in hidden for window in range(model.windows)]).expand(2, -1)
    expected = torch.stack([slow_logits(model, image, hidden) for image in images])
    assert_same_logits(model(images, mask), expected, relative=1e-4)
    merged = model.classify_mutants(model.encode(images), torch.arange(2), mask)
    assert_same_logits(merged, expected, relative=1e-4)


def test_each_image_of_a_batch_has_its_own_hidden_windows():
    model, images = noisy_srf(), random_images(3)
    hidden = torch.tensor([[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 1]], dtype=torch.bool)
    alone = torch.cat([model(image[None], mask[None]) for image, mask in zip(images, hidden, strict=True)])
    assert_same_logits(model(images, hidden), alone, relative=1e-5)


def test_nothing_is_hidden_by_default():
    model, images = noisy_srf(), random_images(2)
    assert torch.equal(model(images), model(images, torch.zeros(2, 4, dtype=torch.bool)))


def pixels_of(model, window):
    """``[height, width]``: the pixels of a window."""
    inside = torch.zeros(model.windows, dtype=torch.bool)
    inside[window] = True
    (rows, columns), (height, width) = model.grid, model.window_px
    return inside.view(rows, columns).repeat_interleave(height, 0).repeat_interleave(width, 1)


SECURE = [(window, split) for window in [(4, 1), (1, 4), (2, 2), (2, 1), (1, 1)] for split in (0, 2, DEPTH)]


@pytest.mark.parametrize(("window", "split"), SECURE)
def test_features_of_a_window_depend_on_its_own_pixels_alone(window, split):
    """The receptive field on which all certificates rest; equal to the last bit."""
    model, image = noisy_srf(window=window, split=split), random_images(1)
    features = model.encode(image)
    for w in range(model.windows):
        inside = pixels_of(model, w)
        elsewhere = torch.where(inside, image, random_images(1, seed=1))
        assert torch.equal(model.encode(elsewhere)[:, w], features[:, w])
        within = model.encode(torch.where(inside, random_images(1, seed=1), image))
        changed = (within != features).flatten(2).any(2)[0]
        assert changed.nonzero().flatten().tolist() == [w]


@pytest.mark.parametrize("patch", [0.0, 1.0, "random", 1e30, float("nan")], ids=str)
@pytest.mark.parametrize("head_order", HEAD_ORDERS)
@pytest.mark.parametrize(("window", "split"), SECURE)
def test_pixels_of_hidden_windows_have_no_influence_at_all(window, split, head_order, patch):
    model, image = noisy_srf(window=window, split=split, head_order=head_order), random_images(1)
    generator = torch.Generator().manual_seed(2)
    for _ in range(4):
        hidden = torch.rand(1, model.windows, generator=generator) < 0.5
        hidden[0, torch.randint(model.windows, (), generator=generator)] = False
        content = random_images(1, seed=3) if patch == "random" else torch.tensor(patch)
        patched = torch.where(pixels_of(model, hidden[0]), content, image)
        assert torch.equal(model(patched, hidden), model(image, hidden))
        mutants = [model.classify_mutants(model.encode(x), torch.tensor([0]), hidden) for x in (patched, image)]
        assert torch.equal(*mutants)


def test_pixels_of_visible_windows_have_influence():
    model, image = noisy_srf(), random_images(1)
    hidden = torch.tensor([[True, False, False, True]])
    logits = model(image, hidden)
    for window in (1, 2):
        patched = torch.where(pixels_of(model, window), random_images(1, seed=1), image)
        assert (model(patched, hidden) - logits).abs().max() > 1e-3


@torch.enable_grad()
def test_gradients_reach_all_parameters_and_the_visible_pixels_only():
    model, images = noisy_srf().train(), random_images(2).requires_grad_()
    hidden = torch.tensor([[True, False, False, False], [False, False, True, True]])
    F.cross_entropy(model(images, hidden), torch.tensor([0, 3])).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
    for image, mask in zip(images.grad, hidden, strict=True):
        assert torch.equal(image.ne(0).any(0), ~pixels_of(model, mask))


@torch.enable_grad()
def test_a_step_of_training_lowers_the_loss():
    model, images, labels = noisy_srf().train(), random_images(4), torch.tensor([0, 1, 2, 3])
    hidden = torch.eye(4, dtype=torch.bool)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    before = F.cross_entropy(model(images, hidden), labels)
    before.backward()
    optimizer.step()
    assert F.cross_entropy(model(images, hidden), labels) < before


@pytest.mark.parametrize("window", [(4, 1), (2, 4)])
def test_description_of_the_layout(window):
    model = noisy_srf(window=window)
    assert model.grid == (4 // window[0], 4 // window[1])
    assert model.windows == model.grid[0] * model.grid[1]
    assert model.window_px == (16 * window[0], 16 * window[1])
    assert model.image_px == (64, 64)


def test_oblong_images():
    model = noisy_srf(window=(2, 3), backbone_args=SMALL | {"img_size": (32, 96)})
    assert (model.grid, model.windows, model.image_px) == ((1, 2), 2, (32, 96))
    images = torch.rand(1, 3, 32, 96)
    hidden = torch.tensor([[True, False]])
    merged = model.classify_mutants(model.encode(images), torch.tensor([0]), hidden)
    assert_same_logits(merged, model(images, hidden), relative=1e-4)


def test_config_makes_the_same_model_again():
    model = noisy_srf(window=(2, 2), split=2, head_order="norm_pool")
    twin = ViTSRF(**model.config).eval()
    assert twin.config == model.config
    twin.load_state_dict(model.state_dict())
    assert torch.equal(twin(random_images(1)), model(random_images(1)))


def test_parameters_without_weight_decay_exist():
    model = noisy_srf()
    assert model.no_weight_decay() <= dict(model.named_parameters()).keys()


@pytest.mark.parametrize("window", [(3, 1), (4, 3), (0, 1), (-1, 1), (8, 4), (4,), (4, 1, 1)], ids=str)
def test_window_that_does_not_divide_the_tokens_is_refused(window):
    with pytest.raises(ConfigurationError, match=r"heights that do: \[1, 2, 4\], widths: \[1, 2, 4\]"):
        noisy_srf(window=window)


@pytest.mark.parametrize("split", [-1, DEPTH + 1])
def test_split_outside_the_blocks_is_refused(split):
    with pytest.raises(ConfigurationError, match=f"split must be from 0 to the 3 blocks .* not {split}"):
        noisy_srf(split=split)


def test_unknown_head_order_is_refused():
    with pytest.raises(ConfigurationError, match="unknown head order 'norm'; choose one of: norm_pool, pool_norm"):
        noisy_srf(head_order="norm")


@pytest.mark.parametrize("shape", [(1, 3, 64, 48), (1, 3, 224, 224), (3, 64, 64), (1, 1, 3, 64, 64)], ids=str)
def test_images_of_another_size_are_refused(shape):
    with pytest.raises(
        ConfigurationError, match=r"images must be floats in \[0, 1\] of the shape \[image, 3, 64, 64\], not"
    ):
        noisy_srf().encode(torch.zeros(shape))


@pytest.mark.parametrize("channels", [1, 4])
def test_images_with_another_number_of_channels_are_refused(channels):
    with pytest.raises(
        ConfigurationError, match=r"images must be floats in \[0, 1\] of the shape \[image, 3, 64, 64\], not"
    ):
        noisy_srf().encode(torch.zeros(1, channels, 64, 64))


def test_images_of_whole_numbers_are_refused():
    with pytest.raises(ConfigurationError, match=r"images must be floats in \[0, 1\] .* not torch\.uint8"):
        noisy_srf().encode(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))


@pytest.mark.parametrize("shape", [(1, 4), (2, 3)], ids=str)
def test_mutants_need_a_row_of_hidden_windows_each(shape):
    model = noisy_srf()
    with pytest.raises(ConfigurationError, match=r"hidden must be \[2, 4\], not"):
        model.classify_mutants(model.encode(random_images(1)), torch.tensor([0, 0]), torch.zeros(shape).bool())


def test_an_image_that_is_hidden_altogether_is_refused():
    model = noisy_srf()
    features = model.encode(random_images(2))
    hidden = torch.tensor([[False, False, False, True], [True, True, True, True]])
    with pytest.raises(ConfigurationError, match="all windows of an image are hidden"):
        model.classify(features, hidden)
    with pytest.raises(ConfigurationError, match="at least one"):
        model.classify_mutants(features, torch.tensor([1]), hidden[1:])


@pytest.mark.parametrize("shape", [(2, 3), (2, 5), (1, 4), (4,), (2, 4, 1)], ids=str)
def test_hidden_windows_of_another_shape_are_refused(shape):
    model = noisy_srf()
    with pytest.raises(ConfigurationError, match=r"hidden must be \[2, 4\], not"):
        model.classify(model.encode(random_images(2)), torch.zeros(shape, dtype=torch.bool))


def test_mutants_that_show_different_numbers_of_windows_are_refused():
    model = noisy_srf()
    hidden = torch.tensor([[True, False, False, False], [True, True, False, False]])
    with pytest.raises(ConfigurationError, match="same number of windows"):
        model.classify_mutants(model.encode(random_images(1)), torch.tensor([0, 0]), hidden)
