from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

import sparring
from sparring import cli
from sparring.commands import study
from sparring.errors import InputError
from sparring.runs import Run, differences


@pytest.fixture(autouse=True)
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_a_study_that_was_stopped_goes_on_where_it_was() -> None:
    straight = sparring.study("rps-dynamics", preset="smoke", out="straight")
    files = {name: Path(straight[name]).read_bytes() for name in study.FILES}
    assert all(files.values())
    assert differences(Path("straight")) == {}
    assert straight["cells"] == len(list(Path("straight/jobs").iterdir()))
    table = list(csv.DictReader(files["table"].decode().splitlines()))
    assert len(table) == straight["rows"]

    assert cli.main(["study", "rps-dynamics", "--preset", "smoke", "--out", "stopped"]) == cli.DONE
    with Run.open(Path("stopped")):
        pass  # as an interrupted run is left: a finished one is held to its files
    done = sorted(Path("stopped/jobs").iterdir())
    kept = (done[0] / study.ROWS).stat().st_mtime_ns
    for folder in done[2:]:
        shutil.rmtree(folder)
    for name in study.FILES.values():
        (Path("stopped") / name).unlink()
    assert cli.main(["resume", "stopped"]) == cli.DONE
    assert {name: Path("stopped", file).read_bytes() for name, file in study.FILES.items()} == files
    assert (done[0] / study.ROWS).stat().st_mtime_ns == kept


@pytest.mark.long
def test_cells_side_by_side_give_the_same_files() -> None:
    for jobs in (1, 2):
        sparring.study("rps-dynamics", preset="smoke", jobs=jobs, out=f"by-{jobs}")
    for file in study.FILES.values():
        assert Path("by-1", file).read_bytes() == Path("by-2", file).read_bytes()


def test_another_seed_is_another_study() -> None:
    plans = [study.prepare(study.Settings(name="rps-dynamics", preset="smoke", seed=seed)).cells for seed in (0, 0, 1)]
    assert plans[0] == plans[1] != plans[2]


def test_every_study_has_all_parts_and_three_presets() -> None:
    assert "rps-dynamics" in study.names() and "robosumo-learning" not in study.names()
    for name in study.names():
        for preset in ("smoke", "standard", "paper"):
            prepared = study.prepare(study.Settings(name=name, preset=preset))
            assert prepared.cells and study.plan(study.Settings(name=name), prepared)["cells"] == len(prepared.cells)


def test_unknown_studies_are_told() -> None:
    for name in ("rps-dynamic", "robosumo-learning"):
        with pytest.raises(InputError, match=f"unknown study '{name}'"):
            sparring.study(name)


def test_a_table_keeps_every_bit_and_all_columns() -> None:
    rows = [{"a": 0.1 + 0.2, "b": "x,y"}, {"a": 1e-300, "c": None}]
    assert study.csv_text(rows) == 'a,b,c\n0.30000000000000004,"x,y",\n1e-300,,\n'
