#include "quantize/rows.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/abort_guard.h"
#include "base/check.h"

namespace native {
namespace {

constexpr int64_t chunk_elements = 32 * 512;

// Larger elements fit no scale of 16 bits, and their squares would overflow inside ggml's searches.
constexpr float largest_element = 1 << 30;
constexpr float largest_weighted = 1e13f;

// Types that are made element by element, without a search.
bool is_direct(ggml_type type) {
    return type == GGML_TYPE_MXFP4 || type == GGML_TYPE_BF16 || type == GGML_TYPE_F16;
}

// Elements beyond would be clipped in silence (the largest scale of nvfp4 is 448, its largest element 6), or
// come back as an infinity (mxfp4). For halves, the converted elements are checked instead.
float limit_of(ggml_type type) {
    if (type == GGML_TYPE_NVFP4) return 448 * 6;
    if (type == GGML_TYPE_MXFP4) return 0x1.8p127f;
    return is_direct(type) ? FLT_MAX : largest_element;
}

// The largest magnitude; infinity if an element is not finite.
float magnitude(const float* values, int64_t count) {
    uint32_t largest = 0;
    for (int64_t i = 0; i < count; ++i) {
        uint32_t bits;
        std::memcpy(&bits, values + i, sizeof bits);
        largest = std::max(largest, bits & 0x7fffffffu);
    }
    if (largest >= 0x7f800000u) return INFINITY;
    float result;
    std::memcpy(&result, &largest, sizeof result);
    return result;
}

float check_importance(const QuantizeJob& job) {
    if (!job.importance) {
        if (ggml_quantize_requires_imatrix(job.type))
            bad_value("importance: ", ggml_type_name(job.type), " cannot be made without it");
        return 0;
    }
    if (job.num_matrices < 1 || job.num_rows % job.num_matrices != 0)
        bad_value("importance: ", job.num_matrices, " rows of it for ", job.num_rows, " rows");
    const int64_t count = job.num_matrices * job.row_width;
    if (count && !(*std::min_element(job.importance, job.importance + count) >= 0))
        bad_value("importance: holds a negative number or NaN");
    const float largest = magnitude(job.importance, count);
    if (std::isinf(largest)) bad_value("importance: holds NaN or an infinity");
    return largest;
}

void check_row_type(ggml_type type) {
    if (!is_row_type(type)) bad_value("type ", int(type), ": rows cannot be written as it");
}

void check_job(const QuantizeJob& job) {
    check_row_type(job.type);
    if (job.num_rows < 0 || job.row_width < 0 || job.row_width % ggml_blck_size(job.type) != 0)
        bad_value("rows of ", job.row_width, ": ", ggml_type_name(job.type), " has blocks of ",
                  ggml_blck_size(job.type));
    const size_t wanted = ggml_row_size(job.type, job.row_width) * size_t(job.num_rows);
    if (job.target_bytes != wanted) bad_value("target: ", job.target_bytes, " bytes for ", wanted);
}

int64_t rows_per_chunk(int64_t row_width) {
    return std::max<int64_t>(1, (chunk_elements + row_width - 1) / row_width);
}

class RowQuantizer {
  public:
    RowQuantizer(const QuantizeJob& job, float largest_importance)
        : job_(job),
          largest_importance_(largest_importance),
          row_bytes_(ggml_row_size(job.type, job.row_width)) {}

    void operator()(int64_t begin, int64_t end) const {
        for (int64_t row = begin; row < end;) {
            // an importance row ends where its matrix does
            const int64_t rows_each = job_.importance ? job_.num_rows / job_.num_matrices : job_.num_rows;
            const int64_t stop = std::min(end, (row / rows_each + 1) * rows_each);
            const float* importance =
                job_.importance ? job_.importance + row / rows_each * job_.row_width : nullptr;
            quantize(row, stop - row, importance);
            row = stop;
        }
    }

  private:
    void quantize(int64_t row, int64_t count, const float* importance) const {
        const float* source = job_.source + row * job_.row_width;
        check_elements(source, row, count);
        uint8_t* target = job_.target + row * row_bytes_;
        ggml_quantize_chunk(job_.type, source, target, 0, count, job_.row_width, importance);
        if (!ggml_validate_row_data(job_.type, target, count * row_bytes_)) out_of_range(row, count);
    }

    void check_elements(const float* source, int64_t row, int64_t count) const {
        const float largest = magnitude(source, count * job_.row_width);
        if (std::isinf(largest)) bad_value("holds NaN or an infinity in rows ", row, "..", row + count - 1);
        if (largest > limit_of(job_.type)) out_of_range(row, count);
        if (!is_direct(job_.type) && largest * largest_importance_ > largest_weighted)
            bad_value("is too large for its importance in rows ", row, "..", row + count - 1,
                      "; divide the importance by a constant");
    }

    [[noreturn]] void out_of_range(int64_t row, int64_t count) const {
        bad_value("holds elements beyond the range of ", ggml_type_name(job_.type), " in rows ", row, "..",
                  row + count - 1);
    }

    const QuantizeJob& job_;
    const float largest_importance_;
    const size_t row_bytes_;
};

}  // namespace

bool is_row_type(ggml_type type) {
    if (type < 0 || type >= GGML_TYPE_COUNT || type == GGML_TYPE_F32) return false;
    const bool is_half = type == GGML_TYPE_F16 || type == GGML_TYPE_BF16;
    return ggml_blck_size(type) > 0 && ggml_get_type_traits(type)->to_float &&
           (is_half || ggml_is_quantized(type));
}

bool quantize_rows(const QuantizeJob& job, int num_threads, const RowsDone& done) {
    check_job(job);
    const float largest_importance = check_importance(job);
    if (job.num_rows == 0 || job.row_width == 0) return true;
    {
        const AbortGuard guard;
        ggml_quantize_init(job.type);
    }
    return work_on_rows(job.num_rows, rows_per_chunk(job.row_width), num_threads,
                        RowQuantizer(job, largest_importance), done);
}

bool dequantize_rows(ggml_type type, const uint8_t* source, size_t num_bytes, float* target,
                     int64_t num_elements, int num_threads, const RowsDone& done) {
    check_row_type(type);
    const int64_t block = ggml_blck_size(type);
    const size_t block_bytes = ggml_type_size(type);
    if (num_elements % block != 0 || num_bytes != size_t(num_elements / block) * block_bytes)
        bad_value(num_bytes, " bytes of ", ggml_type_name(type), " for ", num_elements, " elements");
    const auto to_float = ggml_get_type_traits(type)->to_float;
    const bool is_half = !ggml_is_quantized(type);  // any bits of a half are a number, or NaN
    const auto work = [&](int64_t begin, int64_t end) {
        if (!is_half) check_blocks(type, source + begin * block_bytes, (end - begin) * block_bytes);
        to_float(source + begin * block_bytes, target + begin * block, (end - begin) * block);
    };
    return work_on_rows(num_elements / block, std::max<int64_t>(1, 4 * chunk_elements / block), num_threads,
                        work, done);
}

void check_blocks(ggml_type type, const uint8_t* data, size_t num_bytes) {
    check_row_type(type);
    if (num_bytes % ggml_type_size(type) != 0)
        bad_value("holds ", num_bytes, " bytes, no whole number of blocks of ", ggml_type_name(type));
    if (!ggml_validate_row_data(type, data, num_bytes))
        bad_value("holds a block of ", ggml_type_name(type), " whose scale is not finite");
}

}  // namespace native
