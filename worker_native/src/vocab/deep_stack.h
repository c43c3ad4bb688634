// Calls that need more stack than a thread of Python has.
#pragma once

#include <cstdint>
#include <functional>

namespace native {

// Runs `call` on a thread of its own, whose stack has `stack_bytes` and a little more, and waits for it; what
// it throws is thrown here. Only the pages that the call touches become memory, and are given back.
// OutOfMemory if there is no room for such a stack.
void on_deep_stack(int64_t stack_bytes, const std::function<void()>& call);

}  // namespace native
