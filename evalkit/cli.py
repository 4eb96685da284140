"""The table of commands."""

import errno
import sys
from collections.abc import Sequence
from pkgutil import resolve_name

from evalkit import (
    annotation_config,
    aspect_config,
    compare_config,
    config,
    judging_config,
    policy_config,
    ppo_config,
    process_config,
)
from evalkit.parsing import parse_configuration
from rewards.errors import ConfigError, EvalkitError

COMMANDS: dict[str, tuple[type, str]] = {  # name: (what it needs, where it runs; imported only then)
    "quickstart": (config.Quickstart, "evalkit.quickstart:run"),
    "train outcome": (config.TrainOutcome, "evalkit.training:run"),
    "train correctness": (process_config.TrainCorrectness, "evalkit.training_steps:run_correctness"),
    "train process": (process_config.TrainProcess, "evalkit.training_steps:run_process"),
    "train aspects": (aspect_config.TrainAspects, "evalkit.training_aspects:run"),
    "train sft": (policy_config.TrainSft, "evalkit.training_sft:run"),
    "train best-of-n": (policy_config.TrainBestOfN, "evalkit.training_best_of_n:run"),
    "train dpo": (policy_config.TrainDpo, "evalkit.training_dpo:run"),
    "train rso": (policy_config.TrainRso, "evalkit.training_rso:run"),
    "train ppo": (ppo_config.TrainPpo, "evalkit.training_ppo:run"),
    "compare": (compare_config.Compare, "evalkit.comparing:run"),
    "generate": (config.Generate, "evalkit.generating:run"),
    "score": (config.ScoreFile, "evalkit.scoring:run"),
    "select": (config.Select, "evalkit.selecting:run"),
    "evaluate": (config.Evaluate, "evalkit.evaluating:run"),
    "overopt": (config.Overopt, "evalkit.overoptimization.best_of_n:run"),
    "fit": (config.Fit, "evalkit.overoptimization.table:run"),
    "label-steps": (process_config.LabelSteps, "evalkit.label_steps.command:run"),
    "search": (process_config.Search, "evalkit.search.command:run"),
    "process-eval": (process_config.ProcessEval, "evalkit.process_eval:run"),
    "accuracy": (process_config.Accuracy, "evalkit.accuracy:run"),
    "combine": (aspect_config.Combine, "evalkit.combining:run"),
    "aspect-card": (aspect_config.AspectCard, "evalkit.aspect_card:run"),
    "judge": (judging_config.JudgeFiles, "evalkit.judging:run"),
    "winrate": (judging_config.WinRates, "evalkit.winrates:run"),
    "rank": (judging_config.Rank, "evalkit.ranking:run"),
    "agreement": (judging_config.Agree, "evalkit.agreeing:run"),
    "probe": (judging_config.Probe, "evalkit.probing:run"),
    "pairs": (judging_config.Pairs, "evalkit.pairing_verdicts:run"),
    "annotate": (annotation_config.Annotate, "evalkit.annotating:run"),
    "labels export": (annotation_config.LabelsExport, "evalkit.labelling:run_export"),
    "labels import": (annotation_config.LabelsImport, "evalkit.labelling:run_import"),
    "labels invite": (annotation_config.LabelsInvite, "evalkit.inviting:run"),
    "labels status": (annotation_config.LabelsStatus, "evalkit.study_status:run"),
    "ledger export": (judging_config.LedgerExport, "evalkit.ledgers:run_export"),
    "ledger import": (judging_config.LedgerImport, "evalkit.ledgers:run_import"),
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
