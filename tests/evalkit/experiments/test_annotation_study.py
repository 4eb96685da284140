"""A study by commands, from judge and annotators to a trained reward model; the intervals hold the truth."""

import pytest

from evalkit.experiments.annotation_study import experiment
from evalkit.experiments.annotation_study.config import AnnotationStudy
from evalkit.experiments.annotation_study.experiment import FINDINGS, study
from evalkit.experiments.annotation_study.figures import draw_intervals
from evalkit.experiments.annotation_study.tables import Known, write_table
from evalkit.experiments.simulated_annotators.annotators import Deed
from evalkit.experiments.simulated_annotators.world import JUDGE, PEOPLE, people_win_rate
from rewards.files import read_rows
from tests.evalkit.annotation.annotation_crowd import check_accounts

SMALL = AnnotationStudy(comparisons=160, labelled=60, checks=12, held_out=120, level=0.999)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The folder of a study, and its figures by name."""
    work = tmp_path_factory.mktemp("study")
    return work, {one.name: one for one in study(SMALL, work)}


def test_every_interval_holds_the_truth(done):
    known = [one for one in done[1].values() if one.holds is not None]
    assert len(known) > 15
    assert [one for one in known if not one.holds] == []


def test_the_judge_alone_is_wrong_and_corrected_by_people_it_is_not(done):
    _, known = done
    of = "win rate by"
    plain = known[f"{of} the judge, taken for people's"]
    corrected = known[f"{of} the judge, corrected by people"]
    assert people_win_rate() < 0.5 < JUDGE.win_rate()
    assert plain.low > people_win_rate()
    assert corrected.holds
    assert corrected.mean < 0.5 < plain.mean


def test_labels_train_a_reward_model(done):
    _, known = done
    assert known["reward model of people: held-out accuracy"].low > 0.6
    assert min(one.low for name, one in known.items() if name.startswith("reward model of people: ahead")) > 0


def test_no_label_is_lost_or_doubled(done):
    work, _ = done
    deeds = [Deed(**row.values) for row in read_rows(str(work / "deeds.jsonl"))]
    told = check_accounts(deeds, str(work / "labels.db"), overlap=len(PEOPLE))
    assert told["answers"] > 3 * SMALL.labelled


def test_the_table_and_the_figure_show_truth_and_interval(tmp_path):
    known = [
        Known("held", "winrate", 0.4, 0.5, 0.3, 0.6),
        Known("missed", "winrate", 0.4, 0.5, 0.45, 0.6),
        Known("only found", "evaluate", None, 0.5, 0.45, 0.6),
        Known("meant to miss", "winrate", 0.4, 0.5, 0.45, 0.6, meant_to_miss=True),
    ]
    write_table([known, known], 7, tmp_path / "t.csv")
    rows = [row.values for row in read_rows(str(tmp_path / "t.csv"))]
    assert [row["holds"] for row in rows[:4]] == ["yes", "no", "", "no, and is not to"]
    assert {str(row["seed"]) for row in rows} == {"7", "8"}
    draw_intervals([known, known], 0.95, tmp_path / "f.png")
    assert (tmp_path / "f.png").stat().st_size > 1000


def test_an_interrupted_study_begins_anew_and_is_finished_by_its_last_file(tmp_path, monkeypatch):
    calls = []

    def interrupted(config, work):
        calls.append(config.seed)
        assert not (work / "deeds.jsonl").exists()
        assert not (work / "model").exists()
        (work / "deeds.jsonl").write_text("")
        (work / "model").mkdir()
        (work / "model" / "weights").write_text("")
        if len(calls) == 1:
            raise KeyboardInterrupt
        assert not (work / FINDINGS).exists()
        return [Known("found", "winrate", 0.4, 0.5, 0.3, 0.6)]

    monkeypatch.setattr(experiment, "study", interrupted)
    config = AnnotationStudy(out=str(tmp_path / "out"), work=str(tmp_path / "work"), studies=2)
    with pytest.raises(KeyboardInterrupt):
        experiment.run(config)
    assert not (tmp_path / "work" / "0" / FINDINGS).exists()
    experiment.run(config)
    assert calls == [0, 0, 1]
    assert all((tmp_path / "work" / seed / FINDINGS).exists() for seed in "01")
    assert (tmp_path / "out" / "intervals.csv").exists()
