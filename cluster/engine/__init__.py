"""The pure core: requests, slots, microbatches, what to send next and the loop. Needs nothing but numpy.

No decision in here reads a clock, a socket, a thread or an actor: time is passed in, and what has to be sent
is returned. Only `loop.Engine` blocks, on its inbox.
"""
