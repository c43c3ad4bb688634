# Included by CMake after llama.cpp's own project(), on behalf of build_llama.py.
# llama-cpp-python forces the library of the command line tools (chat parsers, HTTP, templates) on. Nothing of ours or
# of its Python part uses it, and it is half of the time to compile.
set(LLAMA_BUILD_COMMON OFF CACHE BOOL "Build llama.cpp common library" FORCE)
