"""Rows, groups of rows that share a server, and the table that comes out."""

import concurrent.futures
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness import process

ROWS_AT_ONCE = 10


class CannotRun(Exception):
    """Why no row can be run at all: one sentence for whoever started the test."""


@dataclass
class Outcome:
    """How a row ended: the figures belong into the table, the detail is for a failure."""

    passed: bool
    figures: str
    detail: str = ""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    run: Callable
    # Whether it may share the machine with other rows: not when it measures loss under load.
    alone: bool = False
    # False for what only uturn is asked to do.
    for_coturn: bool = True


@dataclass(frozen=True)
class Group:
    """Rows that share what `setup(context)` enters; its result is handed to each row."""

    setup: Callable
    rows: list = field(default_factory=list)

    def only(self, wanted):
        return replace(self, rows=[row for row in self.rows if wanted.search(row.name)])


@dataclass
class Context:
    """What a group needs to set up its server."""

    server: str
    binary: Path
    net: object
    # Certificates, configurations and logs; kept after the run.
    folder: Path
    stack: ExitStack


def run_groups(groups, arguments, net):
    """Runs every row, prints the table while it grows, and returns the exit code."""
    folder = Path(__file__).resolve().parents[3] / "target/e2e" / arguments.server
    folder.mkdir(parents=True, exist_ok=True)
    results, left_out = [], []
    print(f"{'row':<52} {'result':<6} {'s':>5}  figures", flush=True)
    for group in groups:
        rows = group.rows
        if arguments.server == "coturn":
            left_out += [row.name for row in rows if not row.for_coturn]
            rows = [row for row in rows if row.for_coturn]
        if rows:
            with ExitStack() as stack:
                context = Context(arguments.server, arguments.binary, net, folder, stack)
                results += run_group(group.setup(context), rows)
    return summarise(results, left_out, folder)


def run_group(setting, rows):
    """Runs the rows that may run beside others first, several at once; then the others."""
    results = run_together([row for row in rows if not row.alone], setting)
    for row in rows:
        if row.alone:
            results.append(print_result(run_row(row, setting)))
    return results


def run_together(rows, setting):
    with concurrent.futures.ThreadPoolExecutor(ROWS_AT_ONCE) as pool:
        try:
            results = pool.map(lambda row: run_row(row, setting), rows)
            return [print_result(result) for result in results]
        except BaseException:  # Interrupted: no row is waited for.
            pool.shutdown(wait=False, cancel_futures=True)
            process.end_running()
            raise


def run_row(row, setting):
    started = time.monotonic()
    try:
        outcome = row.run(setting)
    except Exception as error:  # A row that breaks fails; the others still run.
        outcome = Outcome(False, f"{type(error).__name__}: {error}")
    return row, outcome, time.monotonic() - started


def print_result(result):
    row, outcome, seconds = result
    verdict = "pass" if outcome.passed else "FAIL"
    print(f"{row.name:<52} {verdict:<6} {seconds:5.1f}  {outcome.figures}", flush=True)
    return result


def summarise(results, left_out, folder):
    failed = [(row, outcome) for row, outcome, _ in results if not outcome.passed]
    for row, outcome in failed:
        print(f"\n--- {row.name}: {outcome.figures}")
        if outcome.detail:
            print(outcome.detail)
    print(f"\n{len(results) - len(failed)} of {len(results)} rows passed", end="")
    print(f"; logs: {folder}" if failed else "")
    if left_out:
        print(f"asked of uturn alone, not run: {', '.join(left_out)}")
    return 1 if failed or not results else 0
