"""The GPU programme on a CPU: its steps with tiny sizes, limits of time, failures, and what is brought along."""

import json
import os
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks import Machine, gpu, gpu_wheels, small_images
from benchmarks.gpu import Keep, Step, fitting_epochs, outcomes, perform, plan, steps

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are forked")


def test_the_steps_of_a_gpu_fit_into_nine_minutes_in_the_documented_order(tmp_path: Path) -> None:
    planned = steps(plan(False, tmp_path, tmp_path / "weights", 4), tmp_path)
    assert sum(step.seconds for step in planned) <= gpu.WHOLE_SECONDS == 540
    kinds = [step.name.partition("_")[0] for step in planned]
    assert list(dict.fromkeys(kinds)) == ["tests", "speed", "train", "certify", "attack"]
    names = [step.name for step in planned]
    assert names.count("speed_p32_bf16-mixed_compiled") == 1
    assert names.index("train_masked_vit") < names.index("train_vit_srf_p32")
    trained = sum(step.seconds for step in planned if step.name.startswith("train"))
    assert trained == 240
    page = (Path(__file__).parents[2] / "docs/performance.md").read_text()
    assert all(f"`{name}" in page for name in dict.fromkeys(kinds))


def test_the_whole_programme_on_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_USED", 0.0)
    monkeypatch.setattr(Machine, "peak_flops", 1e11)
    made = plan(True, None, None, 0)
    chosen = [step for step in steps(made, tmp_path / "runs") if "tests" not in step.name and "srf" not in step.name]
    chosen = [step for step in chosen if not step.name.endswith("compiled")]
    record = perform(chosen, tmp_path / "out")
    log = (tmp_path / "out/gpu.log").read_text()
    assert {found["state"] for found in record.values()} == {"done"}, log
    assert json.loads((tmp_path / "out/gpu.json").read_text()) == record
    speed = record["speed_p32_32-true"]["figures"]
    assert speed["images"] == 2
    assert speed["images_per_second"] > 0
    assert 0 < speed["of_peak"] < 2
    assert 0 < speed["deciding"] < 1
    assert record["train_masked_vit"]["figures"]["one"]["epochs"] == 1
    certified = record["certify_masked_vit"]["figures"]
    assert certified["weights"] == "one"
    assert certified["mrcert_cascade"]["n"] == 2
    assert record["attack"]["figures"]["n"] == 2
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["gpu.json", "gpu.log"]


def _work(until: float, keep: Keep) -> None:
    keep({"images": 3})


def _failing(until: float, keep: Keep) -> None:
    keep({"images": 1})
    raise RuntimeError("out of luck")


def _endless(until: float, keep: Keep) -> None:
    keep({"child": os.getpid()})
    time.sleep(60)


def test_a_step_that_fails_or_takes_too_long_stops_no_other_one(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(gpu, "_RESERVE", 0.1)
    planned = [Step("fails", 9.0, _failing), Step("hangs", 0.5, _endless), Step("works", 9.0, _work)]
    record = perform(planned, tmp_path)
    assert [found["state"] for found in record.values()] == ["failed", "stopped: the time was over", "done"]
    assert record["fails"]["figures"] == {"images": 1}
    assert record["works"]["figures"] == {"images": 3}
    assert "RuntimeError: out of luck" in (tmp_path / "gpu.log").read_text()
    with pytest.raises(ProcessLookupError):
        os.kill(record["hangs"]["figures"]["child"], 0)


def test_no_step_begins_after_the_whole_time(tmp_path: Path) -> None:
    record = perform([Step("late", 9.0, _work)], tmp_path, seconds=1.0)
    assert record == {"late": {"state": "not begun: the time is over"}}


def test_what_has_not_been_trained_is_not_certified(tmp_path: Path) -> None:
    made = plan(True, None, None, 0)
    with pytest.raises(RuntimeError, match="no training of masked_vit has ended"):
        gpu.certification(made, made.bases[-1], tmp_path, 0.0, dict)


@pytest.mark.parametrize(("one", "left", "epochs"), [(10.0, 100.0, 8), (10.0, 12.0, 0), (3.0, -5.0, 0)])
def test_epochs_fit_into_the_time_that_is_left(one: float, left: float, epochs: int) -> None:
    assert fitting_epochs(one, left) == epochs


def test_outcomes_of_tests() -> None:
    output = "..F\nFAILED tests/gpu/test_a.py::test_b - assert 1 == 2\n1 failed, 11 passed, 2 skipped in 3.21s\n"
    failure = "FAILED tests/gpu/test_a.py::test_b - assert 1 == 2"
    assert outcomes(output) == {"failed": 1, "passed": 11, "skipped": 2, "failures": [failure]}
    assert outcomes("") == {"failures": []}


def test_the_command_lists_its_steps(capsys: pytest.CaptureFixture[str]) -> None:
    gpu.main(["--list", "--only", "^(tests|attack)"])
    assert capsys.readouterr().out.split() == ["40", "s", "tests", "40", "s", "attack"]


def test_wheels_are_those_of_this_environment(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    ran: list[list[str]] = []

    def pretend(command: list[str], check: bool) -> None:
        ran.append(command)
        with zipfile.ZipFile(tmp_path / f"{len(ran)}.whl", "w") as wheel:
            wheel.writestr("module.py", bytes(2**19))

    monkeypatch.setattr(gpu_wheels.subprocess, "run", pretend)
    gpu_wheels.main([str(tmp_path), "timm"])
    download, build = ran
    assert {"--python-version=3.12", "--no-deps", "--platform=manylinux_2_28_x86_64"} < set(download)
    named = {word.partition("==")[0] for word in download if "==" in word}
    assert {"hydra-core", "pydantic-core", "beartype", "timm"} < named
    assert any(word.startswith("antlr4-python3-runtime==") for word in build)
    assert capsys.readouterr().out.strip() == "2 wheels, 1.0 MiB of 64"


def test_small_images_keep_folders_and_names(tmp_path: Path, capsys: Any) -> None:
    for name, size in (("train/n01/a.JPEG", (300, 200)), ("val/n02/b.png", (40, 50))):
        (tmp_path / "in" / name).parent.mkdir(parents=True)
        Image.fromarray(np.zeros((size[1], size[0], 3), np.uint8)).save(tmp_path / "in" / name)
    small_images.main([str(tmp_path / "in"), str(tmp_path / "out"), "--px", "100"])
    with Image.open(tmp_path / "out/train/n01/a.webp") as image:
        assert (image.format, image.size) == ("WEBP", (150, 100))
    with Image.open(tmp_path / "out/val/n02/b.webp") as image:
        assert image.size == (40, 50)
    assert capsys.readouterr().out.startswith("2 images, ")
    assert not list((tmp_path / "out").rglob("*.partial"))
    with pytest.raises(SystemExit, match="there is no image"):
        small_images.main([str(tmp_path / "nothing"), str(tmp_path / "out")])
