"""`evalkit train aspects`: heads for whole responses and for spans, what is said, and what is refused."""

import json
import os
from pathlib import Path

import pytest

from evalkit.cli import main
from rewards.errors import ModelError
from rewards.records import Generation
from rewards.scorer import load_scorer
from tests.processes import Forked

ROOT = Path(__file__).parents[3]
SIZES = ["--body.hidden_size", "16", "--body.heads", "2", "--body.layers", "1", "--body.context", "64"]
FAST = [
    "--training.learning_rate",
    "1e-2",
    "--training.batch_prompts",
    "16",
    "--training.tensorboard",
    "false",
]
ONCE = ["--training.max_steps", "1", "--training.checkpoint_steps", "9", "--training.evaluation_steps", "9"]


def judged(number: int) -> dict[str, object]:
    """A response whose helpfulness is told by its first letter and whose length by its second."""
    helpful, long = number % 3, number % 2
    return {
        **{"id": f"a{number}", "prompt": f"p{number % 30}:", "response": "abc"[helpful] + "de"[long]},
        **{"helpfulness": helpful * 10 + 5, "length": long},
    }


def span(start: int, end: int, aspect: str = "fact", label: float = -1) -> dict[str, object]:
    return {"start": start, "end": end, "aspect": aspect, "label": label}


def spanned(number: int) -> dict[str, object]:
    """A sentence that is wrong where it says x, and one that is rude where it says z."""
    wrong, rude = number % 3 == 0, number % 4 == 0
    first, second = ("ax." if wrong else "ay."), ("bz." if rude else "bw.")
    spans = [span(0, 3)] * wrong + [span(4, 7, "tone")] * rude
    return {"id": f"b{number}", "prompt": f"p{number % 30}:", "response": f"{first} {second}", "spans": spans}


def arguments(data: str, tokenizer: str, out: object, *more: str) -> list[str]:
    return [
        *("train", "aspects", "--data", data, "--out", str(out), "--body.tokenizer", tokenizer),
        *SIZES,
        *FAST,
        *more,
    ]


COLUMNS = ["--format", "columns", "--aspects.names", "[length,helpfulness]"]
SPANS = ["--aspects.level", "span", "--aspects.objective", "error", "--aspects.names", "[fact,tone]"]


def refused(line: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        main(line)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    assert not Path(line[line.index("--out") + 1]).exists()
    return said


@pytest.fixture(scope="module")
def wholes(tmp_path_factory, reward_folder):
    folder = tmp_path_factory.mktemp("wholes")
    data = folder / "judged.jsonl"
    data.write_text("".join(json.dumps(judged(number)) + "\n" for number in range(90)))
    weights = ["--aspects.weights", "{helpfulness: 0.5, length: 2}"]
    main(
        arguments(
            str(data), reward_folder, folder / "model", *COLUMNS, *weights, "--training.max_steps", "60"
        )
    )
    return folder / "model", data


@pytest.fixture(scope="module")
def pieces(tmp_path_factory, reward_folder):
    folder = tmp_path_factory.mktemp("pieces")
    data = folder / "spans.jsonl"
    data.write_text("".join(json.dumps(spanned(number)) + "\n" for number in range(90)))
    main(arguments(str(data), reward_folder, folder / "model", *SPANS, "--training.max_steps", "60"))
    return folder / "model", data


def test_heads_are_named_and_plain_transformers_gives_the_same_numbers(wholes):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder, _ = wholes
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    assert model.config.id2label == {0: "length", 1: "helpfulness"}
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        raw = model(**tokenizer("p1:ad" + tokenizer.eos_token, return_tensors="pt")).logits[0].tolist()
    facts = json.loads((folder / "evalkit.json").read_text())["aspects"]
    assert [one["name"] for one in facts] == ["length", "helpfulness"]
    assert [one["weight"] for one in facts] == [2, 0.5]
    # Of 5, 15 and 25 in equal shares the standard deviation is 10 sqrt(2/3).
    assert facts[1]["mean"] == pytest.approx(15, abs=0.5)
    assert facts[1]["sd"] == pytest.approx(10 * (2 / 3) ** 0.5, abs=0.3)
    (score,) = load_scorer(str(folder)).score([Generation("p1:", "ad")])
    for value, one in zip(raw, facts, strict=True):
        assert score.aspects[one["name"]] == pytest.approx(value * one["sd"] + one["mean"], abs=1e-4)
    assert score.aspects["helpfulness"] == pytest.approx(5, abs=3)
    assert score.aspects["length"] == pytest.approx(0, abs=0.3)
    assert score.value == pytest.approx(2 * score.aspects["length"] + 0.5 * score.aspects["helpfulness"])


def test_weights_change_without_training_and_must_be_of_its_aspects(wholes):
    folder, _ = wholes
    one = Generation("p1:", "ce")
    (score,) = load_scorer(f"{folder}?weights=helpfulness:-1").score([one])
    assert score.value == -score.aspects["helpfulness"]
    for weights, message in (
        ("tone:1", "the aspects are length, helpfulness"),
        ("helpfulness", "reads ASPECT:NUMBER"),
        ("helpfulness:nan", "helpfulness:nan"),
        ("length:1,length:2", "names an aspect twice"),
    ):
        with pytest.raises(ValueError, match=message):
            load_scorer(f"{folder}?weights={weights}")


def test_what_is_said_of_aspects(wholes):
    folder, _ = wholes
    result = json.loads((folder / "result.json").read_text())
    assert result["labels"] == {"length": 90, "helpfulness": 90}
    assert (result["train_prompts"], result["held_out_prompts"]) == (81, 9)
    assert result["evaluation"]["eval_r2_helpfulness"] > 0.9
    assert result["evaluation"]["eval_r2_length"] > 0.9


def test_a_folder_whose_files_disagree_is_refused(wholes, tmp_path):
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(wholes[0], folder)
    sidecar = json.loads((folder / "evalkit.json").read_text())
    swapped = {**sidecar, "aspects": sidecar["aspects"][::-1]}
    (folder / "evalkit.json").write_text(json.dumps(swapped))
    with pytest.raises(
        ModelError, match=r"heads are length, helpfulness by config\.json and helpfulness, length"
    ):
        load_scorer(str(folder))
    (folder / "evalkit.json").write_text(json.dumps({**sidecar, "aspects": sidecar["aspects"][:1]}))
    with pytest.raises(ModelError, match=r"has 2 labels; evalkit\.json names 1 aspects"):
        load_scorer(str(folder))


def test_one_aspect_a_constant_one_and_missing_labels(reward_folder, write_rows, tmp_path, capsys):
    rows = [judged(number) for number in range(30)]
    for number, row in enumerate(rows):
        row["constant"] = 0.1
        if number % 2:
            row["length"] = None
    rows[6] = {**rows[6], "helpfulness": None, "length": None, "constant": None}
    data = write_rows("judged.jsonl", rows)
    names = ["--format", "columns", "--aspects.names", "[helpfulness,length,constant]"]
    main(arguments(data, reward_folder, tmp_path / "three", *names, *ONCE))
    result = json.loads((tmp_path / "three" / "result.json").read_text())
    assert result["labels"] == {"helpfulness": 29, "length": 14, "constant": 29}
    assert result["left_out"] == [f"{data}:7: id 'a6': no aspect has a label"]
    facts = json.loads((tmp_path / "three" / "evalkit.json").read_text())["aspects"]
    assert (facts[2]["mean"], facts[2]["sd"]) == (pytest.approx(0.1), 1.0)
    assert "Left out: 1 responses" in " ".join(capsys.readouterr().out.split())
    one = ["--format", "columns", "--aspects.names", "[length]"]
    main(arguments(data, reward_folder, tmp_path / "one", *one, *ONCE))
    (score,) = load_scorer(str(tmp_path / "one")).score([Generation("p", "ad")])
    assert score.value == score.aspects["length"]


@pytest.mark.parametrize(
    "row",
    [
        {"helpfulness": 3, "correctness": 4, "coherence": 2, "complexity": 1, "verbosity": 0},
        {"aspects": {"honesty": 3, "truthfulness": 5}},
    ],
)
def test_columns_of_public_sets_are_aspects(row, reward_folder, write_rows, tmp_path):
    rows = [{"prompt": f"p{number}", "response": "abc"[number % 3], **row} for number in range(20)]
    main(arguments(write_rows("h.jsonl", rows), reward_folder, tmp_path / "model", *ONCE))
    expected = sorted(row.get("aspects", row))
    assert list(json.loads((tmp_path / "model" / "result.json").read_text())["labels"]) == expected
    (score,) = load_scorer(str(tmp_path / "model")).score([Generation("p", "a")])
    assert sorted(score.aspects) == expected


def test_pieces_tell_where_the_fault_is(pieces):
    folder, _ = pieces
    result = json.loads((folder / "result.json").read_text())
    assert result["evaluation"]["eval_accuracy_fact"] == result["evaluation"]["eval_accuracy_tone"] == 1.0
    assert result["labels"] == {"fact": 180, "tone": 180}
    (score,) = load_scorer(str(folder)).score([Generation("p1:", "ax. bw.")])
    fact = {(span.start, span.end): span.label for span in score.spans if span.aspect == "fact"}
    assert fact[0, 3] < 0 < fact[4, 7]
    for aspect, total in score.aspects.items():
        assert total == pytest.approx(sum(span.label for span in score.spans if span.aspect == aspect))
    assert score.value == pytest.approx(sum(score.aspects.values()))
    (weighted,) = load_scorer(f"{folder}?weights=tone:2").score([Generation("p1:", "ax. bw.")])
    assert weighted.value == pytest.approx(2 * score.aspects["tone"])


def test_a_response_without_a_piece_adds_up_to_nothing_and_is_not_trained_on(
    pieces, reward_folder, write_rows, tmp_path
):
    folder, _ = pieces
    data = write_rows("d.jsonl", [{"prompt": "p", "response": " \n", "id": "e"}])
    main(["score", "--scorer", str(folder), "--data", data, "--out", str(tmp_path / "o.jsonl")])
    scored = json.loads((tmp_path / "o.jsonl").read_text())
    assert (scored["score"], scored["score_aspects"]) == (0, {"fact": 0, "tone": 0})
    rows = [spanned(number) for number in range(20)]
    rows[5] |= {"response": "  ", "spans": []}
    rows[8] |= {"response": "a" * 80, "spans": []}
    data = write_rows("spans.jsonl", rows)
    main(arguments(data, reward_folder, tmp_path / "model", *SPANS, *ONCE))
    result = json.loads((tmp_path / "model" / "result.json").read_text())
    assert (result["dropped"], result["train_prompts"] + result["held_out_prompts"]) == (1, 18)
    assert result["left_out"] == [
        f"{data}:6: id 'b5': the response '  ' has no piece to be scored",
        f"{data}:9: id 'b8': has 83 tokens and the model takes 64",
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"spans": [span(0, 3, label=1), span(1, 2)]}, "overlap but are labelled 1 and -1"),
        ({"spans": [span(0, 99)]}, "past the response's end, 7"),
        ({"spans": [span(-1, 2)]}, "-1"),
        ({"spans": [span(2, 1)]}, "start 2, end 1"),
        ({"spans": [span(0, 1, "taste")]}, "'taste' is none of fact, tone"),
        ({"response": "a" * 80}, "has 83 tokens and the model takes 64"),
    ],
)
def test_a_broken_row_is_named_by_file_line_and_id(
    change, words, reward_folder, write_rows, tmp_path, capsys
):
    rows = [spanned(number) for number in range(20)]
    rows[2] |= change
    line = arguments(write_rows("spans.jsonl", rows), reward_folder, tmp_path / "model", *SPANS, *ONCE)
    said = refused([*line, "--training.over_long", "error"], capsys)
    for word in ("spans.jsonl:3", "b2", words):
        assert word in said


def test_an_aspect_that_only_held_out_rows_have_is_named(reward_folder, write_rows, tmp_path, capsys):
    train = write_rows("spans.jsonl", [spanned(number) for number in range(20)])
    other = spanned(0) | {"prompt": "new"}
    other["spans"] = [span(0, 1, "taste")]
    beside = write_rows("beside.jsonl", [other])
    options = ["--aspects.level", "span", "--evaluation_data", beside]
    said = refused(arguments(train, reward_folder, tmp_path / "model", *options, *ONCE), capsys)
    assert f"{beside}:1: id 'b0': aspect 'taste' is none of fact, tone" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--aspects.density", "{fact: whole}"], "aspects.level sequence has none"),
        (["--aspects.level", "span", "--aspects.density", "{taste: whole}"], "no aspect 'taste'"),
        (["--aspects.weights", "{taste: 1}"], "no aspect 'taste'"),
        (["--aspects.names", "[fact,fact]"], "differ from each other"),
        (["--aspects.names", "[fact]"], "aspect 'tone' is none of fact"),
        (["--training.label_smoothing", "0.1"], "aspects.objective regression has none"),
        (["--training.centering", "0.1"], "training.centering is of pairs"),
    ],
)
def test_settings_that_cannot_be_are_refused(options, words, pieces, reward_folder, tmp_path, capsys):
    line = arguments(str(pieces[1]), reward_folder, tmp_path / "model", *ONCE, *options)
    assert words in refused(line, capsys)


def test_adapters_kept_apart_score_as_merged_ones(wholes, pieces, reward_folder, tmp_path):
    pytest.importorskip("peft")
    for data, options in ((wholes[1], COLUMNS), (pieces[1], SPANS)):
        scores = []
        for merge in ("true", "false"):
            out = tmp_path / f"{data.stem}-{merge}"
            line = arguments(str(data), reward_folder, out, *options, *ONCE)
            at = line.index("--body.tokenizer")
            line = [*line[:at], "--body.name", reward_folder, *line[at + 2 :]]
            main([*line, "--training.lora.rank", "2", "--training.lora.merge", merge])
            scores.append(load_scorer(str(out)).score([Generation("p:", "ax. bw.")])[0])
        assert dict(scores[0].aspects) == pytest.approx(dict(scores[1].aspects), abs=1e-4)


KILLED = """
import hashlib, json, os, signal, sys, time
from pathlib import Path
import torch
from evalkit.cli import main

torch.set_num_threads(1)

def digests(folder):
    files = [folder / name for name in ("model.safetensors", "result.json", "evalkit.json")]
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]

for name, line in json.loads(sys.argv[1]).items():
    whole, killed = (Path(sys.argv[2]) / f"{name}-{which}" for which in ("whole", "killed"))
    main([*line, "--out", str(whole)])
    child = os.fork()
    if not child:
        main([*line, "--out", str(killed)])
        os._exit(0)
    state = killed / "checkpoints" / "checkpoint-20" / "trainer_state.json"
    while not state.exists() and os.waitpid(child, os.WNOHANG) == (0, 0):
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert not (killed / "model.safetensors").exists()
    main([*line, "--out", str(killed)])
    assert digests(whole) == digests(killed), name
    print("same", name)
"""


def test_a_kill_in_the_middle_changes_no_weight(wholes, reward_folder, tmp_path):
    """One process imports all there is, and its children are killed by a signal that none can catch."""
    steps = tmp_path / "steps.jsonl"
    rows = [
        {
            "prompt": f"p{n % 30}:\n",
            "completions": ["ab", "x" if n % 4 else "y"],
            "labels": [1, int(n % 4 > 0)],
        }
        for n in range(90)
    ]
    steps.write_text("".join(json.dumps(row) + "\n" for row in rows))
    graded = tmp_path / "graded.jsonl"
    made = [{"prompt": f"p{n % 30}:", "response": "abcdef"[n % 6], "correct": n % 2} for n in range(90)]
    graded.write_text("".join(json.dumps(row) + "\n" for row in made))
    often = ["--training.max_steps", "80", "--training.checkpoint_steps", "20", "--training.dropout", "true"]
    often += ["--training.evaluation_steps", "40"]
    lines = {
        "process": ["train", "process", "--data", str(steps)],
        "correctness": ["train", "correctness", "--data", str(graded)],
        "aspects": ["train", "aspects", "--data", str(wholes[1]), *COLUMNS],
    }
    lines = {
        name: [*line, "--body.tokenizer", reward_folder, *SIZES, *FAST, *often]
        for name, line in lines.items()
    }
    quiet = {**os.environ, "TOKENIZERS_PARALLELISM": "false"}
    found = Forked(KILLED, json.dumps(lines), str(tmp_path), env=quiet).completed()
    assert found.returncode == 0, found.stderr[-3000:]
    assert [line for line in found.stdout.splitlines() if line.startswith("same")] == [
        f"same {name}" for name in lines
    ]
