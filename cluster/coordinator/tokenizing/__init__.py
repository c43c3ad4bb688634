"""Tokenising: libllama's tokenizer in a process of its own, which a hostile text may end, and its fair use.

vocabulary_child  the process: loads the vocabulary, and forks a worker for each lane, again when that died
worker            tokenises one text after the other
lane              the connection to one worker
packed            a text in the memory of a lane
process           starts and ends the process; what it said about the vocabulary
token_table       the vocabulary as the coordinator holds it: the bytes of each token
turns             whose text is next
tokenizer         what the coordinator asks
"""
