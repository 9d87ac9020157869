"""Origins of the numbers."""

import json
from pathlib import Path

from result_files import CONFIG, evaluation, row

from mrcert_pl.views.page import write_page
from mrcert_pl.views.page.configuration import configuration_section

HOSTILE = "</pre><script>alert(1)</script>"


def test_every_run_says_where_it_comes_from(tmp_path: Path) -> None:
    runs = {
        "first": evaluation(tmp_path / "a", [row(0)], seed=3, checkpoint="best.ckpt", delta={"float32": 2e-6}),
        "second": evaluation(tmp_path / "b", [row(0)], command=""),
    }
    first, second = configuration_section(runs).details
    assert (first.summary, second.summary) == ("first", "second")
    assert first.facts["folder"] == str(tmp_path / "a")
    assert first.facts["seed"] == "3"
    assert first.facts["checkpoint"] == "best.ckpt"
    assert first.facts["weights (SHA-256)"] == "ab" * 32
    assert first.facts["spread of logits"] == "float32 2e-06"
    assert (first.facts["torch"], first.facts["device"], first.facts["precision"]) == ("2.6", "1 x cpu", "32-true")
    assert json.loads(first.text) == CONFIG


def test_unknown_facts_are_left_out(tmp_path: Path) -> None:
    (details,) = configuration_section({"a": evaluation(tmp_path, [row(0)], command="")}).details
    assert not {"command", "checkpoint", "tables", "mutants", "spread of logits"} & set(details.facts)
    assert "None" not in details.facts.values()


def test_settings_and_commands_are_escaped(tmp_path: Path) -> None:
    run = evaluation(tmp_path, [row(0)], config={**CONFIG, HOSTILE: HOSTILE}, command=HOSTILE, checkpoint=HOSTILE)
    html = write_page(tmp_path / "page.html", [run], [run.result]).read_text()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 4
