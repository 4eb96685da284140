"""Stories of a small language model improved by DPO, RSO, PPO and best-of-n, by evalkit's commands alone.

    python -m evalkit.experiments.stories --model stories260k

`--model` is a folder of karpathy's TinyStories model of 260,000 weights in Transformers' format. It is
improved by two rewards: a rule, which counts kind words, and a reward model, which learnt from noisy labels
which of two stories has a spoken line and a proper end. Every step is a command that is called as from a
shell, and written to commands.sh as it could be typed.

About 20 minutes of one core. Expected: on held-out prompts the kind words of a story rise from 0.4 to between
1.7 and 2.8, and the points of the rule behind the model's labels from 1.1 to between 1.3 and 1.6. Stories are
as readable as before, with what is paid for in them; the model pays for speech more than for the rest.
"""

import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jsonargparse import auto_cli

from evalkit.cli import main as evalkit
from evalkit.experiments.stories.commands import Command, Course, Sizes, commands, write_prompts
from evalkit.experiments.stories.figures import draw_panel
from evalkit.experiments.stories.tables import part_rows, read_looks, sample_rows, table_rows
from evalkit.report.csv import write_csv
from evalkit.runs.files import atomic_write, json_text
from evalkit.runs.provenance import provenance
from rewards.errors import ConfigError
from rewards.files import write_rows


@dataclass(frozen=True)
class Stories:
    """Improve a story teller by two rewards and four methods, and write tables, samples and figures."""

    model: str
    """Folder of the language model."""
    work: str = "runs/stories"
    """Folder for models and samples; what is finished there is used again."""
    out: str = "results/stories"
    """Folder for commands.sh, tables, samples and figures."""
    seed: int = 0
    """Seed of prompts, samples and training."""
    reward_prompts: int = 128
    """Prompts to whose stories the reward models' labels are."""
    prompts: int = 160
    """Prompts that policies learn from."""
    held_out: int = 64
    """Prompts on which everything is measured."""
    samples: int = 16
    """Stories to each prompt."""
    tokens: int = 64
    """Most tokens in a story."""
    episodes: int = 2048
    """Stories that PPO learns from."""
    buffer: int = 256
    """Stories in a round of PPO."""
    rso_samples: int = 24
    """Stories to each prompt from which RSO accepts."""
    rso_updates: int = 70
    """Updates of RSO, about as many as DPO makes; how many pairs it has is up to the reward's ties."""
    rounds: int = 2
    """Rounds of best-of-n."""
    epochs: int = 2
    """Passes of DPO over its pairs."""
    reward_epochs: int = 3
    """Passes of the reward models over their labels."""
    shown: int = 6
    """Held-out prompts of which samples.jsonl has a story before and after."""


def main(config: Stories) -> None:
    """Run the experiment, or what is left of it.

    Raises:
        ConfigError: The folder holds commands of other settings.
    """
    torch.set_num_threads(1)  # as in the quickstart: matrices this small gain nothing from a second
    course = _course(config)
    _write_prompts(course)
    every = list(commands(course))
    for command in every:
        _make(course, command)
    _report(config, course, every)


def _course(config: Stories) -> Course:
    kept = {name: getattr(config, name) for name in Sizes.__dataclass_fields__}
    return Course(config.model, Path(config.work), Sizes(**kept), config.seed)


def _write_prompts(course: Course) -> None:
    course.work.mkdir(parents=True, exist_ok=True)
    for name, prompts in write_prompts(course.sizes, course.seed).items():
        path = Path(course.path(f"{name}.jsonl"))
        if not path.exists():
            write_rows(path, ({"prompt": prompt} for prompt in prompts))


def _make(course: Course, command: Command) -> None:
    """Call a command that is not done, and mark it; one that was interrupted goes on by itself.

    Raises:
        ConfigError: It is done, with other settings.
    """
    mark = course.work / "done" / command.name
    if mark.exists():
        if mark.read_text(encoding="utf-8") != command.line:
            raise ConfigError(f"{mark}: done with other settings; name another --work for these")
        return
    sys.stdout.write(f"{command.name}: {command.title}\n")
    sys.stdout.flush()
    path = course.work / "log.txt"
    with path.open("a", encoding="utf-8") as log:
        log.write(f"\n$ {command.line}\n")
        try:
            with redirect_stdout(log), redirect_stderr(log):
                evalkit(command.arguments)
        except SystemExit as stop:
            sys.stderr.write(f"{command.name}: stopped with {stop.code}; {path} ends with the reason\n")
            raise
    mark.parent.mkdir(exist_ok=True)
    with atomic_write(mark) as file:
        file.write(command.line)


def _report(config: Stories, course: Course, every: list[Command]) -> None:
    out = Path(config.out)
    (out / "prompts").mkdir(parents=True, exist_ok=True)
    for name, prompts in write_prompts(course.sizes, course.seed).items():
        write_rows(out / "prompts" / f"{name}.jsonl", ({"prompt": one} for one in prompts), overwrite=True)
    with atomic_write(out / "commands.sh") as file:
        file.write(f"mkdir -p {course.work} && cp {out}/prompts/*.jsonl {course.work}\n")
        file.writelines(f"# {command.title}\n{command.line}\n" for command in every)
    write_csv(out / "table.csv", [row for reward in course.rewards for row in table_rows(course, reward)])
    write_csv(out / "parts.csv", [row for reward in course.rewards for row in part_rows(course, reward)])
    rows = [row for reward in course.rewards for row in sample_rows(course, reward, config.shown)]
    write_rows(out / "samples.jsonl", rows, overwrite=True)
    looks = {reward.name: read_looks(course, reward) for reward in course.rewards}
    draw_panel({reward.title: looks[reward.name] for reward in course.rewards}, out / "panel.png")
    for reward in course.rewards:
        made = Path(course.path(f"{reward.name}-compared", "comparison.png"))
        (out / f"comparison_{reward.name}.png").write_bytes(made.read_bytes())
    settings = {name: value for name, value in asdict(config).items() if name not in ("work", "out", "model")}
    accuracy = {name: _accuracy(course, name) for name in ("reward", "judge")}
    with atomic_write(out / "config.json") as file:
        file.write(json_text({"configuration": settings, "reward_models": accuracy, **provenance()}))
    sys.stdout.write(f"Results are in {out}\n")


def _accuracy(course: Course, name: str) -> object:
    """Return a reward model's accuracy on held-out labels without noise, with its interval."""
    card = json.loads(Path(course.path(f"{name}-card", "report.json")).read_text(encoding="utf-8"))
    return card["pairs"]["accuracy"]


if __name__ == "__main__":
    try:
        main(auto_cli(Stories, as_positional=False))
    except ConfigError as error:
        sys.exit(f"evalkit: {error}")
