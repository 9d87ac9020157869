import pytest
import torch

from mrcert_pl.defenders import MRCert, MRCertCascade, PatchCURE, Undefended
from mrcert_pl.errors import ConfigurationError, NumericalError
from mrcert_pl.geometry import PatchSpec, UnionLattice, covering_lattice
from mrcert_pl.models import ViTSRF
from mrcert_pl.mutants import NOT_EVALUATED, MutantEvaluator, PredictionTable

BUDGETS = [1, 18, 50, 16384]


class Everything:
    """Wants the whole table."""

    def next_queries(self, table):
        return ~table.evaluated


class Rounds:
    """Wants some entries, and others once it has seen the labels of those."""

    def __init__(self, *rounds):
        self.rounds = rounds
        self.seen = []

    def next_queries(self, table):
        wanted = torch.zeros_like(table.evaluated)
        for entries in self.rounds:
            for image, mutant in entries:
                wanted[image, mutant] = not table.evaluated[image, mutant]
            if wanted.any():
                self.seen.append(table.evaluated.clone())
                break
        return wanted


class Spy:
    """Passes everything on to a model and keeps what it was asked."""

    def __init__(self, model):
        self.model = model
        self.windows = model.windows
        self.mutant_tokens = model.mutant_tokens
        self.encoded = []
        self.calls = []

    def encode(self, images):
        self.encoded.append(images)
        return self.model.encode(images)

    def classify_mutants(self, features, image, hidden):
        self.calls.append((image.clone(), hidden.clone()))
        return self.model.classify_mutants(features, image, hidden)

    def asked(self, lattice):
        """All (image, mutant) pairs in the order in which they were asked for."""
        column = {tuple(bits): mutant for mutant, bits in enumerate(lattice.hidden.tolist())}
        return [
            (int(i), column[tuple(bits)])
            for image, hidden in self.calls
            for i, bits in zip(image, hidden.tolist(), strict=True)
        ]


class Doctored(Spy):
    """A model whose logits are replaced for one image and one set of hidden windows."""

    def __init__(self, model, image, hidden, logits):
        super().__init__(model)
        self.image, self.hidden, self.logits = image, torch.tensor(hidden), torch.tensor(logits)

    def classify_mutants(self, features, image, hidden):
        logits = super().classify_mutants(features, image, hidden)
        logits[(image == self.image) & (hidden == self.hidden).all(1)] = self.logits
        return logits


@pytest.fixture(scope="module")
def images():
    """Five images of sixteen plain squares each."""
    squares = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    return squares.repeat_interleave(16, dim=2).repeat_interleave(16, dim=3)


@pytest.fixture(scope="module")
def model(images):
    """Four columns of four tokens; all parameters are noisy, so that biases, positions and norms take part."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ViTSRF(
            backbone="vit_tiny_patch16_224",
            num_classes=5,
            window=(4, 1),
            split=1,
            backbone_args={"img_size": 64, "embed_dim": 32, "depth": 2, "num_heads": 2},
        ).eval()
        for parameter in model.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    # No class is ahead on average; otherwise one would win everywhere.
    model.head.bias.data -= model(images).mean(0)
    return model


@pytest.fixture(scope="module")
def lattice(model):
    """15 unions that show one to four of the four columns."""
    return covering_lattice(model.grid, model.window_px, PatchSpec(1), order=3)


@pytest.fixture(scope="module")
def dense(model, lattice, images):
    """Labels and margins from one forward pass per image and mutant, each alone in its batch."""
    with torch.inference_mode():
        logits = torch.stack(
            [torch.cat([model(image[None], hidden[None]) for hidden in lattice.hidden]) for image in images]
        )
    best = logits.sort(dim=2, descending=True).values
    table = PredictionTable(lattice, logits.argmax(2), best[:, :, 0] - best[:, :, 1])
    # Otherwise equal labels would say nothing.
    assert len(table.labels.unique()) > 2
    assert any(len(row.unique()) > 1 for row in table.labels)
    assert table.margins.min() > 1e-3
    return table


def assert_same(table, labels, margins):
    assert table.labels.tolist() == labels.tolist()
    # Rounded down to half precision: never more, and less by 2^-10 at most.
    assert ((table.margins <= margins + 1e-5) | margins.isnan()).all()
    torch.testing.assert_close(table.margins, margins, rtol=2**-10, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("token_budget", BUDGETS)
def test_table_is_that_of_one_dense_forward_per_mutant(model, lattice, images, dense, token_budget):
    table = MutantEvaluator(model, lattice, token_budget).evaluate(images, Everything())
    assert table.mutants is lattice
    assert_same(table, dense.labels, dense.margins)


@pytest.mark.parametrize("members", [[0], [3], [4, 2], [4, 3, 2, 1, 0], [1, 1, 1]], ids=str)
def test_table_does_not_depend_on_the_rest_of_the_batch(model, lattice, images, dense, members):
    table = MutantEvaluator(model, lattice, token_budget=60).evaluate(images[members], Everything())
    assert_same(table, dense.labels[members], dense.margins[members])


@pytest.mark.parametrize("defender", [Undefended(), PatchCURE(), PatchCURE("majority"), MRCert(patches=1)])
def test_only_the_orders_of_the_defender_are_evaluated(model, lattice, images, dense, defender):
    table = MutantEvaluator(model, lattice).evaluate(images, defender)
    needed = lattice.size(defender.order)
    assert needed < len(lattice)
    assert_same(table, *expected(dense, slice(None), slice(needed)))


@pytest.mark.parametrize("token_budget", BUDGETS)
@pytest.mark.parametrize("want", ["label", "certificate", "map"])
@pytest.mark.parametrize("defender", [PatchCURE(), MRCert(1, "sharp"), MRCert(1), MRCertCascade(1)])
def test_lazy_defenders_decide_as_on_the_full_table(model, lattice, images, dense, defender, want, token_budget):
    lazy = defender.with_output(want)
    table = MutantEvaluator(model, lattice, token_budget).evaluate(images, lazy)
    assert torch.equal(table.labels[table.evaluated], dense.labels[table.evaluated].int())
    assert table.evaluated.sum() < len(images) * lattice.size(2)
    full = defender.decide(dense)
    for name, value in vars(lazy.decide(table)).items():
        assert value is None or torch.equal(value, getattr(full, name)), name


def expected(dense, rows, columns):
    """The table that holds these entries and no others."""
    labels, margins = torch.full_like(dense.labels, NOT_EVALUATED), torch.full_like(dense.margins, torch.nan)
    labels[rows, columns], margins[rows, columns] = dense.labels[rows, columns], dense.margins[rows, columns]
    return labels, margins


@pytest.mark.parametrize("token_budget", BUDGETS)
def test_only_what_the_defender_wants_is_evaluated(model, lattice, images, dense, token_budget):
    first = [(0, 0), (0, 7), (2, 14), (4, 0), (4, 3)]
    second = [(1, 5), (2, 0), (4, 13), (4, 14)]
    spy, defender = Spy(model), Rounds(first, second)
    table = MutantEvaluator(spy, lattice, token_budget).evaluate(images, defender)

    asked = spy.asked(lattice)
    assert sorted(asked[: len(first)]) == first
    assert sorted(asked[len(first) :]) == second
    assert [seen.nonzero().tolist() for seen in defender.seen] == [[], [list(entry) for entry in first]]
    assert_same(table, *expected(dense, *torch.tensor(first + second).T))


def test_mutants_are_counted_when_they_are_labelled(model, lattice, images):
    engine = MutantEvaluator(model, lattice)
    table = engine.evaluate(images, MRCert(patches=1))
    assert engine.labelled == int(table.evaluated.sum())
    engine.evaluate(images, MRCert(patches=1), table=table)
    assert engine.labelled == int(table.evaluated.sum())


def test_a_table_of_other_mutants_is_refused(model, lattice, images):
    other = UnionLattice(lattice.masks[:-1], lattice.windows, lattice.order)
    lower = UnionLattice(lattice.masks, lattice.windows, 1)
    for own, given, message in (
        (lattice, other, r"other mutants than those needed here:\n  masks: .* in the table, .* here"),
        (lower, lattice, rf"the table has {len(lattice)} mutants, and there are {len(lower)} here"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            MutantEvaluator(model, own).evaluate(images, Everything(), table=PredictionTable.empty(given, len(images)))
    table = PredictionTable.empty(lower, len(images))
    assert MutantEvaluator(model, lattice).evaluate(images, Everything(), table=table).evaluated.all()


def test_a_table_that_cannot_be_filled_is_refused(model, lattice, images):
    with pytest.raises(ConfigurationError, match=f"{len(images)} images need a table of as many rows, not 1"):
        MutantEvaluator(model, lattice).evaluate(images, Everything(), table=PredictionTable.empty(lattice, 1))
    labels = torch.full((len(images), len(lattice)), NOT_EVALUATED)
    with pytest.raises(ConfigurationError, match=r"take PredictionTable\.empty"):
        MutantEvaluator(model, lattice).evaluate(images, Everything(), table=PredictionTable(lattice, labels))


@pytest.mark.parametrize("token_budget", BUDGETS)
def test_batches_are_dense_and_within_the_token_budget(model, lattice, images, token_budget):
    spy = Spy(model)
    MutantEvaluator(spy, lattice, token_budget).evaluate(images, Everything())

    asked = spy.asked(lattice)
    assert sorted(asked) == [(image, mutant) for image in range(len(images)) for mutant in range(len(lattice))]
    for image, hidden in spy.calls:
        visible = (~hidden).sum(1)
        assert (visible == visible[0]).all()
        assert len(image) == 1 or len(image) * int(model.mutant_tokens(hidden[:1])) <= token_budget
    if token_budget == 16384:
        assert len(spy.calls) == len(lattice.visible.unique())


def test_every_image_is_encoded_once(model, lattice, images):
    spy = Spy(model)
    MutantEvaluator(spy, lattice, token_budget=20).evaluate(images, Rounds([(0, 0)], [(0, 1), (3, 1)], [(3, 2)]))
    assert len(spy.encoded) == 1
    assert torch.equal(spy.encoded[0], images)


def test_nothing_is_classified_for_a_defender_that_wants_nothing(model, lattice, images):
    spy = Spy(model)
    table = MutantEvaluator(spy, lattice).evaluate(images, Rounds())
    assert not spy.calls
    assert not table.evaluated.any()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(("ids", "named"), [(["a.png", "b.png", "c.png", "d.png", "e.png"], "d.png"), (None, "3")])
def test_logits_that_are_not_finite_are_an_error_that_names_the_image(model, lattice, images, bad, ids, named):
    doctored = Doctored(model, 3, [False, True, True, False], [0.0, bad, 1.0, 2.0, 3.0])
    with pytest.raises(NumericalError, match=rf"image {named} with windows \[1, 2\] hidden are not finite"):
        MutantEvaluator(doctored, lattice, token_budget=50).evaluate(images, Everything(), ids)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_damaged_image_is_an_error_that_names_it(model, lattice, images, bad):
    damaged = images.clone()
    damaged[1, 0, 0, 0] = bad
    with pytest.raises(NumericalError, match="the logits of image second "):
        MutantEvaluator(model, lattice).evaluate(damaged, Everything(), ids=["first", "second", "third", "4", "5"])


def test_infinite_logits_that_nobody_asks_for_do_no_harm(model, lattice, images, dense):
    doctored = Doctored(model, 3, [False, True, True, False], [torch.inf] * 5)
    table = MutantEvaluator(doctored, lattice).evaluate(images, Undefended())
    assert table.labels[:, 0].tolist() == dense.labels[:, 0].tolist()


def test_ties_go_to_the_first_class_with_margin_zero(model, lattice, images):
    doctored = Doctored(model, 0, [True, False, False, False], [-1.0, 2.0, 0.0, 2.0, 2.0])
    table = MutantEvaluator(doctored, lattice).evaluate(images, Everything())
    column = lattice.index(0b0001)
    assert table.labels[0, column] == 1
    assert table.margins[0, column] == 0


def test_labels_are_made_in_full_float32_whatever_the_process_has_chosen(model, lattice, images, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    seen = []

    class Looking(Spy):
        def classify_mutants(self, features, image, hidden):
            seen.append(torch.backends.cudnn.allow_tf32)
            return super().classify_mutants(features, image, hidden)

    MutantEvaluator(Looking(model), lattice).evaluate(images, Everything())
    assert seen
    assert not any(seen)
    assert torch.backends.cudnn.allow_tf32


def test_images_of_the_caller_stay_as_they_are(model, lattice, images):
    before = images.clone()
    table = MutantEvaluator(model, lattice).evaluate(images, Everything())
    assert torch.equal(images, before)
    assert not table.margins.requires_grad


def test_masks_for_another_number_of_windows_are_refused(model):
    with pytest.raises(ConfigurationError, match="the model has 4 windows and the mutants are made for 5"):
        MutantEvaluator(model, UnionLattice([0b00001], windows=5, order=1))


class Small(Spy):
    """A device with memory for a number of tokens per batch."""

    def __init__(self, model, tokens):
        super().__init__(model)
        self.tokens = tokens

    def classify_mutants(self, features, image, hidden):
        if len(image) * int(self.mutant_tokens(hidden[:1])) > self.tokens:
            raise torch.OutOfMemoryError("out of memory")
        return super().classify_mutants(features, image, hidden)


@pytest.mark.parametrize("memory", [20, 45, 100, 1000])
def test_smaller_batches_when_memory_runs_out(model, lattice, images, dense, memory):
    small = Small(model, memory)
    evaluator = MutantEvaluator(small, lattice)
    assert_same(evaluator.evaluate(images, Everything()), dense.labels, dense.margins)
    assert sorted(small.asked(lattice)) == [(i, m) for i in range(len(images)) for m in range(len(lattice))]
    budget = evaluator.token_budget
    evaluator.evaluate(images, Everything())
    assert evaluator.token_budget == budget


def test_no_memory_for_a_single_mutant_is_an_error(model, lattice, images):
    with pytest.raises(ConfigurationError, match=r"single mutant of \d+ tokens; .*batch_size=1"):
        MutantEvaluator(Small(model, 7), lattice).evaluate(images, Everything())


@pytest.mark.parametrize("token_budget", [0, -1])
def test_token_budget_below_one_is_refused(model, lattice, token_budget):
    with pytest.raises(ConfigurationError, match=f"token budget must be at least 1, not {token_budget}"):
        MutantEvaluator(model, lattice, token_budget)
