"""Compiling a grammar where it may take for ever: in a process that is ended then.

question     what that process is asked, and what it answers
compiling    what it does
child        the process
checker      whoever asks it
"""
