"""Publication of a guard: what the card states is measured on these weights, and only an upload uses a network."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_tasks import CPU

from mrcert_pl import DatasetSettings, EvaluationSettings, Guard, PredictionSettings, RunSettings, evaluate
from mrcert_pl.defenders import build
from mrcert_pl.defenders.refined import Refined
from mrcert_pl.errors import CheckpointError, ConfigurationError, ResultsError
from mrcert_pl.results import TrainingResult
from mrcert_pl.tasks.push import PushSettings, push


class Hub:
    """A hub that keeps what is uploaded."""

    def __init__(self) -> None:
        self.repositories: dict[str, Any] = {}

    def __call__(self, token: str | None) -> "Hub":
        return self

    def create_repo(self, repo_id: str, private: bool, exist_ok: bool) -> str:
        self.repositories[repo_id] = private
        return f"https://huggingface.co/{repo_id}"

    def upload_folder(self, repo_id: str, folder_path: str, commit_message: str) -> None:
        self.files = {path.name: path.read_bytes() for path in Path(folder_path).iterdir()}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The hub, while no connection can be made."""

    def refuse(*arguments: Any, **settings: Any) -> None:
        raise AssertionError("a network was used")

    monkeypatch.setattr("socket.socket.connect", refuse)
    hub = Hub()
    monkeypatch.setattr("huggingface_hub.HfApi", hub)
    return hub


def guarded(trained: TrainingResult, defender: Any = "mrcert_sharp", **settings: Any) -> PredictionSettings:
    return PredictionSettings(checkpoint=Path(str(trained.checkpoint)), defender=defender, device="cpu", **settings)


@pytest.fixture
def evaluated(trained: TrainingResult, run: Callable[..., RunSettings], tmp_path: Path) -> Path:
    """Evaluations by two defenders of four images, of which one does not belong to the guard."""
    for defender in ("mrcert_sharp", "patchcure"):
        evaluate(
            EvaluationSettings(
                checkpoint=Path(str(trained.checkpoint)),
                dataset=DatasetSettings(limit=4),
                defender=defender,
                trainer=CPU,
                run=run(defender),
            )
        )
    return tmp_path / "runs"


def test_the_folder_states_the_results_of_this_guard_alone(
    trained: TrainingResult, evaluated: Path, tmp_path: Path, hub: Hub
) -> None:
    done = push(PushSettings(guarded(trained), folder=tmp_path / "guard", results=[evaluated]))
    assert done.location == str(tmp_path / "guard")
    card = (tmp_path / "guard" / "README.md").read_text()
    names = (
        "accuracy of the base model alone",
        "clean accuracy",
        "certified accuracy",
        "round-trip certified accuracy",
    )
    assert [result.name for result in done.results] == [f"{name} on digits, seed 0" for name in names]
    for result in done.results:
        assert result.n == 4
        low, high = result.interval()
        row = f"| {result.count} of 4 | {100 * low:.1f} to {100 * high:.1f} % |"
        assert f"| {result.name} | {25 * result.count:.1f} % {row}" in card
    assert "| training | fine-tuned on digits by mrcert_pl, for the patch 32, seed 0 |" in card
    assert Guard.from_pretrained(tmp_path / "guard", device="cpu").defender.name == "mrcert_sharp"
    assert not hub.repositories


def test_the_same_evaluation_twice_is_stated_once(trained: TrainingResult, evaluated: Path, tmp_path: Path) -> None:
    settings = PushSettings(guarded(trained), folder=tmp_path / "guard", results=[evaluated, evaluated])
    assert len(push(settings).results) == 4


def test_an_upload_has_the_same_files(trained: TrainingResult, tmp_path: Path, hub: Hub) -> None:
    done = push(PushSettings(guarded(trained), repo="owner/name", training="by hand", private=True))
    assert (done.location, done.results) == ("https://huggingface.co/owner/name", ())
    assert hub.repositories == {"owner/name": True}
    push(PushSettings(guarded(trained), folder=tmp_path / "guard", training="by hand"))
    assert hub.files == {path.name: path.read_bytes() for path in (tmp_path / "guard").iterdir()}
    card = hub.files["README.md"].decode()
    assert "No results are stated." in card
    assert "| training | by hand |" in card
    push(PushSettings(guarded(trained), repo="an/other"))
    assert 'Guard.from_pretrained("an/other")' in hub.files["README.md"].decode()


def test_the_card_of_a_detector_promises_an_alert(trained: TrainingResult, tmp_path: Path) -> None:
    push(PushSettings(guarded(trained, "patchcensor"), folder=tmp_path / "guard"))
    card = (tmp_path / "guard" / "README.md").read_text()
    assert "An image classifier with certified detection of adversarial patches" in card
    assert "in at most 1 patch of at most 32x32 px gets this label or raises an alert" in card
    assert "certificate for n patches" not in card


@pytest.mark.parametrize(
    "changed",
    [{"defender": "mrcert"}, {"patch": 16}, {"patches": 1}],
    ids=str,
)
def test_results_of_another_guard_are_no_results(
    changed: dict[str, Any], trained: TrainingResult, evaluated: Path, tmp_path: Path
) -> None:
    settings = PushSettings(guarded(trained, **changed), folder=tmp_path / "guard", results=[evaluated])
    with pytest.raises(
        ResultsError, match=r"none of the 2 evaluations in .* is about these weights, the defender mrcert"
    ):
        push(settings)
    assert not (tmp_path / "guard").exists()


def test_results_with_another_threshold_are_no_results(
    trained: TrainingResult, run: Callable[..., RunSettings], tmp_path: Path
) -> None:
    def refined(threshold: float) -> Any:
        return Refined(build("patchcure"), (2,), threshold, 50)

    settings = {"checkpoint": Path(str(trained.checkpoint)), "dataset": DatasetSettings(limit=2), "trainer": CPU}
    evaluate(EvaluationSettings(defender=refined(0.5), run=run("refined"), **settings))
    for_guard = {"folder": tmp_path / "guard", "results": [tmp_path / "runs"]}
    assert push(PushSettings(guarded(trained, refined(0.5)), **for_guard)).results
    with pytest.raises(ResultsError, match="none of the 1 evaluations"):
        push(PushSettings(guarded(trained, refined(0.6)), **for_guard))


def test_other_files_are_not_overwritten(trained: TrainingResult, tmp_path: Path) -> None:
    folder = tmp_path / "guard"
    push(PushSettings(guarded(trained), folder=folder, training="first"))
    push(PushSettings(guarded(trained), folder=folder, training="second"))
    assert "second" in (folder / "README.md").read_text()
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(ConfigurationError, match="has other files than those of a guard; choose another folder="):
        push(PushSettings(guarded(trained), folder=tmp_path))
    assert (tmp_path / "README.md").read_text() == "mine"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give repo=owner/name to upload .* or folder=FOLDER"),
        ({"repo": "owner/name", "folder": Path("guard")}, "give repo=owner/name"),
        ({"repo": "name"}, "is named owner/name, got 'name'"),
        ({"repo": 3}, "is named owner/name, got 3"),
        ({"folder": Path("guard"), "guard": PredictionSettings()}, "give checkpoint=FILE"),
    ],
)
def test_what_cannot_work(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        PushSettings(**{"guard": PredictionSettings(checkpoint=Path("none.ckpt")), **settings})


@pytest.mark.usefixtures("hub")
def test_a_repository_is_no_checkpoint(tmp_path: Path) -> None:
    settings = PredictionSettings(checkpoint=Path("owner/name"), device="cpu")
    with pytest.raises(CheckpointError, match="there is no checkpoint owner/name"):
        push(PushSettings(settings, folder=tmp_path / "guard"))
