"""The stories experiment: every command in order, then tables, samples and figures."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from evalkit.cli import main as evalkit
from evalkit.experiments.stories.commands import CommandLine, StoriesTrial, commands, write_prompts
from evalkit.experiments.stories.config import Stories
from evalkit.experiments.stories.figures import draw_panel
from evalkit.experiments.stories.tables import part_rows, read_looks, sample_rows, table_rows
from evalkit.report.csv import write_csv
from evalkit.runs.files import atomic_write
from evalkit.runs.settings import settings_of, write_settings
from evalkit.runs.steps import Step, run_steps
from evalkit.runs.terminal import say
from rewards.errors import ConfigError
from rewards.files import write_rows


def run(config: Stories) -> None:
    """Run the experiment, or what is left of it.

    Raises:
        ConfigError: The folder holds commands of other settings.
    """
    torch.set_num_threads(1)  # as in the quickstart: matrices this small gain nothing from a second
    trial = StoriesTrial(config)
    _write_prompts(trial)
    every = list(commands(trial))
    run_steps(steps(trial, every), trial.work)
    _report(trial, every)


def _write_prompts(trial: StoriesTrial) -> None:
    trial.work.mkdir(parents=True, exist_ok=True)
    for name, prompts in write_prompts(trial.config).items():
        path = Path(trial.path(f"{name}.jsonl"))
        if not path.exists():
            write_rows(path, ({"prompt": prompt} for prompt in prompts))


def steps(trial: StoriesTrial, every: Iterable[CommandLine]) -> Iterator[Step]:
    """Yield a step a command; a file of its line marks it done; an interrupted one goes on by itself."""
    for command in every:
        yield _step(command, trial.work / "done" / command.name)


def _step(command: CommandLine, mark: Path) -> Step:
    def make() -> None:
        evalkit(command.arguments)
        with atomic_write(mark) as file:
            file.write(command.line)

    def check() -> None:
        if mark.read_text(encoding="utf-8") != command.line:
            raise ConfigError(f"{mark}: done with other settings; name another --work for these")

    return Step(f"{command.name}: {command.title}", mark, make, command.line, check)


def _report(trial: StoriesTrial, every: list[CommandLine]) -> None:
    config, out = trial.config, Path(trial.config.out)
    (out / "prompts").mkdir(parents=True, exist_ok=True)
    for name, prompts in write_prompts(config).items():
        write_rows(out / "prompts" / f"{name}.jsonl", ({"prompt": one} for one in prompts), overwrite=True)
    with atomic_write(out / "commands.sh") as file:
        file.write(f"mkdir -p {trial.work} && cp {out}/prompts/*.jsonl {trial.work}\n")
        file.writelines(f"# {command.title}\n{command.line}\n" for command in every)
    write_csv(out / "table.csv", [row for reward in trial.rewards for row in table_rows(trial, reward)])
    write_csv(out / "parts.csv", [row for reward in trial.rewards for row in part_rows(trial, reward)])
    rows = [row for reward in trial.rewards for row in sample_rows(trial, reward, config.shown)]
    write_rows(out / "samples.jsonl", rows, overwrite=True)
    looks = {reward.name: read_looks(trial, reward) for reward in trial.rewards}
    draw_panel({reward.title: looks[reward.name] for reward in trial.rewards}, out / "panel.png")
    for reward in trial.rewards:
        made = Path(trial.path(f"{reward.name}-compared", "comparison.png"))
        (out / f"comparison_{reward.name}.png").write_bytes(made.read_bytes())
    accuracy = {name: _accuracy(trial, name) for name in ("reward", "judge")}
    write_settings(out, settings_of(config, "model"), reward_models=accuracy)
    say(f"Results are in {out}")


def _accuracy(trial: StoriesTrial, name: str) -> object:
    """Return a reward model's accuracy on held-out labels without noise, with its interval."""
    card = json.loads(Path(trial.path(f"{name}-card", "report.json")).read_text(encoding="utf-8"))
    return card["pairs"]["accuracy"]
