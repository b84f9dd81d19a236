"""The uploader agent: mirrors folders, with a broker or without one.

`core` holds the session, `telling` says how the mirrors are, `loop` is the shell with the mirrors.
"""
