// Rows of floats to blocks of ggml's quantised types and back, by ggml's own functions.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/libllama.h"
#include "quantize/row_work.h"

namespace native {

// The types that rows of floats can be written as: what ggml can read back, float16 and bfloat16 included.
bool is_row_type(ggml_type type);

struct QuantizeJob {
    ggml_type type;
    const float* source;  // num_rows rows of row_width elements
    int64_t num_rows;
    int64_t row_width;
    const float*
        importance;  // null, or num_matrices rows of row_width weights, each for as many rows in turn
    int64_t num_matrices;
    uint8_t* target;
    size_t target_bytes;
};

// Throws std::invalid_argument for what ggml would assert, write garbage for, or could not read back:
// extents that do not fit, a type that needs importance, elements that are not finite or out of range.
// False if `done` stopped it.
bool quantize_rows(const QuantizeJob& job, int num_threads, const RowsDone& done);

// The elements of `num_bytes` bytes of blocks; the target has room for `num_elements`. Throws
// std::invalid_argument for blocks whose scales are not finite. False if `done` stopped it.
bool dequantize_rows(ggml_type type, const uint8_t* source, size_t num_bytes, float* target,
                     int64_t num_elements, int num_threads, const RowsDone& done);

// Throws std::invalid_argument unless every block has finite scales.
void check_blocks(ggml_type type, const uint8_t* data, size_t num_bytes);

}  // namespace native
