"""Whole flows under faults: `python -m chaos [--seeds 1000] [--first 0] [--seed 123]`.

Each seed makes up a flow, what starts its runs and what goes wrong, and always the same. Afterwards
the invariants of `chaos.invariants` must hold. So they must when the worker of a flow dies before
or after each of its writes, which is tried for a few flows beside the seeds. The last line says how
many seeds ran, and how many invariants were broken; one seed alone tells all that happened.
"""

import argparse
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from os import process_cpu_count

from chaos.deaths import KINDS, try_deaths
from chaos.seeds import Verdict, try_seed

_AT_ONCE = 20
"""Seeds that a process is given together."""


def told(verdict: Verdict, *, in_full: bool = False) -> str:
    """What is to be said of a seed."""
    lines = [verdict.told] if in_full or verdict.broken else []
    if lines:
        lines += [f"  fault: {fault}" for fault in verdict.faults]
        lines += [f"  broken: {each}" for each in verdict.broken]
        lines.append(f"  again: make chaos SEED={verdict.seed}")
    return "\n".join(lines)


def _tell_deaths(tried: Mapping[str, tuple[int, list[Verdict]]]) -> int:
    """Print how often workers died, and what was broken; how many invariants that were."""
    verdicts = [(kind, verdict) for kind, (_, found) in tried.items() for verdict in found]
    for kind, verdict in verdicts:
        sys.stdout.write(f"{kind}, {verdict.told}\n")
        sys.stdout.writelines(f"  death: {each}\n" for each in verdict.faults)
        sys.stdout.writelines(f"  broken: {each}\n" for each in verdict.broken)
    died = sum(number for number, _ in tried.values())
    sys.stdout.write(f"{died:,} deaths, before and after each write of {len(tried)} flows\n")
    return sum(len(verdict.broken) for _, verdict in verdicts)


def main() -> None:
    """Try seeds and print what is broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=1_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="this one alone, and tell all that happened")
    arguments = parser.parse_args()
    start, broken = time.monotonic(), 0
    if arguments.seed is not None:
        verdict = try_seed(arguments.seed)
        sys.stdout.write(f"{told(verdict, in_full=True)}\n")
        seeds, broken = 1, len(verdict.broken)
    else:
        seeds = arguments.seeds
        numbers = range(arguments.first, arguments.first + seeds)
        with ProcessPoolExecutor(process_cpu_count()) as processes:
            deaths = processes.map(try_deaths, KINDS)
            for verdict in processes.map(try_seed, numbers, chunksize=_AT_ONCE):
                broken += len(verdict.broken)
                if verdict.broken:
                    sys.stdout.write(f"{told(verdict)}\n")
            broken += _tell_deaths(dict(zip(KINDS, deaths, strict=True)))
    took = time.monotonic() - start
    sys.stdout.write(f"{seeds:,} seeds in {took:.0f} s, {broken:,} invariants broken\n")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
