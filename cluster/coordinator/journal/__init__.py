"""The journal: open requests for text and all that was told of them, on disk before anybody is told.

journal   what the coordinator tells it; the thread that writes
ledger    the file as it is written, and which requests are open in it
copy      what is still open, moved to a new file while the old one goes on
reading   what an earlier coordinator left
file      bytes behind bytes, on disk
frames    records in a file, each known to be whole
records   what a record says
columns   many tokens in one record
limits    how much of everything
asked, kept   what goes in, and what comes back
"""
