"""The study of people's labels: its commands in order, then every figure beside the truth."""

import os
import random
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from evalkit import runs
from evalkit.cli import main as evalkit
from evalkit.experiments.annotation_study.config import AnnotationStudy
from evalkit.experiments.annotation_study.figures import draw_intervals
from evalkit.experiments.annotation_study.scripted_judge import judge_endpoint
from evalkit.experiments.annotation_study.tables import Known, findings, write_table
from evalkit.experiments.simulated_annotators.annotators import (
    annotation_server,
    at_work,
    free_port,
    read_links,
)
from evalkit.experiments.simulated_annotators.config import Habits
from evalkit.experiments.simulated_annotators.world import (
    JUDGE,
    PEOPLE,
    SYSTEMS,
    VOCABULARY,
    AnswerPair,
    pairs,
)
from evalkit.runs.files import write_json
from evalkit.runs.folder import RECORD
from evalkit.runs.terminal import say
from rewards.errors import OutputExistsError
from rewards.files import write_rows

TABLE = "intervals.csv"
FINDINGS = "findings.json"
"""A study's figures beside the truth, written last."""
CHECKS_FROM, HELD_OUT_FROM = 1_000_000, 2_000_000
"""Numbers from which on prompts are those of planted checks, and of held-out pairs."""

TRAINING = {
    "body.hidden_size": 32, "body.heads": 2, "body.layers": 1, "body.context": 64,
    "training.batch_prompts": 16, "training.learning_rate": 3e-3,
}  # fmt: skip
STEPS = 120
"""Updates of a reward model."""

Run = Callable[[Sequence[str]], None]
"""Runs a command."""


def run(config: AnnotationStudy) -> None:
    """Do the studies, write what was found beside what is true, and say how often an interval holds it."""
    out, known = Path(config.out), []
    if (out / TABLE).exists() and not config.overwrite:
        raise OutputExistsError(f"{out / TABLE}: exists and is finished; --overwrite true replaces it")
    for seed in range(config.seed, config.seed + config.studies):
        one = replace(config, seed=seed)
        own = replace(one, out=str(Path(config.work) / str(seed)), overwrite=True)
        with runs.run(own, done=FINDINGS) as work:
            _clear(work)
            known.append(study(one, work))
            write_json(work / FINDINGS, [asdict(found) for found in known[-1]])
    write_table(known, config.seed, out / TABLE)
    draw_intervals(known, config.level, out / "intervals.png")
    held = [one.holds for told in known for one in told if one.holds is not None]
    say(f"\n{sum(held)} of {len(held)} intervals hold the truth")
    say(f"Results are in {out}")


def _clear(work: Path) -> None:
    """Remove what an interrupted study left: its people and judge begin anew."""
    for path in work.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != RECORD:
            path.unlink()


def study(config: AnnotationStudy, work: Path, call: Run = evalkit) -> list[Known]:
    """Go through a study by commands, and return their figures beside the truth."""
    write_world(config, work)
    commands = StudyCommands(work, call)
    with judge_endpoint(lambda question: JUDGE.says(question, config.seed)) as address:
        commands.judge(address)
    commands.label(config)
    commands.tell(config)
    commands.train()
    return findings(work)


def write_world(config: AnnotationStudy, work: Path) -> None:
    """Write the answers of both systems, what people are asked, and the held-out pairs."""
    world = list(pairs(config.seed, config.comparisons))
    for place, system in enumerate(SYSTEMS):
        rows = ({"id": one.id, "prompt": one.prompt, "response": one.answers[place]} for one in world)
        _write(work / f"{system}.jsonl", rows)
    asked = random.Random(f"{config.seed} labelled").sample(world, config.labelled)
    checks = pairs(config.seed, config.checks, CHECKS_FROM, kinds=[0])
    known = ({**_comparison(one), "gold": "first" if one.first_better else "second"} for one in checks)
    _write(work / "to_label.jsonl", [*({**_comparison(one), "gold": None} for one in asked), *known])
    _write(work / "held_out.jsonl", map(_preference, pairs(config.seed, config.held_out, HELD_OUT_FROM)))
    _write_tokenizer(work / "tokenizer")


@dataclass(frozen=True)
class StudyCommands:
    """The commands of a study, all in one folder."""

    work: Path
    call: Run

    def judge(self, address: str) -> None:
        """Ask the judge about everything, in both orders."""
        files = {system: self._at(f"{system}.jsonl") for system in SYSTEMS}
        with _environment(OPENAI_BASE_URL=address, OPENAI_API_KEY="none"):
            self._do(
                "judge", judge="openai:flattered", first=files[SYSTEMS[0]], second=files[SYSTEMS[1]],
                out=self._at("verdicts.jsonl"),
            )  # fmt: skip

    def label(self, config: AnnotationStudy) -> None:
        """Let people label; kill the server when some is done, look how far it is, and let them go on."""
        served = {
            "db": self._at("labels.db"), "overlap": len(PEOPLE), "gold_every": 5, "needed_every": 2,
            "verdicts": self._at("verdicts.jsonl"), "port": free_port(), "seed": config.seed,
        }  # fmt: skip
        begun = {
            "data": self._at("to_label.jsonl"), "annotators": f"[{','.join(one.name for one in PEOPLE)}]",
            "links": self._at("links"), "most": config.labelled // 2,
        }  # fmt: skip
        habits = Habits(config.seed)
        with annotation_server(_options({**served, **begun})) as server:
            links = read_links(self.work / "links")
            deeds = list(at_work(links, PEOPLE, habits))
            server.kill()
        self._status(config, "halfway")
        with annotation_server(_options({**served, "most": 0})):
            deeds += at_work(links, PEOPLE, habits)
        _write(self.work / "deeds.jsonl", map(asdict, deeds))

    def tell(self, config: AnnotationStudy) -> None:
        """Ask for every figure."""
        people, verdicts = self._at("people.jsonl"), self._at("verdicts.jsonl")
        level = config.level
        self._status(config, "status")
        self._do("labels export", db=self._at("labels.db"), form="verdicts", out=people)
        self._do("agreement", verdicts=people, out=self._at("agreement"), level=level)
        self._do("winrate", verdicts=people, out=self._at("people"), level=level)
        self._do("winrate", verdicts=verdicts, human=people, out=self._at("corrected"), level=level)

    def train(self) -> None:
        """Train a reward model on people's labels and one on the judge's verdicts, and measure both."""
        people, judge = self._at("preferences.jsonl"), self._at("judge_preferences.jsonl")
        self._do("labels export", db=self._at("labels.db"), form="preferences", out=people)
        self._do("pairs", verdicts=self._at("verdicts.jsonl"), out=judge)
        for name, data in (("people", people), ("judge", judge)):
            model = self._at(f"model_of_{name}")
            self._do(
                "train outcome",
                **{"data": data, "out": model, "body.tokenizer": self._at("tokenizer"), **TRAINING},
                **{"training.max_steps": STEPS},
            )
            # Which answer is better does not depend on the prompt here: to be blind to it is no fault.
            report = self._at(f"report_of_{name}")
            self._do(
                "evaluate", scorer=model, data=self._at("held_out.jsonl"), out=report, prompt_blind=False
            )

    def _status(self, config: AnnotationStudy, name: str) -> None:
        self._do(
            "labels status", db=self._at("labels.db"), verdicts=self._at("verdicts.jsonl"),
            out=self._at(f"{name}.json"), level=config.level,
        )  # fmt: skip

    def _do(self, command: str, **options: object) -> None:
        told = _options(options)
        say(f"\n$ evalkit {command} {' '.join(told)}")
        self.call([*command.split(), *told])

    def _at(self, name: str) -> str:
        return str(self.work / name)


def _options(options: Mapping[str, object]) -> list[str]:
    told = {name: str(value).lower() if isinstance(value, bool) else value for name, value in options.items()}
    return [part for name, value in told.items() for part in (f"--{name}", f"{value}")]


def _comparison(pair: AnswerPair) -> dict[str, object]:
    first, second = pair.answers
    names = {"first_system": SYSTEMS[0], "second_system": SYSTEMS[1]}
    return {"id": pair.id, "prompt": pair.prompt, "first": first, "second": second, **names}


def _preference(pair: AnswerPair) -> dict[str, object]:
    chosen, rejected = pair.answers if pair.first_better else pair.answers[::-1]
    return {"prompt": pair.prompt, "chosen": chosen, "rejected": rejected}


def _write(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    write_rows(str(path), iter(rows))


def _write_tokenizer(folder: Path) -> None:
    """Write a tokenizer whose tokens are the world's words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    words = {word: number for number, word in enumerate([*special.values(), *VOCABULARY])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=special["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # untyped in Transformers
        tokenizer_object=tokenizer, **special
    ).save_pretrained(folder)


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
