// The memory that a slice would take, from its header alone: libllama plans its buffers and allocates none.
#pragma once

#include <cstdint>

#include "slice/load.h"

namespace native {

// The same figures as those of a loaded Slice.
struct Needs {
    uint64_t weight_bytes = 0;
    uint64_t kv_bytes = 0;
    uint64_t compute_bytes = 0;
    int32_t vocab_size = 0;  // the file's: rows of logits are as wide, whether they are computed or not
};

// Reads no weights: the file needs a sound header and its full length, and may be a hole behind the header.
Needs measure(SliceOptions options);

}  // namespace native
