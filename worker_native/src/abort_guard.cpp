#include "abort_guard.h"

#include <cstdio>

#include "check.h"
#include "libllama.h"

namespace native {
namespace {

thread_local int depth = 0;
ggml_abort_callback_t previous = nullptr;

void on_abort(const char* message) {
    if (depth > 0) failed("ggml: ", message);
    if (previous) return previous(message);
    std::fprintf(stderr, "%s\n", message);
}

}  // namespace

AbortGuard::AbortGuard() { ++depth; }

AbortGuard::~AbortGuard() { --depth; }

void install_abort_guard() { previous = ggml_set_abort_callback(&on_abort); }

}  // namespace native
