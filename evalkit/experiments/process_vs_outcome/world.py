"""What process_vs_outcome measures with for one seed: its problems, policy, labels and grades."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from evalkit.experiments.process_vs_outcome.config import ProcessVsOutcome
from evalkit.runs.terminal import say
from evalkit.testbeds.arithmetic import ArithmeticWorld, answer
from evalkit.testbeds.arithmetic_corpus import draw_prompts, graded_row, label_steps
from evalkit.testbeds.arithmetic_gold import grade
from evalkit.testbeds.arithmetic_models import SCHOOLING, PolicySize, make_tokenizer, train_policy
from evalkit.testbeds.world_models import save_in_world
from rewards.files import read_rows, to_row, write_rows
from rewards.models.sidecar import read_sidecar
from rewards.solutions.steps import probabilities

GOLD = ArithmeticWorld()
EACH = 4
"""Solutions of a problem in the labelled data."""
LEARNERS = ("prm", "orm")
AUTOMATIC = ("hard", "hard-first", "soft")
"""Process models that learn from rollouts; see `write_variants`."""
EXAMINED = 8
"""Solutions of each evaluation problem on which first errors are sought."""


@dataclass(frozen=True)
class ProcessTrial:
    """The experiment with a seed: the names of its files."""

    config: ProcessVsOutcome
    seed: int

    @property
    def folder(self) -> Path:
        """Where they are."""
        return Path(self.config.work) / f"seed-{self.seed}"

    def at(self, name: str) -> str:
        """Return the path of a file."""
        return str(self.folder / name)

    def scorers(self, size: int) -> list[str]:
        """Return the models that learn from so many solutions."""
        return [*LEARNERS, *(AUTOMATIC if size == self.config.automatic else ())]

    def scored(self, size: int) -> str:
        """Return the path of the samples with the scores of all of them."""
        return self.at(f"scored-{size}.jsonl")


def write_prompts(trial: ProcessTrial) -> None:
    """Draw problems to be measured on, and others to learn from."""
    config = trial.config
    rng = np.random.default_rng([trial.seed, 1])
    measured = draw_prompts(GOLD, config.problems, rng)
    learnt = draw_prompts(GOLD, -(-max(config.sizes) // EACH), rng, set(measured))
    for name, prompts in (("prompts", measured), ("label-prompts", learnt)):
        rows = ({"prompt": prompt, "answer": str(answer(GOLD.problem(prompt)))} for prompt in prompts)
        write_rows(trial.at(f"{name}.jsonl"), rows, overwrite=True)


def train(trial: ProcessTrial) -> None:
    """Teach a policy what its author writes, on no problem that is measured on."""
    taken = {str(row.column("prompt")) for row in read_rows(trial.at("prompts.jsonl"))}
    size = PolicySize(hidden=trial.config.hidden)
    model, report = train_policy(GOLD, trial.seed, SCHOOLING, _log_examination, size, taken)
    save_in_world(GOLD, Path(trial.at("policy")), model, make_tokenizer(), {"report": asdict(report)})


def _log_examination(updates: int, distance: float, slips: float) -> None:
    say(f"after {updates} updates: {distance:.4f} from the author, {slips:.4f} slips")


def label(trial: ProcessTrial) -> None:
    """Write each solution with its steps' labels, and whether its answer is right: both models read it."""
    samples = [
        (str(row.column("prompt")), row.texts_in("responses"))
        for row in read_rows(trial.at("label-samples.jsonl"))
    ]
    answers = (str(answer(GOLD.problem(prompt))) for prompt, responses in samples for _ in responses)
    labelled = list(zip(label_steps(GOLD, samples), answers, strict=True))
    solutions = ({**to_row(one), "answer": true} for one, true in labelled[: trial.config.automatic])
    bare = ({name: value for name, value in row.items() if name != "labels"} for row in solutions)
    write_rows(trial.at("to-label.jsonl"), bare, overwrite=True)
    write_rows(trial.at("labelled.jsonl"), (to_row(one) for one, _ in labelled), overwrite=True)


def grade_pool(trial: ProcessTrial) -> None:
    """Write the samples with their answers and whether they are right, and the steps of some of them."""
    rows, examined = [], []
    for row in read_rows(trial.at("samples.jsonl")):
        prompt, responses = str(row.column("prompt")), row.texts_in("responses")
        grades = [grade(GOLD, prompt, response) for response in responses]
        own = {"steps": [list(one.steps) for one in grades], "sound": [one.all_right for one in grades]}
        rows.append({**graded_row(GOLD, prompt, responses), **own})
        examined.append((prompt, responses[:EXAMINED]))
    write_rows(trial.at("examined.jsonl"), map(to_row, label_steps(GOLD, examined)), overwrite=True)
    write_rows(trial.at("pool.jsonl"), rows, overwrite=True)


def write_probabilities(trial: ProcessTrial, size: int, data: str) -> None:
    """Undo the standardisation of the outcome model's logit: votes are then weighted by its probability."""
    sidecar = read_sidecar(trial.at(f"orm-{size}"))
    if sidecar is None:
        raise FileNotFoundError(trial.at(f"orm-{size}"))
    scale = sidecar.scale
    rows = (
        {
            **row.values,
            "orms": probabilities(np.array(row.list_in("orms")) * scale.sd + scale.mean).tolist(),
        }
        for row in read_rows(data)
    )
    write_rows(trial.scored(size), rows, overwrite=True)
