#include "base/abort_guard.h"

#include <cstdio>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/last_words.h"
#include "base/libllama.h"

namespace native {
namespace {

constexpr std::string_view assertion = "GGML_ASSERT(";
constexpr std::string_view failed_suffix = ") failed";

// "/where/it/was/built/file.cpp:7: GGML_ASSERT(a > b) failed" as "it needs a > b (file.cpp:7)".
std::string readable(std::string_view message) {
    const size_t end_of_place = message.find(": ");
    if (end_of_place == std::string_view::npos) return std::string(message);
    const std::string_view path = message.substr(0, end_of_place);
    const std::string_view place = path.substr(path.rfind('/') + 1);
    std::string_view what = message.substr(end_of_place + 2);
    while (what.ends_with('\n')) what.remove_suffix(1);
    if (!what.starts_with(assertion) || !what.ends_with(failed_suffix))
        return text("it gives up: ", what, " (", place, ")");
    what = what.substr(assertion.size(), what.size() - assertion.size() - failed_suffix.size());
    return text("it needs ", what, " (", place, ")");
}

thread_local int depth = 0;
ggml_abort_callback_t previous = nullptr;

void on_abort(const char* message) {
    note_last_words(Weight::assertion, printable(readable(message)));
    if (depth > 0) failed("ggml: ", readable(message));
    if (previous) return previous(message);
    std::fprintf(stderr, "%s\n", printable(message).c_str());
}

}  // namespace

AbortGuard::AbortGuard() { ++depth; }

AbortGuard::~AbortGuard() { --depth; }

void install_abort_guard() { previous = ggml_set_abort_callback(&on_abort); }

}  // namespace native
