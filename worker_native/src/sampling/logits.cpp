#include "sampling/logits.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <iterator>
#include <limits>
#include <numeric>

namespace native {
namespace {

constexpr float impossible = -std::numeric_limits<float>::infinity();  // a token of probability 0

constexpr int32_t kLanes = 16;
static_assert(BlockMaxima::width % kLanes == 0);

// exp(x) for x <= 0 with a relative error below 3e-7: x = n log 2 + r with |r| <= log(2) / 2, and the Taylor
// series of exp(r), whose first omitted term is below 6e-9. Below -87 it stays at exp(-87).
inline float exp_not_above_one(float x) {
    constexpr float log2_of_e = 1.44269504F;
    constexpr float log_2_high = 0.693359375F;  // few bits: its multiples are exact
    constexpr float log_2_low = -2.12194440e-4F;
    constexpr float round_by_adding = 12582912.0F;  // 1.5 * 2^23: adding it leaves no bits after the point
    x = x > -87.0F ? x : -87.0F;
    const float n = (x * log2_of_e + round_by_adding) - round_by_adding;
    const float r = (x - n * log_2_high) - n * log_2_low;
    float series = 1.0F / 5040;
    series = series * r + 1.0F / 720;
    series = series * r + 1.0F / 120;
    series = series * r + 1.0F / 24;
    series = series * r + 1.0F / 6;
    series = series * r + 0.5F;
    series = series * r + 1;
    series = series * r + 1;
    return series * std::bit_cast<float>((static_cast<int32_t>(n) + 127) << 23);
}

struct Extremes {
    float largest = impossible;
    bool has_nan = false;
};

Extremes extremes_of(std::span<const float> values) {
    float largest[kLanes];
    int32_t num_nan[kLanes] = {};
    std::fill_n(largest, kLanes, impossible);
    size_t i = 0;
    for (; i + kLanes <= values.size(); i += kLanes)
        for (int32_t lane = 0; lane < kLanes; ++lane) {
            const float value = values[i + lane];
            largest[lane] = value > largest[lane] ? value : largest[lane];
            num_nan[lane] |= value != value;
        }
    for (; i < values.size(); ++i) {
        largest[0] = values[i] > largest[0] ? values[i] : largest[0];
        num_nan[0] |= values[i] != values[i];
    }
    Extremes result;
    for (int32_t lane = 0; lane < kLanes; ++lane) {
        result.largest = std::max(result.largest, largest[lane]);
        result.has_nan |= num_nan[lane] != 0;
    }
    return result;
}

// For four bits: all bits of a lane where its bit is set.
constexpr auto kLanesOfBits = [] {
    std::array<std::array<uint32_t, 4>, 16> lanes{};
    for (uint32_t bits = 0; bits < 16; ++bits)
        for (uint32_t lane = 0; lane < 4; ++lane) lanes[bits][lane] = (bits >> lane) & 1 ? UINT32_MAX : 0;
    return lanes;
}();

inline float masked(float value, uint32_t lane) {
    return std::bit_cast<float>((std::bit_cast<uint32_t>(value) & lane) |
                                (std::bit_cast<uint32_t>(impossible) & ~lane));
}

// The first 32 values, or fewer, where `from` has fewer: those whose bit of `word` is set, -inf for the rest.
void select(std::span<const float> from, uint32_t word, std::span<float> to) {
    size_t i = 0;
    for (; i + 4 <= std::min<size_t>(from.size(), 32); i += 4) {
        const auto& lanes = kLanesOfBits[(word >> i) & 15];
        for (size_t lane = 0; lane < 4; ++lane) to[i + lane] = masked(from[i + lane], lanes[lane]);
    }
    for (; i < std::min<size_t>(from.size(), 32); ++i)
        to[i] = masked(from[i], kLanesOfBits[(word >> i) & 1][0]);
}

std::span<const float> block_of(std::span<const float> row, size_t block) {
    const size_t first = block * BlockMaxima::width;
    return row.subspan(first, std::min<size_t>(BlockMaxima::width, row.size() - first));
}

}  // namespace

void BlockMaxima::scan(std::span<const float> row) {
    of_block.clear();
    largest = impossible;
    has_nan = false;
    for (size_t first = 0; first < row.size(); first += width) {
        const Extremes block = extremes_of(block_of(row, first / width));
        of_block.push_back(block.largest);
        largest = std::max(largest, block.largest);
        has_nan |= block.has_nan;
    }
}

void apply_mask(std::span<const float> row, const BlockMaxima* row_maxima, TokenMask mask,
                std::span<float> allowed, BlockMaxima& maxima) {
    maxima.of_block.clear();
    maxima.largest = impossible;
    maxima.has_nan = false;
    for (size_t first = 0; first < row.size(); first += BlockMaxima::width) {
        const auto from = block_of(row, first / BlockMaxima::width);
        const auto to = allowed.subspan(first, from.size());
        const auto words = mask.subspan(first / 32, num_mask_words(from.size()));
        Extremes block;
        if (std::ranges::all_of(words, [](uint32_t word) { return word == 0; })) {
            std::ranges::fill(to, impossible);
        } else if (row_maxima &&
                   std::ranges::all_of(words, [](uint32_t word) { return word == UINT32_MAX; })) {
            if (to.data() != from.data()) std::ranges::copy(from, to.begin());
            block.largest = row_maxima->of_block[first / BlockMaxima::width];
        } else {
            for (size_t word = 0; word < words.size(); ++word)
                select(from.subspan(32 * word), words[word], to.subspan(32 * word));
            block = extremes_of(to);
        }
        maxima.of_block.push_back(block.largest);
        maxima.largest = std::max(maxima.largest, block.largest);
        maxima.has_nan |= block.has_nan;
    }
}

int32_t first_largest(std::span<const float> row, const BlockMaxima& maxima) {
    const auto& blocks = maxima.of_block;
    const size_t block = std::find(blocks.begin(), blocks.end(), maxima.largest) - blocks.begin();
    const auto values = block_of(row, block);
    const auto found = std::find(values.begin(), values.end(), maxima.largest) - values.begin();
    return static_cast<int32_t>(block * BlockMaxima::width + found);
}

void largest_of(std::span<const float> row, const BlockMaxima& maxima, int64_t count,
                std::vector<int32_t>& tokens) {
    tokens.clear();
    count = std::min<int64_t>(count, std::ssize(row));
    if (count <= 0) return;
    // At least `count` values reach the count-th largest of the blocks' maxima.
    float bound = impossible;
    if (count <= std::ssize(maxima.of_block)) {
        std::vector<float> blocks = maxima.of_block;
        std::nth_element(blocks.begin(), blocks.begin() + (count - 1), blocks.end(), std::greater<>());
        bound = blocks[count - 1];
    }
    for (size_t block = 0; block < maxima.of_block.size(); ++block) {
        if (maxima.of_block[block] < bound || maxima.of_block[block] == impossible) continue;
        const auto values = block_of(row, block);
        for (size_t i = 0; i < values.size(); ++i)
            if (values[i] >= bound && values[i] != impossible)
                tokens.push_back(static_cast<int32_t>(block * BlockMaxima::width + i));
    }
    count = std::min(count, std::ssize(tokens));
    const auto better = [row](int32_t a, int32_t b) { return row[a] != row[b] ? row[a] > row[b] : a < b; };
    std::partial_sort(tokens.begin(), tokens.begin() + count, tokens.end(), better);
    tokens.resize(count);
}

double log_sum_exp(std::span<const float> row, float largest) {
    // As many sums as a block has values: a shorter inner loop would be unrolled before it can be vectorised.
    double sums[BlockMaxima::width] = {};
    size_t i = 0;
    for (; i + BlockMaxima::width <= row.size(); i += BlockMaxima::width)
        for (int32_t lane = 0; lane < BlockMaxima::width; ++lane)
            sums[lane] += exp_not_above_one(row[i + lane] - largest);
    for (; i < row.size(); ++i) sums[0] += exp_not_above_one(row[i] - largest);
    return std::log(std::accumulate(std::begin(sums), std::end(sums), 0.0));
}

}  // namespace native
