// Rows to one value each, and columns to one value each. Floats are added in vectors, a block at a time, and
// the blocks in float64: the error stays that of a few roundings, however long the row is.
#include "kernels/reduce.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace native {
namespace {

#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

constexpr int64_t block_size = 512;  // elements that are combined in vectors before they meet the others
constexpr int num_chains = 8;        // vectors in flight

// Elements in a vector that every CPU of this architecture has.
template <class T>
struct Lanes {
    static constexpr int count = 16 / sizeof(T), group = count * num_chains;
    typedef T Vector __attribute__((vector_size(16)));

    static Vector load(const T* x) {
        Vector v;
        std::memcpy(&v, x, sizeof v);
        return v;
    }
};

// Combines `n` elements, a multiple of Lanes<T>::group, with step(accumulated, elements) for vectors.
template <class T, class Step>
[[gnu::always_inline]] inline typename Lanes<T>::Vector fold(const T* x, int64_t n, T start, Step step) {
    using L = Lanes<T>;
    typename L::Vector chains[num_chains];
    UNROLL
    for (int c = 0; c < num_chains; ++c) chains[c] = typename L::Vector{} + start;
    for (int64_t i = 0; i < n; i += L::group) {
        UNROLL
        for (int c = 0; c < num_chains; ++c) chains[c] = step(chains[c], L::load(x + i + c * L::count));
    }
    UNROLL
    for (int width = num_chains / 2; width > 0; width /= 2) {
        UNROLL
        for (int c = 0; c < width; ++c) chains[c] = step(chains[c], chains[c + width]);
    }
    return chains[0];
}

// The sum of f(x) over a row; f takes vectors and single elements.
template <class F>
[[gnu::always_inline]] inline double sum_of(const float* row, int64_t n, F f) {
    using L = Lanes<float>;
    double total = 0;
    int64_t i = 0;
    while (n - i >= L::group) {
        const int64_t end = i + std::min(block_size, (n - i) / L::group * L::group);
        L::Vector chains[num_chains] = {};
        for (; i < end; i += L::group) {
            UNROLL
            for (int c = 0; c < num_chains; ++c) chains[c] += f(L::load(row + i + c * L::count));
        }
        UNROLL
        for (int width = num_chains / 2; width > 0; width /= 2) {
            UNROLL
            for (int c = 0; c < width; ++c) chains[c] += chains[c + width];
        }
        for (int lane = 0; lane < L::count; ++lane) total += chains[0][lane];
    }
    for (; i < n; ++i) total += f(row[i]);
    return total;
}

template <class T>
Result<T> sum(const T* row, int64_t n) {
    if constexpr (std::is_same_v<T, float>)
        return static_cast<float>(sum_of(row, n, [](auto x) { return x; }));
    uint64_t total = 0;
    for (int64_t i = 0; i < n; ++i) total += static_cast<uint64_t>(row[i]);
    return static_cast<Result<T>>(total);
}

float mean(const float* row, int64_t n) {
    return static_cast<float>(sum_of(row, n, [](auto x) { return x; }) / static_cast<double>(n));
}

// Independent chains hide the time of one multiplication. Float64: a product of floats soon leaves float32.
template <class T>
Result<T> product(const T* row, int64_t n) {
    Wide<T> chains[num_chains];
    std::fill_n(chains, num_chains, Wide<T>(1));
    int64_t i = 0;
    for (; i + num_chains <= n; i += num_chains) {
        UNROLL
        for (int c = 0; c < num_chains; ++c) chains[c] *= static_cast<Wide<T>>(row[i + c]);
    }
    for (; i < n; ++i) chains[0] *= static_cast<Wide<T>>(row[i]);
    return static_cast<Result<T>>(
        std::accumulate(chains, chains + num_chains, Wide<T>(1), std::multiplies<>()));
}

// The better of two, the first of equals; a NaN is better than any number. For vectors and single elements.
template <bool wants_largest, class V>
[[gnu::always_inline]] inline V better(V first, V second) {
    if constexpr (wants_largest) return (first >= second) | (first != first) ? first : second;
    return (first <= second) | (first != first) ? first : second;
}

// The best of a part of a row, which is not empty.
template <class T, bool wants_largest>
T best_of(const T* x, int64_t n) {
    using L = Lanes<T>;
    const int64_t whole = n / L::group * L::group;
    T best = x[0];
    if (whole > 0) {
        const auto lanes = fold(x, whole, best, [](auto a, auto b) { return better<wants_largest>(a, b); });
        for (int lane = 0; lane < L::count; ++lane) best = better<wants_largest, T>(best, lanes[lane]);
    }
    for (int64_t i = whole; i < n; ++i) best = better<wants_largest, T>(best, x[i]);
    return best;
}

template <class T, bool wants_largest>
T best_value(const T* row, int64_t n) {
    return best_of<T, wants_largest>(row, n);
}

// The first of the best elements: found in the first block that holds it.
template <class T, bool wants_largest>
int64_t best_place(const T* row, int64_t n) {
    int64_t block = 0;
    T best = best_of<T, wants_largest>(row, std::min(n, block_size));
    for (int64_t i = block_size; i < n && !is_nan(best); i += block_size) {
        const T here = best_of<T, wants_largest>(row + i, std::min(n - i, block_size));
        if (is_nan(here) || (wants_largest ? here > best : here < best)) best = here, block = i;
    }
    const auto is_it = [best](T x) { return is_nan(best) ? is_nan(x) : x == best; };
    return std::find_if(row + block, row + n, is_it) - row;
}

// Whether some element is zero, or (not) some is not: a block at a time, so that it can end early.
template <bool wants_zero>
bool has(const float* row, int64_t n) {
    for (int64_t i = 0; i < n; i += block_size) {
        const float* block = row + i;
        const int64_t size = std::min(n - i, block_size);
        int32_t found = 0;
        for (int64_t at = 0; at < size; ++at) found |= (block[at] == 0) == wants_zero;
        if (found) return true;
    }
    return false;
}
float any(const float* row, int64_t n) { return has<false>(row, n); }
float all(const float* row, int64_t n) { return !has<true>(row, n); }

// The last place of the most frequent element, of the smallest one where several are.
template <class T>
int64_t most_frequent(const T* row, int64_t n) {
    std::vector<int64_t> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), int64_t(0));
    std::stable_sort(order.begin(), order.end(),
                     [row](int64_t i, int64_t j) { return comes_before(row[i], row[j]); });
    size_t best_end = 0, best_count = 0, begin = 0;
    for (size_t i = 0; i < order.size(); ++i) {
        const T x = row[order[i]], first = row[order[begin]];
        if (!(x == first)) begin = i;
        if (i - begin + 1 > best_count) {
            best_count = i - begin + 1;
            best_end = i;
        }
    }
    return order[best_end];
}

template <class T, class R, auto f>
void reduce(ggml_tensor* dst, int ith, int nth, void*) {
    each_row<T, R>(dst, ith, nth, [](const T* row, int64_t n, R* out) { *out = f(row, n); });
}

// Columns: [inner, n, outer] to [inner, 1, outer], in stripes that are read row by row.

constexpr int64_t max_stripe = 256;
constexpr int64_t rows_of_block = 16;  // that are added in float32 before they meet the others

// Calls run(first_element, width, result) for the worker's stripes.
template <class Run>
void each_stripe(ggml_tensor* dst, int ith, int nth, Run run) {
    const ggml_tensor* src = dst->src[0];
    const int64_t inner = src->ne[0], n = src->ne[1], outer = src->ne[2];
    const int64_t share = (inner + nth - 1) / nth;  // so that all have work where there is one outer part
    const int64_t width =
        outer >= nth ? max_stripe : std::clamp<int64_t>((share + 15) / 16 * 16, 16, max_stripe);
    const int64_t stripes = (inner + width - 1) / width;
    const Range tasks(outer * stripes, ith, nth);
    for (int64_t task = tasks.begin; task < tasks.end; ++task) {
        const int64_t part = task / stripes, column = task % stripes * width;
        run(static_cast<const float*>(src->data) + part * n * inner + column, std::min(width, inner - column),
            static_cast<float*>(dst->data) + part * inner + column);
    }
}

template <bool is_mean>
void sum_columns(ggml_tensor* dst, int ith, int nth, void*) {
    const int64_t inner = dst->src[0]->ne[0], n = dst->src[0]->ne[1];
    each_stripe(dst, ith, nth, [&](const float* first, int64_t width, float* out) {
        double totals[max_stripe] = {};
        for (int64_t begin = 0; begin < n; begin += rows_of_block) {
            float block[max_stripe] = {};
            for (int64_t row = begin; row < std::min(n, begin + rows_of_block); ++row)
                for (int64_t i = 0; i < width; ++i) block[i] += first[row * inner + i];
            for (int64_t i = 0; i < width; ++i) totals[i] += block[i];
        }
        const double divisor = is_mean ? static_cast<double>(n) : 1.0;
        for (int64_t i = 0; i < width; ++i) out[i] = static_cast<float>(totals[i] / divisor);
    });
}

template <bool wants_largest>
void best_columns(ggml_tensor* dst, int ith, int nth, void*) {
    const int64_t inner = dst->src[0]->ne[0], n = dst->src[0]->ne[1];
    each_stripe(dst, ith, nth, [&](const float* first, int64_t width, float* out) {
        float best[max_stripe];
        std::copy_n(first, width, best);
        for (int64_t row = 1; row < n; ++row)
            for (int64_t i = 0; i < width; ++i)
                best[i] = better<wants_largest, float>(best[i], first[row * inner + i]);
        std::copy_n(best, width, out);
    });
}

#define REDUCE(name, T, R, function) \
    KernelEntry { name, 1, type_for<T>, type_for<R>, reduce<T, R, function> }
#define REDUCTIONS(T)                                                                                   \
    REDUCE("max", T, T, (best_value<T, true>)), REDUCE("min", T, T, (best_value<T, false>)),            \
        REDUCE("argmax", T, int64_t, (best_place<T, true>)),                                            \
        REDUCE("argmin", T, int64_t, (best_place<T, false>)), REDUCE("prod", T, Result<T>, product<T>), \
        REDUCE("sum", T, Result<T>, sum<T>), REDUCE("mode", T, int64_t, most_frequent<T>)

const KernelEntry reductions[] = {
    REDUCTIONS(float),
    REDUCTIONS(int32_t),
    REDUCTIONS(int64_t),
    REDUCE("mean", float, float, mean),
    REDUCE("any", float, float, any),
    REDUCE("all", float, float, all),
};

const KernelEntry columns[] = {
    {"sum", 1, GGML_TYPE_F32, GGML_TYPE_F32, sum_columns<false>},
    {"mean", 1, GGML_TYPE_F32, GGML_TYPE_F32, sum_columns<true>},
    {"max", 1, GGML_TYPE_F32, GGML_TYPE_F32, best_columns<true>},
    {"min", 1, GGML_TYPE_F32, GGML_TYPE_F32, best_columns<false>},
};

}  // namespace

std::span<const KernelEntry> reduce_kernels() { return reductions; }
std::span<const KernelEntry> column_kernels() { return columns; }

}  // namespace native
