"""What process_vs_outcome measures with for one seed: its settings, problems, policy, labels and grades."""

import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from evalkit.testbeds.arithmetic import ArithmeticWorld, answer
from evalkit.testbeds.arithmetic_corpus import draw_prompts, graded_row, label_steps
from evalkit.testbeds.arithmetic_gold import grade
from evalkit.testbeds.arithmetic_models import SCHOOLING, PolicySize, make_tokenizer, train_policy
from evalkit.testbeds.world_models import save_in_world
from rewards.errors import ConfigError
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
WIDTH = 4
"""Next steps from each solution that a search keeps."""


@dataclass(frozen=True)
class ProcessVsOutcome:
    """Train process and outcome reward models on the same solutions, and let both choose among samples."""

    work: str = "runs/process-vs-outcome"
    """Folder for models and samples; what is finished there is used again."""
    out: str = "results/process_vs_outcome"
    """Folder for config.json, the tables and the figures."""
    seeds: list[int] = field(default_factory=lambda: [10, 11, 12])
    """Seeds of policies, problems, samples and heads. The settings were chosen on seed 100."""
    sizes: list[int] = field(default_factory=lambda: [1000, 4000, 32000])
    """Labelled solutions; the smaller sets are the first of the larger."""
    epochs: list[float] = field(default_factory=lambda: [8.0, 4.0, 1.5])
    """Passes over each of these sets, by both models."""
    problems: int = 200
    """Problems that both choose on; no model has seen them."""
    samples: int = 128
    """Samples of each."""
    automatic: int = 1000
    """Solutions labelled by rollouts too; one of the sizes."""
    rollouts: int = 8
    """Completions from each step."""
    search_sizes: list[int] = field(default_factory=lambda: [1000, 4000])
    """Searches are guided by the process models that learnt from so many solutions."""
    search_n: list[int] = field(default_factory=lambda: [4, 16])
    """Candidates of the searches; multiples of 4."""
    hidden: int = 128
    """Width of the policy, which is the body of both reward models."""


def check(config: ProcessVsOutcome) -> None:
    """Refuse settings that do not fit each other.

    Raises:
        ConfigError: They do not.
    """
    if len(config.epochs) != len(config.sizes):
        raise ConfigError(f"epochs has a number for each of the sizes {config.sizes}, got {config.epochs}")
    if config.automatic not in config.sizes:
        raise ConfigError(f"automatic is one of the sizes {config.sizes}, got {config.automatic}")
    if unknown := [size for size in config.search_sizes if size not in config.sizes]:
        raise ConfigError(f"search_sizes are among the sizes {config.sizes}, got {unknown[0]}")
    if odd := [n for n in config.search_n if n % WIDTH]:
        raise ConfigError(f"search_n are multiples of {WIDTH}, got {odd[0]}")


@dataclass(frozen=True)
class Place:
    """Names of the files of one seed."""

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


def write_prompts(place: Place) -> None:
    """Draw problems to be measured on, and others to learn from."""
    config = place.config
    rng = np.random.default_rng([place.seed, 1])
    measured = draw_prompts(GOLD, config.problems, rng)
    learnt = draw_prompts(GOLD, -(-max(config.sizes) // EACH), rng, set(measured))
    for name, prompts in (("prompts", measured), ("label-prompts", learnt)):
        rows = ({"prompt": prompt, "answer": str(answer(GOLD.problem(prompt)))} for prompt in prompts)
        write_rows(place.at(f"{name}.jsonl"), rows, overwrite=True)


def train(place: Place) -> None:
    """Teach a policy what its author writes, on no problem that is measured on."""
    taken = {str(row.column("prompt")) for row in read_rows(place.at("prompts.jsonl"))}
    size = PolicySize(hidden=place.config.hidden)
    model, report = train_policy(GOLD, place.seed, SCHOOLING, _log_examination, size, taken)
    save_in_world(GOLD, Path(place.at("policy")), model, make_tokenizer(), {"report": asdict(report)})


def _log_examination(updates: int, distance: float, slips: float) -> None:
    sys.stdout.write(f"after {updates} updates: {distance:.4f} from the author, {slips:.4f} slips\n")


def label(place: Place) -> None:
    """Write each solution with its steps' labels, and whether its answer is right: both models read it."""
    samples = [
        (str(row.column("prompt")), row.texts_in("responses"))
        for row in read_rows(place.at("label-samples.jsonl"))
    ]
    answers = (str(answer(GOLD.problem(prompt))) for prompt, responses in samples for _ in responses)
    labelled = list(zip(label_steps(GOLD, samples), answers, strict=True))
    solutions = ({**to_row(one), "answer": true} for one, true in labelled[: place.config.automatic])
    bare = ({name: value for name, value in row.items() if name != "labels"} for row in solutions)
    write_rows(place.at("to-label.jsonl"), bare, overwrite=True)
    write_rows(place.at("labelled.jsonl"), (to_row(one) for one, _ in labelled), overwrite=True)


def grade_pool(place: Place) -> None:
    """Write the samples with their answers and whether they are right, and the steps of some of them."""
    rows, examined = [], []
    for row in read_rows(place.at("samples.jsonl")):
        prompt, responses = str(row.column("prompt")), row.texts_in("responses")
        grades = [grade(GOLD, prompt, response) for response in responses]
        own = {"steps": [list(one.steps) for one in grades], "sound": [one.all_right for one in grades]}
        rows.append({**graded_row(GOLD, prompt, responses), **own})
        examined.append((prompt, responses[:EXAMINED]))
    write_rows(place.at("examined.jsonl"), map(to_row, label_steps(GOLD, examined)), overwrite=True)
    write_rows(place.at("pool.jsonl"), rows, overwrite=True)


def write_probabilities(place: Place, size: int, data: str) -> None:
    """Undo the standardisation of the outcome model's logit: votes are then weighted by its probability."""
    sidecar = read_sidecar(place.at(f"orm-{size}"))
    if sidecar is None:
        raise FileNotFoundError(place.at(f"orm-{size}"))
    scale = sidecar.scale
    rows = (
        {
            **row.values,
            "orms": probabilities(np.array(row.list_in("orms")) * scale.sd + scale.mean).tolist(),
        }
        for row in read_rows(data)
    )
    write_rows(place.scored(size), rows, overwrite=True)
