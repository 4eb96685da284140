"""Every mistake of a user: exit code 2, one line that names the place and the remedy, nothing left behind."""

import hashlib
import json
import shlex
from pathlib import Path

import pytest

from evalkit.cli import main

ROWS = [{"prompt": "p", "response": text} for text in ("a", "bb", "ccc")]
SCORED = [{**row, "score": float(place)} for place, row in enumerate(ROWS)]
POOL = [{"prompt": f"p{n}", "responses": ["a", "bb", "ccc", "dddd"]} for n in range(4)]
PAIRS = [{"prompt": f"p{n}", "chosen": "good", "rejected": "bad"} for n in range(20)]
POINTS = [{"d": d, "gold": d * (1 - 0.3 * d)} for d in (0.5, 1.0, 1.5, 2.0, 2.5)]
MESSAGES = [{"prompt": [{"role": "user", "content": "hi"}], "response": "a"}]

FILES: dict[str, str] = {
    "rows.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS),
    "scored.jsonl": "".join(json.dumps(row) + "\n" for row in SCORED),
    "pool.jsonl": "".join(json.dumps(row) + "\n" for row in POOL),
    "pairs.jsonl": "".join(json.dumps(row) + "\n" for row in PAIRS),
    "points.jsonl": "".join(json.dumps(row) + "\n" for row in POINTS),
    "messages.jsonl": "".join(json.dumps(row) + "\n" for row in MESSAGES),
    "message_pairs.jsonl": "".join(
        json.dumps({**row, "prompt": [{"role": "user", "content": row["prompt"]}]}) + "\n" for row in PAIRS
    ),
    "long.jsonl": json.dumps(ROWS[0]) + "\n" + json.dumps({"prompt": "x" * 99, "response": "a"}) + "\n",
    "long_pairs.jsonl": "".join(json.dumps({**row, "prompt": "x" * 99}) + "\n" for row in PAIRS),
    "prompts.jsonl": '{"prompt": "p"}\n',
    "broken_prompts.jsonl": '{"prompt": "p"}\n\n{"prompt": "p"\n',
    "long_prompts.jsonl": '{"prompt": "p"}\n' + json.dumps({"prompt": "x" * 99}) + "\n",
    "message_prompts.jsonl": json.dumps({"prompt": MESSAGES[0]["prompt"]}) + "\n",
    "questions_alone.jsonl": '{"question": "q"}\n',
    "empty.jsonl": "",
    "blank.jsonl": "\n\n",
    "broken.jsonl": json.dumps(ROWS[0]) + "\n" + json.dumps(ROWS[1]) + '\n{"prompt": "p", "resp\n',
    "broken_pairs.jsonl": json.dumps(PAIRS[0]) + '\n{"prompt": \n',
    "list.jsonl": "[1, 2]\n",
    "nan.jsonl": json.dumps(SCORED[0]) + '\n{"prompt": "p", "response": "x", "score": NaN}\n',
    "nan_pool.jsonl": '{"prompt": "p", "responses": ["a", "b", "c", "d"], "scores": [1, NaN, 2, 3]}\n',
    "nan_points.jsonl": json.dumps(POINTS[0]) + '\n{"d": 1.0, "gold": NaN}\n',
    "two_fits.jsonl": json.dumps(POINTS[0]) + "\n",
    "questions.jsonl": '{"question": "q", "response": "a"}\n',
    "numbers.jsonl": '{"prompt": 3, "response": "a"}\n',
    "notes.txt": "hello\n",
    "typo.yaml": "scorer: rule:length\ndata: rows.jsonl\nout: o.jsonl\nchunkrows: 3\n",
    "wrong.yaml": "scorer: rule:length\ndata: rows.jsonl\nout: o.jsonl\nchunk_rows: 2.5\n",
}

SCORE = "score --scorer rule:length --out o.jsonl --data"
SELECT = "select --out o.jsonl --data"
OVEROPT = "overopt --proxy rule:length --gold rule:random --out o --data"
EVALUATE = "evaluate --scorer rule:length --out o --data"
TRAIN = "train outcome --out o --body.tokenizer REWARD --data"
GENERATE = "generate --policy POLICY --out o.jsonl --data"
FIT = "fit --out o --data"
RUN = "score --scorer rule:length --data rows.jsonl --out"

MISTAKES: dict[str, tuple[str, tuple[str, ...]]] = {
    # --- the input
    **{
        f"{command.split(' --')[0]} of a missing file": (
            f"{command} nowhere.jsonl",
            ("nowhere.jsonl: no such file",),
        )
        for command in (SCORE, SELECT, OVEROPT, EVALUATE, TRAIN, GENERATE, FIT)
    },
    **{
        f"{command.split(' --')[0]} of an empty file": (
            f"{command} empty.jsonl",
            ("empty.jsonl: holds no rows",),
        )
        for command in (SCORE, SELECT, OVEROPT, EVALUATE, TRAIN, GENERATE, FIT)
    },
    **{
        f"{command.split(' --')[0]} of broken JSON": (
            f"{command} broken.jsonl",
            ("broken.jsonl:3: not JSON",),
        )
        for command in (
            SCORE,
            SELECT.replace("select", "select --method majority-vote --answer response"),
            OVEROPT,
        )
    },
    **{
        f"{command.split(' --')[0]} of broken pairs": (
            f"{command} broken_pairs.jsonl",
            ("broken_pairs.jsonl:2: not JSON",),
        )
        for command in (EVALUATE, TRAIN)
    },
    **{
        f"{command.split(' --')[0]} of a file that is not UTF-8": (
            f"{command} latin.jsonl",
            ("latin.jsonl:1: not JSON", "utf-8"),
        )
        for command in (SCORE, SELECT, OVEROPT, EVALUATE, TRAIN, GENERATE, FIT)
    },
    **{
        f"{command.split(' --')[0]} of a wrong column": (
            f"{command} questions.jsonl",
            ("questions.jsonl:1", "question", "--rename"),
        )
        for command in (SCORE, OVEROPT, EVALUATE, TRAIN)
    },
    "generate of broken JSON": (f"{GENERATE} broken_prompts.jsonl", ("broken_prompts.jsonl:3: not JSON",)),
    "generate of a wrong column": (
        f"{GENERATE} questions_alone.jsonl",
        ("questions_alone.jsonl:1: no column 'prompt', only question", "--rename"),
    ),
    "generate beside responses": (f"{GENERATE} rows.jsonl", ("rows.jsonl:1: field 'response'", "--rename")),
    "blank lines alone": (f"{SCORE} blank.jsonl", ("blank.jsonl: holds no rows",)),
    "a folder without data": (f"{SCORE} folder", ("folder: a folder of data", ".jsonl")),
    "a kind of file that is not read": (
        f"{SCORE} notes.txt",
        ("notes.txt: kind of file not known", ".jsonl"),
    ),
    "a row that is a list": (f"{SCORE} list.jsonl", ("list.jsonl:1: expected an object",)),
    "a prompt that is a number": (f"{SCORE} numbers.jsonl", ("numbers.jsonl:1: field 'prompt'", "got 3")),
    "a renamed column that is not there": (
        f"{SCORE} rows.jsonl --rename.question prompt",
        ("rows.jsonl:1: no column 'question' to rename",),
    ),
    "select without scores": (
        f"{SELECT} rows.jsonl",
        ("rows.jsonl:1: no column 'score'", "--score names another"),
    ),
    "fit without a distance": (f"{FIT} scored.jsonl", ("scored.jsonl:1: no column 'd'", "'kl'")),
    "rows that have a score": (f"{SCORE} scored.jsonl", ("scored.jsonl:1: field 'score'", "--column NAME")),
    # --- what a model cannot take
    "score a row longer than the model": (
        "score --scorer REWARD --data long.jsonl --out o.jsonl",
        ("long.jsonl:2", "100 tokens", "takes 48", "over_long=truncate_left"),
    ),
    "generate from a prompt longer than the model": (
        f"{GENERATE} long_prompts.jsonl",
        ("long_prompts.jsonl:2", "99 tokens", "48"),
    ),
    "train on rows longer than the model": (
        f"{TRAIN} long_pairs.jsonl --body.context 48 --training.over_long error",
        ("long_pairs.jsonl:1", "takes 48", "--training.over_long truncate_left"),
    ),
    "train on nothing but rows whose responses are too long": (
        f"{TRAIN} pairs.jsonl --training.max_length 2 --training.evaluation_share 0",
        ("nothing to train on", "over-long rows"),
    ),
    "train on more tokens than the model takes": (
        f"{TRAIN} pairs.jsonl --body.context 48 --training.max_length 99",
        ("training.max_length 99", "48"),
    ),
    "score messages without a chat template": (
        "score --scorer REWARD --data messages.jsonl --out o.jsonl",
        ("no chat template", "give prompts as text"),
    ),
    "generate from messages without a chat template": (
        f"{GENERATE} message_prompts.jsonl",
        ("no chat template",),
    ),
    "train on messages without a chat template": (f"{TRAIN} message_pairs.jsonl", ("no chat template",)),
    # --- a scorer that names nothing
    "an unknown scheme": (
        "score --scorer ruler:length --data rows.jsonl --out o.jsonl",
        ("'ruler'", "column, dpo, ensemble"),
    ),
    "an unknown rule": (
        "score --scorer rule:nope --data rows.jsonl --out o.jsonl",
        ("rule:nope", "length, exact"),
    ),
    "an unknown option": (
        "score --scorer rule:length?units=words --data rows.jsonl --out o.jsonl",
        ("unknown option 'units'", "known: unit, weight"),
    ),
    "a model folder that is not there": (
        "score --scorer ./no/model --data rows.jsonl --out o.jsonl",
        ("./no/model",),
    ),
    "a folder that is no model": ("score --scorer folder --data rows.jsonl --out o.jsonl", ("folder",)),
    "a language model without a head": (
        "score --scorer POLICY --data rows.jsonl --out o.jsonl",
        ("no trained head", "evalkit train outcome --body.name"),
    ),
    "an unknown member of an ensemble": (
        "score --scorer ensemble:rule:length,rule:nope --data rows.jsonl --out o.jsonl",
        ("rule:nope",),
    ),
    "an unknown gold": (
        "overopt --proxy rule:length --gold rule:nope --data pool.jsonl --out o",
        ("rule:nope", "length, exact"),
    ),
    "a policy that is not there": (
        "generate --policy ./no/model --data prompts.jsonl --out o.jsonl",
        ("./no/model",),
    ),
    "a scored column that is not there": (
        "score --scorer column:nope --data rows.jsonl --out o.jsonl",
        ("rows.jsonl:1", "'nope'"),
    ),
    # --- a score that is no number
    "NaN in a column": (
        "score --scorer column:score --column s --data nan.jsonl --out o.jsonl",
        ("nan.jsonl:2", "'score'", "nan"),
    ),
    "NaN in select": (f"{SELECT} nan.jsonl", ("nan.jsonl:2: field 'score'", "finite", "nan")),
    "NaN in a list in select": (
        f"{SELECT} nan_pool.jsonl",
        ("nan_pool.jsonl:1: field 'scores'", "finite", "nan"),
    ),
    "NaN in overopt": (
        "overopt --proxy column:score --gold rule:length --data nan_pool.jsonl --out o",
        ("'scores'", "nan"),
    ),
    "NaN in fit": (f"{FIT} nan_points.jsonl", ("nan_points.jsonl:2: field 'gold'", "finite")),
    "a model whose logits are NaN": (
        "score --scorer NAN --data rows.jsonl --out o.jsonl",
        ("rows.jsonl:1", "logit is nan"),
    ),
    # --- settings outside their range
    "select n above N": (f"{SELECT} scored.jsonl --n 9", ("scored.jsonl:1", "3 responses, fewer than n = 9")),
    "select k above N": (f"{SELECT} scored.jsonl --k 9", ("scored.jsonl:1", "fewer than k = 9", "--too_few")),
    "overopt n above N": (f"{OVEROPT} pool.jsonl --n [2,99]", ("99", "p0")),
    "beta 0": (f"{SELECT} scored.jsonl --method rejection --beta 0", ("beta is above 0", "best-of-n")),
    "beta below 0": (f"{SELECT} scored.jsonl --method rejection --beta -1", ("beta is above 0",)),
    "chunk_rows 0": (f"{SCORE} rows.jsonl --chunk_rows 0", ("chunk_rows is 1 or more",)),
    "a level above 1": (f"{OVEROPT} pool.jsonl --level 95", ("level", "95")),
    "a fit of one point": (f"{FIT} two_fits.jsonl", ("two_fits.jsonl",)),
    "a learning rate below 0": (
        f"{TRAIN} pairs.jsonl --training.learning_rate -1",
        ("learning_rate is 0 or more, got -1",),
    ),
    "no tokenizer for a new model": ("train outcome --data pairs.jsonl --out o", ("--body.tokenizer",)),
    "a model family that does not exist": (
        f"{TRAIN} pairs.jsonl --body.family lama",
        ("body.family 'lama'",),
    ),
    "too few prompts to hold out": (
        f"{TRAIN} pairs.jsonl --limit 2",
        ("2 distinct prompts", "--training.evaluation_share 0"),
    ),
    "n 0": (f"{GENERATE} prompts.jsonl --n 0", ("n is 1 or more",)),
    "a temperature below 0": (f"{GENERATE} prompts.jsonl --temperature -1", ("temperature",)),
    # --- the output
    "a finished file": (f"{RUN} done.jsonl", ("done.jsonl: exists and is finished", "--overwrite")),
    "a finished selection": ("select --data scored.jsonl --out done.jsonl", ("done.jsonl", "--overwrite")),
    "an unknown suffix": (f"{RUN} o.txt", ("o.txt", ".jsonl, .jsonl.gz or .parquet")),
    "no suffix": (f"{RUN} o", ("o: an output ends in .jsonl",)),
    "a folder where a file goes": (f"{RUN} taken.jsonl", ("taken.jsonl: is a folder",)),
    "a file where a folder goes": (f"{FIT} points.jsonl --out notes.txt", ("notes.txt: is a file",)),
    "a folder of something else": (
        f"{FIT} points.jsonl --out photos",
        ("photos: holds files of something else",),
    ),
    "a folder of something else, overwritten": (
        f"{FIT} points.jsonl --out photos --overwrite",
        ("photos: holds files of something else",),
    ),
    "a folder that cannot be made": (f"{RUN} notes.txt/o.jsonl", ("notes.txt", "is a file; choose another")),
    "a name that the system refuses": (f"{RUN} {'x' * 300}.jsonl", ("xxx", "choose a shorter name")),
    "a score that is the prompt": (
        f"{SELECT} scored.jsonl --score prompt",
        ("scored.jsonl:1: column 'prompt'",),
    ),
    "data and output in one file": (
        "select --data scored.jsonl --out scored.jsonl --overwrite",
        ("is an input and would be changed",),
    ),
    # --- the command line itself
    "no command": ("", ("no command is given", "train outcome", "overopt")),
    "an unknown command": ("order --data rows.jsonl", ("no command 'order'", "train outcome", "overopt")),
    "an unknown training": ("train proces --data rows.jsonl", ("no command 'train proces'", "train outcome")),
    "nothing given": ("score", ("not given: --scorer, --data, --out", "evalkit score --help")),
    "an unknown option of a command": (
        f"{SCORE} rows.jsonl --chunkrows 3",
        ("--chunkrows", "evalkit score --help"),
    ),
    "an unknown option of a group": (
        f"{TRAIN} pairs.jsonl --training.epoch 3",
        ("--training.epoch 3", "train outcome --help"),
    ),
    "an unknown key in a file": ("score --config typo.yaml", ("chunkrows", "evalkit score --help")),
    "a fraction in a file": (
        "score --config wrong.yaml",
        ("--chunk_rows: expected a whole number, got 2.5",),
    ),
    "a fraction": (
        f"{SCORE} rows.jsonl --chunk_rows 2.5",
        ("--chunk_rows: expected a whole number, got 2.5",),
    ),
    "a word for a number": (f"{SELECT} scored.jsonl --beta much", ("--beta: expected a number, got much",)),
    "an unknown choice": (
        f"{SELECT} scored.jsonl --method best",
        ("--method: expected one of 'best-of-n'", "got best"),
    ),
    "neither true nor false": (
        f"{SCORE} rows.jsonl --overwrite maybe",
        ("--overwrite: expected true or false, got maybe",),
    ),
    "a number for a list": (f"{OVEROPT} pool.jsonl --n 4", ("--n: expected a list, such as [a,b], got 4",)),
    "a configuration that is not there": ("score --config nowhere.yaml", ("nowhere.yaml",)),
    "a configuration that is not YAML": ("score --config notes.txt", ("--config",)),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "latin.jsonl").write_bytes('{"prompt": "é"}\n'.encode("latin-1"))
    (tmp_path / "done.jsonl").write_text('{"precious": 1}\n')
    for name in ("folder", "photos", "taken.jsonl"):
        (tmp_path / name).mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_text("precious")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path


def contents(folder: Path) -> dict[str, str]:
    """Every path below a folder, with a hash of what a file holds."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(mistake, folder, capfd, request):
    line, said = MISTAKES[mistake]
    for name, fixture in (("REWARD", "reward_folder"), ("POLICY", "policy_folder"), ("NAN", "nan_folder")):
        if name in line:
            line = line.replace(name, request.getfixturevalue(fixture))
    capfd.readouterr()
    before = contents(folder)
    with pytest.raises(SystemExit) as stop:
        main(shlex.split(line))
    error = capfd.readouterr().err
    assert stop.value.code == 2, error
    assert error.startswith("evalkit: ")
    assert error.count("\n") == 1, error
    for words in said:
        assert words in error
    assert contents(folder) == before


@pytest.fixture(scope="session")
def nan_folder(write_model):
    return write_model("reward", nan=True)
