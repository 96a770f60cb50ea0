"""How long `import sparring` and `sparring --help` take, against the limit of half a second."""

from __future__ import annotations

import subprocess
import sys
import time

LIMIT = 0.5  # seconds
REPETITIONS = 5
COMMANDS = {
    "import sparring": ["-c", "import sparring"],
    "sparring --help": ["-m", "sparring", "--help"],
}


def seconds(arguments: list[str]) -> float:
    """The fastest of some runs of a fresh interpreter: what is slower was disturbed from outside."""
    times = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> int:
    measured = {name: seconds(arguments) for name, arguments in COMMANDS.items()}
    for name, time_taken in measured.items():
        print(f"{name}: {time_taken:.2f} s, limit {LIMIT} s{'' if time_taken < LIMIT else ': TOO SLOW'}")
    return int(max(measured.values()) >= LIMIT)


if __name__ == "__main__":
    sys.exit(main())
