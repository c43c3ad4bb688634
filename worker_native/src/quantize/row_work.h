// Rows shared out among threads, with a caller who may look and may stop it.
#pragma once

#include <cstdint>
#include <functional>

namespace native {

// Called in the caller's thread every few milliseconds with the rows that are done; false stops the work.
using RowsDone = std::function<bool(int64_t num_done)>;

// Works on rows [begin, end), in any thread. It may throw: the first error ends the work and is thrown
// again in the caller's thread. So does an assertion of ggml.
using RowWork = std::function<void(int64_t begin, int64_t end)>;

// Runs `work` over all rows in chunks, with at most `num_threads` threads. False if `done` stopped it.
bool work_on_rows(int64_t num_rows, int64_t rows_per_chunk, int num_threads, const RowWork& work,
                  const RowsDone& done);

}  // namespace native
