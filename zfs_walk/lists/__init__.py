"""Lists of files: the sorted list of one folder, and a copy of all of them that follows the bus."""
