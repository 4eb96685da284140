"""docs/extending.md as it stands: its modules, its entry points, its commands, in the order of the page."""

import ast
import json
import re
import shlex
import sys
import tomllib
from pathlib import Path

import pytest

from evalkit.cli import main

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
MODULES = {
    text.splitlines()[0].removeprefix("# "): text
    for kind, text in BLOCKS
    if kind == "python" and text.startswith("# mine/")
}
ANSWERS, OTHERS = (
    [{"prompt": f"Name colour {n}.", "response": text} for n, text in enumerate(texts)]
    for texts in (("Deep sea blue.", "Blue.", ""), ("Red.", "Red.", "Green."))
)
VOTES = [
    {"question": f"Name colour {n}.", "answers": [f"Deep sea blue {n}", f"Blue {n}"], "votes": [3, n]}
    for n in (0, 1, 2, 5, 6, 7)
]


def write(path, rows):
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A tiny model folder, new, whose tokens are characters."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    words = {word: n for n, word in enumerate(["</s>", "<pad>", *pre_tokenizers.ByteLevel.alphabet()])}
    inner = Tokenizer(models.BPE(words, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>", pad_token="<pad>")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = AutoConfig.for_model("llama", vocab_size=len(words), **sizes)
    folder = tmp_path_factory.mktemp("base")
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch, base):
    """A folder with the page's package, installed as pip installs it, and the data that the page names."""
    for name, text in MODULES.items():
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (toml,) = (tomllib.loads(text) for kind, text in BLOCKS if kind == "toml")
    groups = toml["project"]["entry-points"]
    lines = [
        line
        for group, points in groups.items()
        for line in (f"[{group}]", *(f"{name} = {target}" for name, target in points.items()))
    ]
    info = tmp_path / "site" / "mine-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 0.1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path / "site")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    Path("base").symlink_to(base)
    for name, rows in (("answers", ANSWERS), ("others", OTHERS), ("votes", VOTES)):
        write(work / f"{name}.jsonl", rows)
    yield work
    for name in [name for name in sys.modules if name.split(".")[0] == "mine"]:
        del sys.modules[name]


def test_the_page_runs_from_top_to_bottom(place, capsys):
    for kind, text in BLOCKS:
        if kind == "python" and not text.startswith("# mine/"):
            exec(compile(text, str(PAGE), "exec"), {})
        for line in text.splitlines() if kind == "sh" else ():
            main(shlex.split(line)[1:])
    capsys.readouterr()
    assert [row["score"] for row in read(place / "scored.jsonl")] == [0, -2, -3]
    assert set(read(place / "both.jsonl")[0]["score_aspects"]) == {"words:3", "rule:random"}
    verdicts = read(place / "verdicts.jsonl")
    assert {row["judge"] for row in verdicts} == {"shorter"}
    assert [row["responses"] for row in read(place / "samples.jsonl")] == [["Yes", "Yes"]] * 3
    pairs = read(place / "pairs.jsonl")
    assert pairs[0] == {
        "prompt": "Name colour 0.", "chosen": "Deep sea blue 0", "rejected": "Blue 0", "lead": 3,
    }  # fmt: skip
    assert pairs[-1]["chosen"] == "Blue 7"
    assert (place / "card" / "report.json").exists()
    assert all(isinstance(row["score"], float) for row in read(place / "scored_by_hinge.jsonl"))


def test_a_wrong_specification_of_an_own_scheme_is_one_line(place, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["score", "--scorer", "words:many", "--data", "answers.jsonl", "--out", "scored.jsonl"])
    assert stop.value.code == 2
    assert "words:many: give a number of words" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["score", "--scorer", "word:3", "--data", "answers.jsonl", "--out", "scored.jsonl"])
    assert re.search(r"unknown scheme 'word'; known: .*words", capsys.readouterr().err)
    assert place.name == "work"


@pytest.mark.parametrize("name", MODULES)
def test_each_takes_less_than_thirty_lines(name):
    code = [line for line in MODULES[name].splitlines() if line.strip()]
    assert len(code) < 30
    assert ast.get_docstring(ast.parse(MODULES[name]))


def test_every_optional_protocol_is_on_the_page():
    from rewards import scorer

    text = PAGE.read_text(encoding="utf-8")
    optional = [
        name
        for name, value in vars(scorer).items()
        if isinstance(value, type) and value.__module__ == scorer.__name__ and name != "Scorer"
    ]
    assert [name for name in optional if f"`{name}`" not in text] == []
