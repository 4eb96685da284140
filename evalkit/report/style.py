"""Colours and text of all figures."""

from typing import Any

PLAIN_TEXT: dict[Any, Any] = {"text.parse_math": False}
"""For `rc_context` where names of systems and judges are drawn, in which `$` begins no formula."""


COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F7F7F", "#000000")
"""Okabe and Ito's palette, which the colour-blind tell apart; the darkest come first."""
