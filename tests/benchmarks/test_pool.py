"""Several jobs at once: what they need, what they share, failures and the end of the time."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from benchmarks import results
from benchmarks.pool import run_at_once
from benchmarks.protocol import Job

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are forked")


def job(name: str, *needs: str, shares: str | None = None) -> Job:
    return Job(name, "eval", (), "done", needs, shares=shares)


class Diary:
    """What happened in the processes, in its order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def done(self, job: Job) -> bool:
        return (self.folder / job.name / "done").is_file()

    def work(self, job: Job) -> int:
        print(f"this is {job.name}")
        self._note(f"+{job.name}")
        time.sleep(0.2)
        self._note(f"-{job.name}")
        if job.name.startswith("broken"):
            return 3
        if job.name.startswith("raises"):
            raise RuntimeError("out of luck")
        (self.folder / job.name).mkdir(parents=True, exist_ok=True)
        (self.folder / job.name / "done").touch()
        return 0

    def _note(self, line: str) -> None:
        with (self.folder / "diary").open("a") as file:
            file.write(f"{line}\n")

    def lines(self) -> list[str]:
        file = self.folder / "diary"
        return file.read_text().split() if file.is_file() else []

    def run(self, planned: list[Job], count: int = 3, until: float = float("inf")) -> list[str]:
        return run_at_once(planned, self.done, self.work, self.folder / "logs", count, until)


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    return Diary(tmp_path)


def test_a_job_waits_for_what_it_needs_and_others_run_beside_it(diary: Diary) -> None:
    assert diary.run([job("a"), job("b", "a"), job("c")]) == []
    lines = diary.lines()
    assert lines.index("-a") < lines.index("+b")
    assert lines.index("+c") < lines.index("-a")


def test_no_more_than_so_many_run_and_the_first_ones_first(diary: Diary) -> None:
    assert diary.run([job(name) for name in "abcd"], count=2) == []
    running, most = 0, 0
    for line in diary.lines():
        running += 1 if line[0] == "+" else -1
        most = max(most, running)
    assert most == 2
    begun = [line for line in diary.lines() if line[0] == "+"]
    assert begun[-1] in ("+c", "+d")


def test_two_that_share_a_store_never_run_together(diary: Diary) -> None:
    assert diary.run([job("a", shares="store"), job("b", shares="store")]) == []
    assert diary.lines() == ["+a", "-a", "+b", "-b"]


def test_a_failure_stops_only_what_needs_it(diary: Diary, capfd: pytest.CaptureFixture[str]) -> None:
    planned = [job("broken"), job("raises"), job("late", "broken"), job("later", "late"), job("fine")]
    assert sorted(diary.run(planned)) == ["broken", "late", "later", "raises"]
    assert diary.done(job("fine"))
    assert "+late" not in diary.lines()
    out = capfd.readouterr().out
    assert "late is skipped: broken failed" in out
    assert "fine: done in" in out
    assert "this is fine" not in out
    assert "this is fine" in (diary.folder / "logs/fine.log").read_text()
    assert "RuntimeError: out of luck" in (diary.folder / "logs/raises.log").read_text()


def test_what_is_done_is_not_run_again(diary: Diary) -> None:
    assert diary.run([job("a")]) == []
    assert diary.run([job("a"), job("b", "a")]) == []
    assert diary.lines() == ["+a", "-a", "+b", "-b"]


def test_a_job_without_a_result_has_failed(diary: Diary) -> None:
    assert run_at_once([job("a")], diary.done, lambda job: 0, diary.folder / "logs", 2) == ["a"]


def test_at_the_end_of_the_time_running_jobs_are_stopped(diary: Diary) -> None:
    def hang(job: Job) -> int:
        diary._note(str(os.getpid()))
        time.sleep(60)
        return 0

    began = time.monotonic()
    left = run_at_once([job("a"), job("b", "a")], diary.done, hang, diary.folder / "logs", 2, began + 0.5)
    assert left == ["a", "b"]
    assert time.monotonic() < began + 30
    with pytest.raises(ProcessLookupError):
        os.kill(int(diary.lines()[0]), 0)


def test_what_needs_something_unplanned_is_not_waited_for(diary: Diary) -> None:
    assert diary.run([job("a", "elsewhere"), job("b")]) == ["a"]
    assert diary.done(job("b"))


def test_no_job_outlives_a_pool_that_is_terminated(diary: Diary) -> None:
    """The first job ends the pool, while the second one sleeps."""
    parent = os.getpid()

    def work(job: Job) -> int:
        if job.name == "a":
            while len(diary.lines()) < 1:
                time.sleep(0.05)
            os.kill(parent, signal.SIGTERM)
        else:
            diary._note(str(os.getpid()))
        time.sleep(60)
        return 0

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        run_at_once([job("a"), job("b")], diary.done, work, diary.folder / "logs", 2)
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == before
    with pytest.raises(ProcessLookupError):
        os.kill(int(diary.lines()[0]), 0)


def test_the_protocol_runs_several_jobs_at_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    only = ["--only", "digits/masked_vit/*/at32/mrcert*"]
    results.main(["--tiny", "--out", str(tmp_path), "--at-once", "2", *only])
    assert len(list(tmp_path.rglob("results.json"))) == 3
    assert "digits/masked_vit/seed0/at32/mrcert: done in" in capfd.readouterr().out
    log = tmp_path / "logs/digits_masked_vit_seed0_at32_mrcert_sharp.log"
    assert "their entries are not computed again" in log.read_text()
