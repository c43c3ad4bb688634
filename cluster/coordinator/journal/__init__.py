"""The journal: open requests for text and all that was told of them, with the kernel before anybody is told.

journal   what the coordinator tells it, from any thread
ledger    the file as it is written, and which requests are open in it
copy      what is still open, moved to a new file while the old one goes on
reading   what an earlier coordinator left
file      bytes behind bytes
frames    records in a file, each known to be whole
records   what a record says
columns   many tokens in one record
limits    how much of everything
asked, kept   what goes in, and what comes back
"""
