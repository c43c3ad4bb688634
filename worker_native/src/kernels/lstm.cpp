// The steps of an LSTM: one behind its product, and a whole sequence with the products of the hidden state.
#include <algorithm>
#include <bit>
#include <cstring>

#include "kernels/cpu_kinds.h"
#include "kernels/exponential.h"
#include "kernels/kernel.h"

namespace native {
namespace {

// Gates [input, forget, cell, output] and the cell become the new cell and the hidden state, in place of the
// first gate.
template <int lanes>
INLINE void gated(typename Lanes<lanes>::Vector* gate, typename Lanes<lanes>::Vector& cell) {
    for (int which : {0, 1, 3}) Sigmoid::apply<lanes>(gate[which]);
    Tanh::apply<lanes>(gate[2]);
    cell = gate[1] * cell + gate[0] * gate[2];
    gate[0] = cell;
    Tanh::apply<lanes>(gate[0]);
    gate[0] *= gate[3];
}

// One row: gates is the input's part and own the state's.
template <int lanes>
INLINE void lstm_row(const float* gates, const float* own, const float* cell, int64_t n, float* hidden_out,
                     float* cell_out) {
    for (int64_t i = 0; i < n; i += lanes) {
        typename Lanes<lanes>::Vector part[4], other, c;
        for (int gate = 0; gate < 4; ++gate) {
            load<lanes>(part[gate], gates + gate * n + i, n - i, 0);
            load<lanes>(other, own + gate * n + i, n - i, 0);
            part[gate] += other;
        }
        load<lanes>(c, cell + i, n - i, 0);
        gated<lanes>(part, c);
        store<lanes>(cell_out + i, n - i, c);
        store<lanes>(hidden_out + i, n - i, part[0]);
    }
}

// The arrays that the steps of a sequence read and write, at the first of some neighbouring rows.
struct Rows {
    const float* gates;    // [rows, 4 n]
    const float* weights;  // [n, 4 n], transposed
    const float* hidden;   // [rows, n]
    float* cell;           // [rows, n]
    float* out;            // [rows, n]
    int64_t n;
};

// Loops over what lies in registers must leave no loop.
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 4")
#endif

// A step of `count` neighbouring elements of `rows` rows: their gates stay in registers.
template <int lanes, int rows>
INLINE void step_part(const Rows& at, int64_t j, int64_t count) {
    using Vector = typename Lanes<lanes>::Vector;
    const int64_t n = at.n;
    Vector gate[rows][4];
    UNROLL
    for (int row = 0; row < rows; ++row) UNROLL
    for (int g = 0; g < 4; ++g) load<lanes>(gate[row][g], at.gates + (4 * row + g) * n + j, count, 0);
    for (int64_t k = 0; k < n; ++k) {
        const float* weights = at.weights + 4 * k * n + j;
        Vector w[4];
        UNROLL
        for (int g = 0; g < 4; ++g) load<lanes>(w[g], weights + g * n, count, 0);
        UNROLL
        for (int row = 0; row < rows; ++row) {
            const float h = at.hidden[row * n + k];
            UNROLL
            for (int g = 0; g < 4; ++g) gate[row][g] += w[g] * h;
        }
    }
    UNROLL
    for (int row = 0; row < rows; ++row) {
        Vector cell;
        load<lanes>(cell, at.cell + row * n + j, count, 0);
        gated<lanes>(gate[row], cell);
        store<lanes>(at.cell + row * n + j, count, cell);
        store<lanes>(at.out + row * n + j, count, gate[row][0]);
    }
}

template <int lanes, int rows>
INLINE void step_rows(const Rows& at) {
    int64_t j = 0;
    for (; j + lanes <= at.n; j += lanes) step_part<lanes, rows>(at, j, lanes);
    if (j < at.n) step_part<lanes, rows>(at, j, at.n - j);
}

struct CellRow {
    template <int lanes>
    INLINE static void apply(const float* gates, const float* own, const float* cell, int64_t n,
                             float* hidden_out, float* cell_out) {
        lstm_row<lanes>(gates, own, cell, n, hidden_out, cell_out);
    }
};

template <int num_rows>
struct StepRows {
    template <int lanes>
    INLINE static void apply(const Rows& at) {
        step_rows<lanes, num_rows>(at);
    }
};

void lstm_cell(ggml_tensor* dst, int ith, int nth, void*) {
    const int64_t n = dst->ne[0], count = dst->ne[1];
    const auto row_of = [&](int source, int64_t row) {
        const ggml_tensor* t = dst->src[source];
        return static_cast<const float*>(t->data) + row * t->ne[0];
    };
    const auto function =
        for_this_cpu<CellRow, const float*, const float*, const float*, int64_t, float*, float*>();
    const Range range(count, ith, nth);
    auto* out = static_cast<float*>(dst->data);
    for (int64_t row = range.begin; row < range.end; ++row)
        function(row_of(0, row), row_of(1, row), row_of(2, row), n, out + row * n, out + (count + row) * n);
}

// Rows of a batch know nothing of each other: a worker takes some of them through all steps.
void lstm_sequence(ggml_tensor* dst, int ith, int nth, void* data) {
    const bool is_backwards = static_cast<const Kernel*>(data)->params[0] != 0;
    const auto source = [dst](int which) { return static_cast<const float*>(dst->src[which]->data); };
    const int64_t n = dst->ne[0], count = dst->ne[1], num_steps = dst->ne[2] - 1;
    auto* out = static_cast<float*>(dst->data);
    float* cells = out + num_steps * count * n;
    const Range range(count, ith, nth);
    const int64_t begin = range.begin * n, num_bytes = (range.end - range.begin) * n * 4;
    std::memcpy(cells + begin, source(3) + begin, static_cast<size_t>(num_bytes));
    const auto four_rows = for_this_cpu<StepRows<4>, const Rows&>(),
               one_row = for_this_cpu<StepRows<1>, const Rows&>();
    const float* hidden = source(2);
    for (int64_t i = 0; i < num_steps; ++i) {
        const int64_t step = is_backwards ? num_steps - 1 - i : i;
        float* here = out + step * count * n;
        for (int64_t row = range.begin; row < range.end;) {
            const bool has_4 = range.end - row >= 4;
            const Rows at = {source(0) + (step * count + row) * 4 * n,
                             source(1),
                             hidden + row * n,
                             cells + row * n,
                             here + row * n,
                             n};
            (has_4 ? four_rows : one_row)(at);
            row += has_4 ? 4 : 1;
        }
        hidden = here;
    }
}

}  // namespace

KernelFunction lstm_cell_kernel() { return lstm_cell; }
KernelFunction lstm_sequence_kernel() { return lstm_sequence; }

}  // namespace native
