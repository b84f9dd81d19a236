"""Create empty files at a given rate: python bench/creates.py FOLDER FOLDERS FILES RATE.

The folders FOLDER/0, FOLDER/1, ... are there; the files are dealt over them. Prints the rate that
was reached.
"""

import os
import sys
import time

BATCH = 50
"""Files between two looks at the clock."""


def main() -> None:
    """Create and print."""
    root, (folders, files, rate) = sys.argv[1], map(int, sys.argv[2:])
    handles = [os.open(f"{root}/{number}", os.O_RDONLY) for number in range(folders)]
    begun = time.perf_counter()
    for number in range(files):
        if number % BATCH == 0:
            ahead = begun + number / rate - time.perf_counter()
            if ahead > 0:
                time.sleep(ahead)
        handle = handles[number % folders]
        os.close(os.open(f"f{number}", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=handle))
    print(files / (time.perf_counter() - begun))


if __name__ == "__main__":
    main()
