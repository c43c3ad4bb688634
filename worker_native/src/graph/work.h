// An estimate of the work in a graph, and of how many threads are worth having for it.
#pragma once

#include <string_view>

#include "base/libllama.h"

namespace native {

// About how long one thread takes for one operation, in nanoseconds: right within a factor of a few.
double work_ns(std::string_view primitive, const ggml_tensor* t);

// One thread where waiting for the others at each of `num_nodes` operations would cost about what they save,
// else `limit`. On a busy machine a wait takes until the scheduler comes round to the other threads.
int useful_threads(double work_ns, int num_nodes, int limit);

}  // namespace native
