"""llama.cpp, from the installed llama_cpp package, in child processes beside the measured cluster.

whole       the whole model in one process, all sequences in one batch; with endpoints, over llama.cpp's RPC
rpc_server  one llama.cpp RPC server
child       starts such a process, asks it, ends it
lineup      which peers there are
"""
