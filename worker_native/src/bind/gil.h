// Working without the GIL, in a way that survives the end of the interpreter.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <exception>

namespace native {

// Gives the GIL up while it lives. A thread that asks for the GIL once the interpreter ends is killed inside
// C++, which aborts the process; so the interpreter's end waits until those that live are done, which then
// stand still, and later ones keep the GIL.
class WithoutGil {
  public:
    WithoutGil();
    ~WithoutGil();
    WithoutGil(const WithoutGil&) = delete;
    WithoutGil& operator=(const WithoutGil&) = delete;

  private:
    PyThreadState* state_;  // null if the GIL was kept
};

// True from the moment the interpreter began to end: long work should stop.
bool is_ending();

// Lets Python hear signals while its main thread computes without the GIL. Not for other threads' use.
class SignalWatch {
  public:
    // True if the run should end: a signal handler raised something, or the interpreter began to end. Cheap:
    // it looks at most every tenth of a second.
    bool operator()() noexcept;
    // Raises what the handler raised, with the GIL held.
    void rethrow() const {
        if (error_) std::rethrow_exception(error_);
    }

  private:
    const bool was_ending_ = is_ending();
    int64_t next_look_ns_ = 0;  // 0: not known yet
    bool is_heard_here_ = true;
    std::exception_ptr error_;
};

// Arrange for the above; called once, at import.
void watch_interpreter_end();

}  // namespace native
