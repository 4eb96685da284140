"""The table of commands."""

import errno
import sys
from collections.abc import Sequence
from pkgutil import resolve_name

from evalkit.annotation.config import Annotate, LabelsExport, LabelsImport, LabelsInvite, LabelsStatus
from evalkit.comparing.config import Compare
from evalkit.evaluation.config import Accuracy, AspectCard, Evaluate, ProcessEval
from evalkit.judging.config import Agree, JudgeFiles, LedgerExport, LedgerImport, Pairs, Probe, Rank, WinRates
from evalkit.label_steps.config import LabelSteps
from evalkit.overoptimization.config import Fit, Overopt
from evalkit.pipeline.config import Combine, Generate, ScoreFile, Select
from evalkit.quickstart.config import Quickstart
from evalkit.runs.parsing import parse_configuration
from evalkit.search.config import Search
from evalkit.training.config import TrainAspects, TrainCorrectness, TrainOutcome, TrainProcess
from evalkit.training.policy_config import TrainBestOfN, TrainDpo, TrainPpo, TrainRso, TrainSft
from rewards.errors import ConfigError, EvalkitError

COMMANDS: dict[str, tuple[type, str]] = {  # name: (what it needs, where it runs; imported only then)
    "quickstart": (Quickstart, "evalkit.quickstart.command:run"),
    "train outcome": (TrainOutcome, "evalkit.training.outcome:run"),
    "train correctness": (TrainCorrectness, "evalkit.training.steps:run_correctness"),
    "train process": (TrainProcess, "evalkit.training.steps:run_process"),
    "train aspects": (TrainAspects, "evalkit.training.aspects:run"),
    "train sft": (TrainSft, "evalkit.training.sft:run"),
    "train best-of-n": (TrainBestOfN, "evalkit.training.best_of_n:run"),
    "train dpo": (TrainDpo, "evalkit.training.dpo:run"),
    "train rso": (TrainRso, "evalkit.training.rso:run"),
    "train ppo": (TrainPpo, "evalkit.training.ppo:run"),
    "compare": (Compare, "evalkit.comparing.command:run"),
    "generate": (Generate, "evalkit.pipeline.generate:run"),
    "score": (ScoreFile, "evalkit.pipeline.score:run"),
    "select": (Select, "evalkit.pipeline.select:run"),
    "evaluate": (Evaluate, "evalkit.evaluation.report_card:run"),
    "overopt": (Overopt, "evalkit.overoptimization.best_of_n:run"),
    "fit": (Fit, "evalkit.overoptimization.table:run"),
    "label-steps": (LabelSteps, "evalkit.label_steps.command:run"),
    "search": (Search, "evalkit.search.command:run"),
    "process-eval": (ProcessEval, "evalkit.evaluation.process:run"),
    "accuracy": (Accuracy, "evalkit.evaluation.accuracy:run"),
    "combine": (Combine, "evalkit.pipeline.combine:run"),
    "aspect-card": (AspectCard, "evalkit.evaluation.aspects:run"),
    "judge": (JudgeFiles, "evalkit.judging.judge:run"),
    "winrate": (WinRates, "evalkit.judging.winrate.command:run"),
    "rank": (Rank, "evalkit.judging.rank.command:run"),
    "agreement": (Agree, "evalkit.judging.agreement.command:run"),
    "probe": (Probe, "evalkit.judging.probe.command:run"),
    "pairs": (Pairs, "evalkit.judging.pairs:run"),
    "annotate": (Annotate, "evalkit.annotation.annotate:run"),
    "labels export": (LabelsExport, "evalkit.annotation.labels:run_export"),
    "labels import": (LabelsImport, "evalkit.annotation.labels:run_import"),
    "labels invite": (LabelsInvite, "evalkit.annotation.invite:run"),
    "labels status": (LabelsStatus, "evalkit.annotation.status:run"),
    "ledger export": (LedgerExport, "evalkit.judging.ledger:run_export"),
    "ledger import": (LedgerImport, "evalkit.judging.ledger:run_import"),
}
DESCRIPTION = "Score and rank generations, train reward models, and see where optimising them goes wrong."

KEPT = "what is done is kept, and the same command goes on from there"
KEPT_NOTHING = {
    "": "nothing was begun",
    "select": "nothing was written, and the same command starts anew",
    "fit": "the same command starts anew",
    "winrate": "the same command starts anew",
    "rank": "the same command starts anew",
    "agreement": "the same command starts anew",
    "accuracy": "the same command starts anew",
    "combine": "nothing was written, and the same command starts anew",
    "process-eval": "with --out what is done is kept, and the same command goes on from there",
    "pairs": "nothing was written, and the same command starts anew",
    "ledger export": "nothing was written, and the same command starts anew",
    "labels export": "nothing was written, and the same command starts anew",
    "labels status": "the same command starts anew",
}
"""What is said of the commands that keep nothing of an interrupted run, or not always."""

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
        kind, runner = COMMANDS[name]
        chosen: object = parse_configuration(kind, name, options)
        resolve_name(runner)(chosen)
    except EvalkitError as error:
        _stop(2, str(error))
    except OSError as error:
        if error.errno not in SURROUNDINGS or error.filename is None:
            raise
        _stop(2, f"{error.filename}: {error.strerror}; {SURROUNDINGS[error.errno]}")
    except KeyboardInterrupt:
        _stop(130, f"interrupted; {KEPT_NOTHING.get(name, KEPT)}")


def _command(arguments: list[str]) -> tuple[str, list[str]]:
    """Split off the command's name; asked for help before there is one, print the table and exit.

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
    for name in names:
        kind, _ = COMMANDS[name]
        lines.append(f"  {name:<15} {(kind.__doc__ or '').splitlines()[0]}")
    lines += ["", "evalkit COMMAND --help lists its options; --print_config writes them as a file."]
    return "\n".join(lines) + "\n"


def _stop(code: int, message: str) -> None:
    sys.stderr.write(f"evalkit: {' '.join(message.split())}\n")
    raise SystemExit(code)


if __name__ == "__main__":
    main()
