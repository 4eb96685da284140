"""Runs two computations in parallel on the CPU, a thread for each instead of all for both in turn."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

A = TypeVar("A")
B = TypeVar("B")

_OTHER = ThreadPoolExecutor(1, thread_name_prefix="side-by-side")


def side_by_side(device: torch.device, first: Callable[[], A], second: Callable[[], B]) -> tuple[A, B]:
    """Return the results of two independent computations.

    Small matrices cut into parts for several cores leave these waiting for each other; a core for each
    computation does not. On an accelerator, and with one thread, they run in turn. The numbers of
    threads do not depend on the machine's load, and so neither do the results.

    Args:
        device: Device of both.
        first: The computation in the caller's thread.
        second: The other. A context that torch keeps by thread, such as autocast, it enters itself.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads < 2:
        return first(), second()
    torch.set_num_threads(max(1, threads // 2))
    try:
        other = _OTHER.submit(second)
        try:
            mine = first()
        finally:
            other.exception()  # waits: nothing may still be computed when this returns or raises
        return mine, other.result()
    finally:
        torch.set_num_threads(threads)
