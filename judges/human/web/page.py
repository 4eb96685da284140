"""The annotator's page, blind: without systems, ids and known answers."""

from functools import lru_cache
from pathlib import Path

try:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
except ImportError:
    from rewards.errors import MissingExtraError

    raise MissingExtraError("jinja2", "web") from None

from judges.human.labels import Annotator, AnnotatorProgress, Given
from judges.human.study import Study
from judges.human.tasks import Task
from judges.human.web.rendering import as_written, render, render_alike, unseen, visible
from rewards.records import Message

TEMPLATES = Path(__file__).parent / "templates"
STATIC = Path(__file__).parent / "static"


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return what templates are read with: everything is escaped, and a name that is missing is an error."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page_context(
    given: Given, study: Study, annotator: Annotator, progress: AnnotatorProgress, csrf: str
) -> dict[str, object]:
    """Return the context of `task.html`: a task as one annotator sees it, blind."""
    task = given.task
    responses = [task.responses[place] for place in given.shown]
    draft = given.draft
    page = {
        "screen": task.screen,
        "handle": given.handle,
        "count": len(responses),
        "steps": len(task.steps),
        "aspects": list(task.aspects),
        # Spans count characters of the response itself, which HTML would alter (line ends, NUL).
        "text": responses[0] if task.screen == "spans" else "",
        "unseen": unseen(responses[0]) if task.screen == "spans" else [],
        "draft": {name: draft.get(name) for name in ("answer", "comment", "seconds")},
    }
    return {
        **_frame(study, annotator, progress, csrf, page),
        "prompt": [{"role": visible(turn.role), "html": render(turn.content)} for turn in _turns(task)],
        "answers": _answers(task, responses),
        "steps": [
            {"place": place, "html": html, "raw": as_written(step)}
            for place, (step, html) in enumerate(zip(task.steps, render_alike(task.steps), strict=True))
        ],
        "aspects": [visible(aspect) for aspect in task.aspects],
        "axis": visible(task.axis),
    }


def rest_context(
    study: Study, annotator: Annotator, progress: AnnotatorProgress, csrf: str
) -> dict[str, object]:
    """Return the context of `done.html` and `waiting.html`, where the last answer can still be undone."""
    return _frame(study, annotator, progress, csrf, {"screen": "rest"})


def _frame(
    study: Study, annotator: Annotator, progress: AnnotatorProgress, csrf: str, page: dict[str, object]
) -> dict[str, object]:
    return {
        "study": visible(study.title),
        "instructions": render(study.instructions, breaks=False) if study.instructions.strip() else "",
        "annotator": visible(annotator.name),
        "progress": progress,
        "page": {**page, "annotator": annotator.id, "csrf": csrf},
    }


def _turns(task: Task) -> tuple[Message, ...]:
    return (Message("", task.prompt),) if isinstance(task.prompt, str) else task.prompt


def _answers(task: Task, responses: list[str]) -> list[dict[str, object]]:
    # Steps and spans show the response in another way.
    if task.screen in ("steps", "spans"):
        return []
    return [
        {"place": place, "html": html, "raw": as_written(response)}
        for place, (response, html) in enumerate(zip(responses, render_alike(responses), strict=True))
    ]
