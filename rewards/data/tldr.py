"""Reddit TL;DR: pairs of summaries compared by people, in summarize-from-feedback's own format.

Source: the `batch*.json` files (JSON lines) of openai/summarize-from-feedback, folder `comparisons`, or
`hub:openai/summarize_from_feedback?name=comparisons&split=train&revision=refs/convert/parquet`. The posts
come from Webis-TLDR-17 (CC BY 4.0); look at the source's own terms for the comparisons.
Stiennon et al. 2020, "Learning to summarize from human feedback".
"""

from rewards.errors import DataError
from rewards.files import Row
from rewards.records import Preference

OWN = ("info", "summaries", "choice", "extra", "id")


def tldr_preference(row: Row) -> Preference:
    r"""Return the preference of a row `{info, summaries: [{text, policy}, ...], choice, worker, ...}`.

    The prompt is the paper's: "SUBREDDIT: r/...\n\nTITLE: ...\n\nPOST: ...\n\nTL;DR:"; the summaries
    keep the space they begin with. The post's id becomes the record's; `chosen_policy`, `rejected_policy`,
    what `extra` holds (the annotator's `confidence`) and all other columns travel in `extra`.

    Raises:
        DataError: A column is missing or not of its type, or the row summarises a news article.
    """
    info = row.column("info")
    if not isinstance(info, dict):
        raise row.expected("info", "an object of the post's title, subreddit and text", info)
    choice = row.column("choice")
    if choice not in (0, 1) or isinstance(choice, bool):
        raise row.expected("choice", "0 or 1", choice)
    summaries = row.list_in("summaries")
    if len(summaries) != 2:
        raise row.expected("summaries", "two summaries", summaries)
    chosen, rejected = (_summary(row, summaries[index]) for index in (choice, 1 - choice))
    annotation = row.values.get("extra")
    extra = {name: value for name, value in row.values.items() if name not in OWN}
    extra |= annotation if isinstance(annotation, dict) else {}
    extra |= {"chosen_policy": chosen.get("policy"), "rejected_policy": rejected.get("policy")}
    texts = [str(summary["text"]) for summary in (chosen, rejected)]
    return Preference(_prompt(row, info), texts[0], texts[1], 0.0, row.identity(info.get("id")), extra)


def _prompt(row: Row, info: dict[str, object]) -> str:
    if info.get("post") is None and info.get("article") is not None:
        raise DataError(
            f"{row.where}: field 'info': summarises a news article, not a post; leave that split out"
        )
    for name in ("subreddit", "title", "post"):
        if not isinstance(info.get(name), str):
            raise row.expected("info", f"a text in {name!r}", info.get(name))
    return f"SUBREDDIT: r/{info['subreddit']}\n\nTITLE: {info['title']}\n\nPOST: {info['post']}\n\nTL;DR:"


def _summary(row: Row, summary: object) -> dict[str, object]:
    if not isinstance(summary, dict) or not isinstance(summary.get("text"), str):
        raise row.expected("summaries", "summaries of the form {text: text, ...}", summary)
    return summary
