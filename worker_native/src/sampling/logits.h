// Passes over one row of logits. Written in lanes, so that a compiler turns the inner loops into vectors.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace native {

// The largest value of each block of a row, by which most of the row need not be looked at again.
struct BlockMaxima {
    static constexpr int32_t width = 64;

    std::vector<float> of_block;
    float largest = 0;
    bool has_nan = false;

    // Also counts NaN; `largest` is meaningless if there is one.
    void scan(std::span<const float> row);
};

// Which tokens may be drawn: bit token % 32 of word token / 32.
using TokenMask = std::span<const uint32_t>;

inline size_t num_mask_words(size_t num_tokens) { return (num_tokens + 31) / 32; }

// `allowed` gets what `mask` lets through of `row`, and -inf for the rest; it may be the row itself. `maxima`
// become those of `allowed`. `row_maxima`, where they are known, save a look at what is allowed as a whole:
// the row must have no NaN then.
void apply_mask(std::span<const float> row, const BlockMaxima* row_maxima, TokenMask mask,
                std::span<float> allowed, BlockMaxima& maxima);

// The first one of equals. `maxima` are the row's.
int32_t first_largest(std::span<const float> row, const BlockMaxima& maxima);

// The `count` largest (or all, if there are fewer), best first; of equals, the smaller token is the better.
// Sets `tokens`. `maxima` are the row's. What is -inf is none of them: its probability is 0.
void largest_of(std::span<const float> row, const BlockMaxima& maxima, int64_t count,
                std::vector<int32_t>& tokens);

// log(sum(exp(row - largest))), within 1e-6 of the exact value. No value of `row` is NaN or above `largest`.
double log_sum_exp(std::span<const float> row, float largest);

}  // namespace native
