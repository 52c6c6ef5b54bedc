"""Whole flows under faults: `python -m chaos [--seeds 1000] [--first 0] [--seed 123]`.

Each seed makes up a flow, what starts its runs and what goes wrong, and always the same. Afterwards
the invariants of `chaos.invariants` must hold. The last line says how many seeds ran, and how many
invariants were broken; one seed alone tells all that happened.
"""

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from os import process_cpu_count

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
            for verdict in processes.map(try_seed, numbers, chunksize=_AT_ONCE):
                broken += len(verdict.broken)
                if verdict.broken:
                    sys.stdout.write(f"{told(verdict)}\n")
    took = time.monotonic() - start
    sys.stdout.write(f"{seeds:,} seeds in {took:.0f} s, {broken:,} invariants broken\n")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
