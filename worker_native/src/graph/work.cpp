#include "graph/work.h"

#include <algorithm>
#include <cmath>

namespace native {
namespace {

constexpr double flops_per_ns = 50;      // what one core does in products
constexpr double node_ns_worth = 10000;  // how much work has to be there for each wait
constexpr double plain_ns = 0.15;        // one element of ggml's vector loops
constexpr double kernel_ns = 0.5;        // one element of our loops, between an addition and a logarithm
constexpr double comparison_ns = 4;      // one comparison in a sort

double num_elements(const ggml_tensor* t) { return static_cast<double>(ggml_nelements(t)); }

// Multiplications and additions of the operations that do more than look at each element once.
double flops(std::string_view primitive, const ggml_tensor* t) {
    const auto ne = [t](int source, int axis) { return static_cast<double>(t->src[source]->ne[axis]); };
    if (primitive == "mul_mat") return 2 * num_elements(t) * ne(0, 0);
    if (primitive.starts_with("multiply")) return 2 * num_elements(t) * ne(1, 0);
    // Each plane of the result has one of the right side.
    if (primitive == "product") return 2 * static_cast<double>(t->ne[1]) * num_elements(t->src[1]);
    if (primitive.starts_with("convolve")) return 2 * num_elements(t) * ne(1, 0);
    if (primitive == "conv_2d") return 2 * num_elements(t) * ne(0, 0) * ne(0, 1) * ne(0, 2);
    if (primitive == "lstm_sequence") return 8 * num_elements(t) * ne(1, 1);
    if (primitive == "solve_tri") return num_elements(t) * ne(0, 0);
    if (primitive == "attend" || primitive.starts_with("flash_attn")) return 4 * num_elements(t) * ne(1, 1);
    return 0;
}

}  // namespace

double work_ns(std::string_view primitive, const ggml_tensor* t) {
    if (t->op == GGML_OP_NONE || t->view_src) return 0;
    double elements = num_elements(t);
    const bool reads_rows = primitive == "get_rows" || primitive == "take" || primitive == "gather";
    for (const ggml_tensor* source : t->src)
        if (source && !reads_rows) elements = std::max(elements, num_elements(source));
    const double products = flops(primitive, t);
    if (products > 0) return products / flops_per_ns + elements * plain_ns;
    if (primitive == "sort") return elements * comparison_ns * std::log2(elements + 1);
    return elements * (t->op == GGML_OP_CUSTOM ? kernel_ns : plain_ns);
}

int useful_threads(double work_ns, int num_nodes, int limit) {
    return work_ns < node_ns_worth * std::max(num_nodes, 1) ? 1 : limit;
}

}  // namespace native
