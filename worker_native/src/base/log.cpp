#include "base/log.h"

#include <llama.h>

#include <mutex>
#include <utility>

#include "base/last_words.h"
#include "base/printable.h"
#include "base/process.h"

namespace native {
namespace {

Lock sink_mutex;
std::shared_ptr<LogSink> current_sink;
thread_local LoggedErrors* current_errors = nullptr;

struct PendingLine {
    int level = GGML_LOG_LEVEL_INFO;
    std::string text;
};
thread_local PendingLine pending;

std::shared_ptr<LogSink> sink_now() {
    const std::lock_guard lock(sink_mutex);
    return current_sink;
}

// "function: error loading model: reason" without the function's name, which tells a user nothing.
std::string without_function(const std::string& line) {
    const size_t colon = line.find(": ");
    const bool is_name = colon != std::string::npos && line.find(' ') > colon;
    return is_name ? line.substr(colon + 2) : line;
}

void finish_line() {
    PendingLine line = std::exchange(pending, {pending.level, {}});  // a piece may continue a finished line
    while (!line.text.empty() && line.text.back() == '\n') line.text.pop_back();
    if (line.text.empty()) return;
    line.text = printable(line.text);  // names and texts of a file are among it
    note_last_words(line.level == GGML_LOG_LEVEL_ERROR ? Weight::error : Weight::line, line.text);
    if (current_errors && line.level == GGML_LOG_LEVEL_ERROR)
        current_errors->add(without_function(line.text));
    if (const auto sink = sink_now()) (*sink)(line.level, line.text);
}

// Lines come in pieces: a piece at level CONT continues the one before.
void on_log(ggml_log_level level, const char* text, void*) noexcept {
    try {
        if (level != GGML_LOG_LEVEL_CONT)
            pending.level = level == GGML_LOG_LEVEL_NONE ? GGML_LOG_LEVEL_INFO : level;
        pending.text += text;
        if (!pending.text.empty() && pending.text.back() == '\n') finish_line();
    } catch (...) {
        pending.text.clear();  // a lost log line must not take the computation with it
    }
}

}  // namespace

void install_log() {
    ggml_log_callback callback = nullptr;
    void* user_data = nullptr;
    llama_log_get(&callback, &user_data);
    if (callback != on_log) llama_log_set(on_log, nullptr);
}

void set_log_sink(std::shared_ptr<LogSink> sink) {
    const std::lock_guard lock(sink_mutex);
    current_sink.swap(sink);
}

LoggedErrors::LoggedErrors() : outer_(current_errors) {
    install_log();
    current_errors = this;
}

LoggedErrors::~LoggedErrors() { current_errors = outer_; }

std::string LoggedErrors::first(const std::string& otherwise) const {
    return lines_.empty() ? otherwise : lines_.front();
}

}  // namespace native
