// Cells of recurrent networks.
#include "graph/primitives/primitive.h"

namespace native {
namespace {

ggml_tensor* lstm_cell(Site& site) {
    require_plain_f32(site);
    const ggml_tensor* cell = site.src[2];
    const int64_t n = cell->ne[0], count = cell->ne[1];
    site.require(cell->ne[2] == 1 && cell->ne[3] == 1, "wants cells in two axes");
    for (const ggml_tensor* gates : {site.src[0], site.src[1]})
        site.require(has_ne(gates, {4 * n, count, 1, 1}), "wants four gates for each cell");
    site.require(site.step.type == GGML_TYPE_F32 && site.step.ne == std::array<int64_t, 4>{n, count, 2, 1},
                 "the result has other extents");
    return custom(site, lstm_cell_kernel());
}

ggml_tensor* lstm_sequence(Site& site) {
    require_plain_f32(site);
    const ggml_tensor *gates = site.src[0], *cell = site.src[3];
    const int64_t n = cell->ne[0], count = cell->ne[1], num_steps = gates->ne[2];
    site.require(cell->ne[2] == 1 && cell->ne[3] == 1 && has_ne(site.src[2], {n, count, 1, 1}),
                 "wants hidden states and cells in two axes");
    site.require(has_ne(gates, {4 * n, count, num_steps, 1}), "wants four gates for each cell");
    site.require(has_ne(site.src[1], {4 * n, n, 1, 1}), "wants a weight for four gates");
    site.require(
        site.step.type == GGML_TYPE_F32 && site.step.ne == std::array<int64_t, 4>{n, count, num_steps + 1, 1},
        "the result has other extents");
    return custom(site, lstm_sequence_kernel());
}

const Primitive list[] = {
    {"lstm_cell", 3, 0, lstm_cell},
    {"lstm_sequence", 4, 1, lstm_sequence},
};

}  // namespace

std::span<const Primitive> recurrent_primitives() { return list; }

}  // namespace native
