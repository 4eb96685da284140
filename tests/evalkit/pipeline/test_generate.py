"""`evalkit generate`: what is written, refused, and continued after a kill."""

import json
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.pipeline import generate as generating
from evalkit.pipeline.config import Generate
from evalkit.policies.generation.randomness import sample_keys, uniforms
from evalkit.policies.policy import DEFAULT_SAMPLING, SamplingConfig
from rewards.errors import ConfigError, DataError, MissingFileError, OutputExistsError
from rewards.records import Generation, Prompt, prompt_key
from tests.processes import Forked

STORIES = Path(__file__).parents[3] / ".." / "shared" / "data" / "stories260k"


class Digits:
    """A policy that writes the digits of its random numbers, and dies as by kill -9 after some calls."""

    def __init__(self, calls: int = 1_000_000) -> None:
        self.calls = calls
        self.asked: list[Prompt] = []

    def check(self, prompts: Sequence[Prompt], names: Sequence[str]) -> None:
        for prompt, name in zip(prompts, names, strict=True):
            if "too long" in prompt_key(prompt):
                raise DataError(f"{name}: the prompt is too long")

    def generate(
        self,
        prompts: Sequence[Prompt],
        n: int,
        settings: SamplingConfig = DEFAULT_SAMPLING,
        occurrences: Sequence[int] | None = None,
    ) -> list[list[Generation]]:
        if not self.calls:
            os.kill(os.getpid(), signal.SIGKILL)
        self.calls -= 1
        self.asked.extend(prompts)
        assert occurrences is not None
        more = {"tokens": [1, 2, 3], "log_probs": [-0.5, -1.0, -1.5]} if settings.log_probs else {}
        results = []
        for prompt, occurrence in zip(prompts, occurrences, strict=True):
            samples = []
            for number in uniforms(sample_keys(settings.seed, prompt, occurrence, n), 0).tolist():
                reason = "length" if number < 0.5 else "eos"
                extra = {"finish_reason": reason, "token_count": 3, **more}
                samples.append(Generation(prompt, f" {number:.6f}", extra=extra))
            results.append(samples)
        return results


CHUNK = 6  # three prompts of two samples

KILLED = """
import sys
sys.path.insert(0, sys.argv[1])
from test_generate import CHUNK, Digits
from evalkit.pipeline import generate as generating
from evalkit.pipeline.config import Generate
generating.load_policy = lambda spec: Digits(int(sys.argv[4]))
generating.CHUNK = CHUNK
generating.run(Generate(policy="digits", data=sys.argv[2], out=sys.argv[3], n=2))
"""


@pytest.fixture
def policy(monkeypatch):
    policy = Digits()
    monkeypatch.setattr(generating, "load_policy", lambda spec: {"digits": policy}[spec])
    monkeypatch.setattr(generating, "CHUNK", CHUNK)
    return policy


@pytest.fixture
def config(tmp_path):
    rows = [{"prompt": f"question {i % 7}", "id": str(i), "topic": ["a", i]} for i in range(10)]
    data = tmp_path / "prompts.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Generate(policy="digits", data=str(data), out=str(tmp_path / "out.jsonl"), n=2)


def written(config):
    return [json.loads(line) for line in Path(config.out).read_text().splitlines()]


@pytest.mark.usefixtures("policy")
def test_each_row_keeps_its_columns_and_gets_its_own_samples(config, capsys):
    generating.run(config)
    rows = written(config)
    assert [row["id"] for row in rows] == [str(i) for i in range(10)]
    assert rows[3]["topic"] == ["a", 3]
    assert all(
        len(row[name]) == 2 for row in rows for name in ("responses", "finish_reasons", "token_counts")
    )
    assert "tokens" not in rows[0]
    responses = [response for row in rows for response in row["responses"]]
    assert len(set(responses)) == 20  # also where row 7 asks what row 0 asked
    cut = sum(row["finish_reasons"].count("length") for row in rows)
    said = capsys.readouterr()
    assert "20 samples, 60 tokens" in said.out
    assert f"{cut / 20:.1%} cut by length, 100.0% distinct" in said.out
    assert said.out.replace("\n", "").endswith(f"Results are in {config.out}")
    assert said.err == ""  # no progress bar where there is no terminal


@pytest.mark.usefixtures("policy")
def test_log_probs_and_messages_are_written_on_request(config):
    message = [{"role": "user", "content": "hi"}]
    Path(config.data).write_text(json.dumps({"prompt": message}))
    generating.run(replace(config, log_probs=True))
    (row,) = written(config)
    assert row["prompt"] == message
    assert row["log_probs"] == [[-0.5, -1.0, -1.5]] * 2
    assert row["tokens"] == [[1, 2, 3]] * 2


@pytest.mark.usefixtures("policy")
def test_samples_follow_the_prompt_and_not_its_place(config):
    generating.run(config)
    before = {row["id"]: row["responses"] for row in written(config)}
    lines = Path(config.data).read_text().splitlines()
    Path(config.data).write_text("\n".join(lines[3:7]))
    generating.run(replace(config, overwrite=True))
    assert {row["id"]: row["responses"] for row in written(config)} == {
        key: before[key] for key in ("3", "4", "5", "6")
    }


@pytest.mark.parametrize(("calls", "done"), [(0, 0), (1, 3), (3, 9)])
def test_a_killed_run_goes_on_with_the_same_bytes(policy, config, calls, done, tmp_path, capsys):
    generating.run(config)
    again = replace(config, out=str(tmp_path / "again.jsonl"))
    arguments = [str(Path(__file__).parent), again.data, again.out, str(calls)]
    assert Forked(KILLED, *arguments).wait() == -signal.SIGKILL
    assert not Path(again.out).exists()
    with Path(again.out + ".partial").open("ab") as file:
        file.write(b'{"prompt": "half')  # as a kill in the middle of writing leaves it
    policy.asked = []
    generating.run(again)
    assert Path(again.out).read_bytes() == Path(config.out).read_bytes()
    assert len(policy.asked) == 10 - done
    assert ("Going on after" in capsys.readouterr().out) == (done > 0)


def test_a_run_killed_after_its_last_row_is_finished(policy, config, tmp_path):
    generating.run(config)
    again = replace(config, out=str(tmp_path / "again.jsonl"))
    arguments = [str(Path(__file__).parent), again.data, again.out, "1"]
    assert Forked(KILLED, *arguments).wait() == -signal.SIGKILL
    state, whole = Path(again.out + ".partial.json"), Path(config.out).read_bytes()
    Path(again.out + ".partial").write_bytes(whole)
    state.write_text(json.dumps({**json.loads(state.read_text()), "rows": 10, "bytes": len(whole)}))
    policy.asked = []
    generating.run(again)
    assert Path(again.out).read_bytes() == whole
    assert policy.asked == []


def test_samples_of_a_retrained_policy_are_not_mixed_with_those_begun(monkeypatch, config, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights").write_text("first")
    config = replace(config, policy=str(model))
    monkeypatch.setattr(generating, "CHUNK", CHUNK)

    class Interrupted(Digits):
        def generate(self, *asked):
            if self.asked:
                raise KeyboardInterrupt
            return super().generate(*asked)

    monkeypatch.setattr(generating, "load_policy", lambda _: Interrupted())
    with pytest.raises(KeyboardInterrupt):
        generating.run(config)
    policy = Digits()
    monkeypatch.setattr(generating, "load_policy", lambda _: policy)
    (model / "weights").write_text("second")
    with pytest.raises(OutputExistsError, match="another configuration or input"):
        generating.run(config)
    assert policy.asked == []
    generating.run(replace(config, overwrite=True))
    assert len(policy.asked) == len(written(config)) == 10


@pytest.mark.usefixtures("policy")
def test_limit_and_rename(config):
    Path(config.data).write_text(
        '{"q": "a", "response": "b"}\n{"q": "c", "response": "d"}\n{"q": "too long"}\n'
    )
    renamed = replace(config, rename={"q": "prompt", "response": "reference"}, limit=2)
    generating.run(renamed)
    assert [(row["prompt"], row["reference"]) for row in written(renamed)] == [("a", "b"), ("c", "d")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "this is too long"}, r"prompts\.jsonl:11: the prompt is too long"),
        ({"prompt": 3}, r"prompts\.jsonl:11: field 'prompt'"),
        ({"question": "a"}, r"prompts\.jsonl:11: no column 'prompt'"),
        ({"prompt": "a", "response": "b"}, r"prompts\.jsonl:11: field 'response' .*--rename"),
        ({"prompt": "a", "tokens": []}, r"prompts\.jsonl:11: field 'tokens' .*--rename"),
    ],
)
def test_a_row_that_cannot_be_continued_is_named_before_anything_is_sampled(policy, config, row, message):
    with Path(config.data).open("a") as file:
        file.write(json.dumps(row))
    with pytest.raises(DataError, match=message):
        generating.run(config)
    assert policy.asked == []
    assert [path.name for path in Path(config.out).parent.iterdir()] == ["prompts.jsonl"]


@pytest.mark.usefixtures("policy")
def test_settings_and_files_that_cannot_be_used(config):
    for changes, error in (
        ({"n": 0}, ConfigError),
        ({"limit": -1}, ConfigError),
        ({"top_p": 2.0}, ConfigError),
        ({"data": "absent.jsonl"}, MissingFileError),
    ):
        with pytest.raises(error):
            generating.run(replace(config, **changes))
    generating.run(config)
    with pytest.raises(OutputExistsError, match="--overwrite"):
        generating.run(config)


def test_a_real_model_writes_the_same_rows_whatever_the_chunks(tmp_path, monkeypatch):
    if not STORIES.exists():
        pytest.skip("shared/data/stories260k is absent")
    data = tmp_path / "prompts.jsonl"
    prompts = ["Once upon a time", "Tom and Lily", "Once upon a time", "The big dog"]
    data.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))
    config = Generate(str(STORIES), str(data), str(tmp_path / "a.jsonl"), n=4, max_new_tokens=12, stop=["."])
    generating.run(config)
    monkeypatch.setattr(generating, "CHUNK", 4)
    generating.run(replace(config, out=str(tmp_path / "b.jsonl")))
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    rows = written(config)
    assert rows[0]["responses"] != rows[2]["responses"]
    for row in rows:
        for text, reason in zip(row["responses"], row["finish_reasons"], strict=True):
            assert "." not in text
            assert reason in ("stop", "length", "eos")
