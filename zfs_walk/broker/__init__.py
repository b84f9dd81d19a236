"""The broker: who is alive, who holds which work, and the books of it.

`core` decides who works, `journal` whether the books balance, `loop` moves frames; the core imports
no socket, file, process or clock.
"""
