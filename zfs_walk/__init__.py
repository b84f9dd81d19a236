"""One ZeroMQ bus on which every host of a site walks, watches, ships and load-tests file systems.

zfs means ZeroMQ file system; nothing here has to do with OpenZFS.
"""

__version__ = "0.1.0"
