"""`cluster bench`: a cluster of its own measured, and llama.cpp on the same machine beside it.

settings   what was asked for            synthetic, blocks  a model of random weights
subject    the cluster that is measured  workload, measure  a row of the table, and one run of it
steps      busy, bubble, hop, overhead   serve              latency under load, as clients see it
peers/     llama.cpp in child processes  suite              all of it in turn
report, document, plot, machine          what is printed and written
"""
