// Working without the GIL, in a way that survives the end of the interpreter.
#pragma once

#include <nanobind/nanobind.h>

namespace native {

// Gives the GIL up while it lives. A thread that asks for the GIL once the interpreter ends is killed inside
// C++, which aborts the process; so the interpreter's end waits for those that live, and refuses later ones.
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

// Arrange for the above; called once, at import.
void watch_interpreter_end();

}  // namespace native
