"""`cluster bench`: a cluster of its own measured, and llama.cpp on the same machine beside it.

settings, scenarios, counts    what was asked for      synthetic, blocks  a model of random weights
subject                        the measured cluster    workload, measure  a row of the table, and one run of it
request, crowd                 clients that are timed  steps              busy, bubble, hop, overhead
serve                          latency under load      gaps, prefix       a long prompt beside streams; a shared one
chunking, http                 chunks in flight; HTTP  soak, listener     memory and step time over many requests
peers/                         llama.cpp in children   suite, findings    all of it in turn, and what was found
report, scenario_report, document, plot, machine, spread                  what is printed and written
"""
