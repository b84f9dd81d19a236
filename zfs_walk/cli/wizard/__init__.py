"""The wizards of ``zfs-ctl config wizard``: they ask, try, and write a file."""
