// A small quantised matrix product on the CPU, checked against f32.
#pragma once

namespace native {

// Throws std::runtime_error on a wrong result. A miscompiled ggml may instead kill the process.
void self_test(bool use_extra_bufts);

}  // namespace native
