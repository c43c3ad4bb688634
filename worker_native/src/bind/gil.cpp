#include "bind/gil.h"

#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "base/log.h"
#include "base/process.h"
#include "device/compute.h"

namespace native {
namespace {

std::atomic<bool> ending = false;
std::atomic<int> num_outside = 0;

constexpr int64_t look_every_ns = 100'000'000;

// Good to a few milliseconds, and a few nanoseconds cheap: it is read before every operation of a graph.
int64_t coarse_now_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return int64_t(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

bool is_main_thread() {
    const auto threading = nanobind::module_::import_("threading");
    return threading.attr("current_thread")().is(threading.attr("main_thread")());
}

// The threads that were outside in the other process do not come back here.
void forget_outside() { num_outside = 0; }

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
    if (ending) {  // only daemon threads are left: as Python's own, they go no further
        --num_outside;
        for (;;) pause();
    }
    PyEval_RestoreThread(state_);
    --num_outside;
}

bool SignalWatch::operator()() noexcept {
    if (is_ending() && !was_ending_) return true;
    if (!is_heard_here_) return false;
    const int64_t now_ns = coarse_now_ns();
    if (next_look_ns_ == 0) next_look_ns_ = now_ns + look_every_ns;
    if (now_ns < next_look_ns_) return false;
    next_look_ns_ = now_ns + look_every_ns;
    const nanobind::gil_scoped_acquire gil;
    try {
        const Observing
            here;  // a handler, which any line of Python may call, must not wait for this thread's locks
        is_heard_here_ = is_main_thread();
        if (!is_heard_here_) return false;
        if (PyErr_CheckSignals() != 0) throw nanobind::python_error();
    } catch (...) {
        error_ = std::current_exception();
    }
    return error_ != nullptr;
}

bool is_ending() { return ending; }

void watch_interpreter_end() {
    watch_forks(&forget_outside);
    nanobind::module_::import_("atexit").attr("register")(nanobind::cpp_function(&finish));
}

}  // namespace native
