"""Runs pytest four tests at a time, and what fails once more, alone: tests/run.py ARGUMENTS.

Two cores that four tests with dozens of processes share are at times too slow for a deadline. What
fails then and passes alone is no fault of the code; both runs are in the log. Whatever else goes
wrong (a test that can't be collected, an error of pytest's own) ends this at once. Files are begun
in the order that tests/conftest.py gives them.
"""

import subprocess
import sys

ALONE = "##### again, alone"
""".ci/run looks for this."""


def run(*arguments: str) -> int:
    """Pytest's exit code."""
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], check=False).returncode


def main() -> int:
    """Run the tests."""
    arguments = sys.argv[1:]
    # First, so that arguments may say otherwise.
    code = run("-n", "4", "--dist", "loadfile", "--no-loadscope-reorder", *arguments)
    if code != 1:
        return code
    sys.stdout.write(f"{ALONE}\n")
    sys.stdout.flush()
    return run(*arguments, "--last-failed", "--last-failed-no-failures", "none")


if __name__ == "__main__":
    sys.exit(main())
