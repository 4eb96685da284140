"""The table of commands."""

import errno
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pkgutil import resolve_name

from evalkit.annotation.config import Annotate, LabelsExport, LabelsImport, LabelsInvite, LabelsStatus
from evalkit.comparing.config import Compare
from evalkit.evaluation.config import Accuracy, AspectCard, Evaluate, ProcessEval
from evalkit.judging.config import (
    Agree,
    JudgeFiles,
    LedgerExport,
    LedgerImport,
    ProbeJudge,
    Rank,
    VerdictPairs,
    WinRates,
)
from evalkit.label_steps.config import LabelSteps
from evalkit.overoptimization.config import Fit, Overopt
from evalkit.pipeline.config import Combine, Generate, ScoreFile, Select
from evalkit.quickstart.config import Quickstart
from evalkit.runs.parsing import parse_configuration
from evalkit.search.config import Search
from evalkit.training.config import TrainAspects, TrainCorrectness, TrainOutcome, TrainProcess
from evalkit.training.policy_config import TrainBestOfN, TrainDpo, TrainPpo, TrainRso, TrainSft
from rewards.errors import ConfigError, EvalkitError

GOES_ON = "what is done is kept, and the same command goes on from there"
STARTS_ANEW = "the same command starts anew"
NOTHING_WRITTEN = "nothing was written, and the same command starts anew"


@dataclass(frozen=True)
class Command:
    """One line of the table of commands.

    Attributes:
        config: Its configuration, a dataclass, whose docstring is the command's help.
        runner: `module:function` that takes the configuration; imported only when the command runs.
        interrupted: Message of an interrupted run: what is kept, and how to resume.
    """

    config: type
    runner: str
    interrupted: str = GOES_ON


COMMANDS: Mapping[str, Command] = {
    "quickstart": Command(Quickstart, "evalkit.quickstart.command:run"),
    "train outcome": Command(TrainOutcome, "evalkit.training.outcome:run"),
    "train correctness": Command(TrainCorrectness, "evalkit.training.steps:run_correctness"),
    "train process": Command(TrainProcess, "evalkit.training.steps:run_process"),
    "train aspects": Command(TrainAspects, "evalkit.training.aspects:run"),
    "train sft": Command(TrainSft, "evalkit.training.sft:run"),
    "train best-of-n": Command(TrainBestOfN, "evalkit.training.best_of_n:run"),
    "train dpo": Command(TrainDpo, "evalkit.training.dpo:run"),
    "train rso": Command(TrainRso, "evalkit.training.rso:run"),
    "train ppo": Command(TrainPpo, "evalkit.training.ppo:run"),
    "compare": Command(Compare, "evalkit.comparing.command:run"),
    "generate": Command(Generate, "evalkit.pipeline.generate:run"),
    "score": Command(ScoreFile, "evalkit.pipeline.score:run"),
    "select": Command(Select, "evalkit.pipeline.select:run", NOTHING_WRITTEN),
    "evaluate": Command(Evaluate, "evalkit.evaluation.report_card:run"),
    "overopt": Command(Overopt, "evalkit.overoptimization.overopt:run"),
    "fit": Command(Fit, "evalkit.overoptimization.fit:run", STARTS_ANEW),
    "label-steps": Command(LabelSteps, "evalkit.label_steps.command:run"),
    "search": Command(Search, "evalkit.search.command:run"),
    "process-eval": Command(
        ProcessEval,
        "evalkit.evaluation.process:run",
        "with --out what is done is kept, and the same command goes on from there",
    ),
    "accuracy": Command(Accuracy, "evalkit.evaluation.accuracy:run", STARTS_ANEW),
    "combine": Command(Combine, "evalkit.pipeline.combine:run", NOTHING_WRITTEN),
    "aspect-card": Command(AspectCard, "evalkit.evaluation.aspects:run"),
    "judge": Command(JudgeFiles, "evalkit.judging.judge:run"),
    "winrate": Command(WinRates, "evalkit.judging.winrate.command:run", STARTS_ANEW),
    "rank": Command(Rank, "evalkit.judging.rank.command:run", STARTS_ANEW),
    "agreement": Command(Agree, "evalkit.judging.agreement.command:run", STARTS_ANEW),
    "probe": Command(ProbeJudge, "evalkit.judging.probe.command:run"),
    "pairs": Command(VerdictPairs, "evalkit.judging.pairs:run", NOTHING_WRITTEN),
    "annotate": Command(Annotate, "evalkit.annotation.annotate:run"),
    "labels export": Command(LabelsExport, "evalkit.annotation.labels:run_export", NOTHING_WRITTEN),
    "labels import": Command(LabelsImport, "evalkit.annotation.labels:run_import"),
    "labels invite": Command(LabelsInvite, "evalkit.annotation.invite:run"),
    "labels status": Command(LabelsStatus, "evalkit.annotation.status:run", STARTS_ANEW),
    "ledger export": Command(LedgerExport, "evalkit.judging.ledger:run_export", NOTHING_WRITTEN),
    "ledger import": Command(LedgerImport, "evalkit.judging.ledger:run_import"),
}
DESCRIPTION = "Score and rank generations, train reward models, and see where optimising them goes wrong."

SURROUNDINGS = {
    errno.EACCES: "choose a place that is yours, or change its rights",
    errno.EPERM: "choose a place that is yours, or change its rights",
    errno.EROFS: "choose a place that can be written to",
    errno.ENOSPC: "make room, and the same command goes on",
    errno.EDQUOT: "make room, and the same command goes on",
    errno.ENOTDIR: "a part of this path is a file; choose another",
    errno.EISDIR: "this is a folder; name a file",
    errno.EEXIST: "a part of this path is a file; choose another",
    errno.ENAMETOOLONG: "choose a shorter name",
}
"""What the operating system refuses for no fault of ours, and what helps."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse one command and its configuration, then run it.

    Exits with 0 when done, 2 on the user's mistake (one line, no traceback), 130 when interrupted.
    """
    name = ""
    try:
        name, options = _command(sys.argv[1:] if arguments is None else list(arguments))
        command = COMMANDS[name]
        chosen: object = parse_configuration(command.config, name, options)
        resolve_name(command.runner)(chosen)
    except EvalkitError as error:
        _stop(2, str(error))
    except OSError as error:
        if error.errno not in SURROUNDINGS or error.filename is None:
            raise
        _stop(2, f"{error.filename}: {error.strerror}; {SURROUNDINGS[error.errno]}")
    except KeyboardInterrupt:
        _stop(130, f"interrupted; {COMMANDS[name].interrupted if name else 'nothing was begun'}")


def _command(arguments: list[str]) -> tuple[str, list[str]]:
    """Split off the command's name; on `--help` without one, print the table and exit.

    Raises:
        ConfigError: There is no such command, or none is named.
    """
    for name in COMMANDS:
        words = name.split()
        if arguments[: len(words)] == words:
            return name, arguments[len(words) :]
    words = arguments[: next((n for n, word in enumerate(arguments) if word.startswith("-")), 2)]
    known = [name for name in COMMANDS if name.split()[:1] == words] or list(COMMANDS)
    if {"-h", "--help"} & set(arguments):
        sys.stdout.write(_overview(known))
        raise SystemExit(0)
    asked = f"no command {' '.join(words)!r}" if words else "no command is given"
    raise ConfigError(f"{asked}; there are {', '.join(COMMANDS)}; evalkit --help says what they do")


def _overview(names: Sequence[str]) -> str:
    lines = ["usage: evalkit COMMAND [--config FILE.yaml] [--option value ...]", "", DESCRIPTION, ""]
    width = max(map(len, names))
    for name in names:
        lines.append(f"  {name:<{width}}  {(COMMANDS[name].config.__doc__ or '').splitlines()[0]}")
    lines += ["", "evalkit COMMAND --help lists its options; --print_config writes them as a file."]
    return "\n".join(lines) + "\n"


def _stop(code: int, message: str) -> None:
    sys.stderr.write(f"evalkit: {' '.join(message.split())}\n")
    raise SystemExit(code)


if __name__ == "__main__":
    main()
