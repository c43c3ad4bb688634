// Turns an assertion of ggml or libllama into a C++ exception while a model is loaded or a graph is built.
// Last line of defence: every file and every step is checked before they see it.
#pragma once

namespace native {

// While it lives, an assertion that fails in the calling thread throws std::runtime_error through ggml's C
// frames (which are built with unwind tables on every platform we build for). Elsewhere, and in other
// threads, ggml aborts as it always did: an assertion in a compute thread cannot be unwound.
class AbortGuard {
  public:
    AbortGuard();
    ~AbortGuard();
    AbortGuard(const AbortGuard&) = delete;
    AbortGuard& operator=(const AbortGuard&) = delete;
};

// Put our callback in front of ggml's own; called once, at import.
void install_abort_guard();

}  // namespace native
