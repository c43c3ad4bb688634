#include "gil.h"

#include <atomic>
#include <chrono>
#include <thread>

#include "log.h"

namespace native {
namespace {

std::atomic<bool> ending = false;
std::atomic<int> num_outside = 0;

// Runs at exit with the GIL held, before the interpreter takes itself apart.
void finish() {
    ending = true;
    set_log_sink(nullptr);
    PyThreadState* state = PyEval_SaveThread();
    while (num_outside > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    PyEval_RestoreThread(state);
}

}  // namespace

WithoutGil::WithoutGil() : state_(nullptr) {
    if (ending) return;
    ++num_outside;
    state_ = PyEval_SaveThread();
}

WithoutGil::~WithoutGil() {
    if (!state_) return;
    PyEval_RestoreThread(state_);
    --num_outside;
}

bool is_ending() { return ending; }

void watch_interpreter_end() {
    nanobind::module_::import_("atexit").attr("register")(nanobind::cpp_function(&finish));
}

}  // namespace native
