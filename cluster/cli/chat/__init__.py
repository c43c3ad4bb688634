"""``cluster chat``: a conversation with the model, in the terminal.

verb          the command line
conversation  what was said, and how answers are asked for
commands      what begins with a slash
reading       lines from a person, or from a pipe
answering     an answer as it comes
"""
