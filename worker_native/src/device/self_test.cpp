#include "device/self_test.h"

#include <cmath>
#include <random>
#include <vector>

#include "base/check.h"
#include "base/libllama.h"
#include "device/device.h"

namespace native {
namespace {

constexpr int64_t width = 256;
constexpr int64_t most_rows = 8;
// Inputs are quantised to 8 bits on the way: well under 1% of the result's norm, garbage is about 100%.
constexpr double tolerance = 0.02;

std::vector<float> random_values(int64_t count, unsigned seed) {
    std::mt19937 generator(seed);
    std::uniform_real_distribution<float> uniform(-1.0F, 1.0F);
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = uniform(generator);
    return values;
}

struct Weight {
    std::vector<uint8_t> quantised;
    std::vector<float> values;  // the values that the quantised bytes stand for
};

Weight make_weight(ggml_type type) {
    const std::vector<float> source = random_values(width * width, 1);
    Weight weight;
    weight.quantised.resize(ggml_row_size(type, width) * width);
    weight.values.resize(source.size());
    ggml_quantize_chunk(type, source.data(), weight.quantised.data(), 0, width, width, nullptr);
    ggml_get_type_traits(type)->to_float(weight.quantised.data(), weight.values.data(), width * width);
    return weight;
}

// input [num_rows, width] times the transposed weight, on the CPU backend; the weight lies in
// `weight_buffer`.
std::vector<float> product_on_cpu(const Weight& weight, ggml_type type,
                                  ggml_backend_buffer_type_t weight_buffer, const std::vector<float>& input,
                                  int64_t num_rows) {
    const BackendPtr backend(ggml_backend_init_by_type(GGML_BACKEND_DEVICE_TYPE_CPU, nullptr));
    const GgmlPtr weights(ggml_init({ggml_tensor_overhead() * 2, nullptr, true}));
    const GgmlPtr graph_context(
        ggml_init({ggml_tensor_overhead() * 8 + ggml_graph_overhead(), nullptr, true}));
    if (!backend || !weights || !graph_context) throw std::bad_alloc();
    ggml_tensor* w = ggml_new_tensor_2d(weights.get(), type, width, width);
    const BufferPtr buffer(ggml_backend_alloc_ctx_tensors_from_buft(weights.get(), weight_buffer));
    if (!buffer) throw std::bad_alloc();
    ggml_backend_buffer_set_usage(buffer.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    ggml_backend_tensor_set(w, weight.quantised.data(), 0, weight.quantised.size());

    ggml_tensor* x = ggml_new_tensor_2d(graph_context.get(), GGML_TYPE_F32, width, num_rows);
    ggml_set_input(x);
    ggml_tensor* y = ggml_mul_mat(graph_context.get(), w, x);
    ggml_set_output(y);
    ggml_cgraph* graph = ggml_new_graph(graph_context.get());
    ggml_build_forward_expand(graph, y);
    const GraphAllocatorPtr allocator(ggml_gallocr_new(ggml_backend_get_default_buffer_type(backend.get())));
    if (!allocator || !ggml_gallocr_alloc_graph(allocator.get(), graph)) throw std::bad_alloc();
    ggml_backend_tensor_set(x, input.data(), 0, ggml_nbytes(x));
    if (ggml_backend_graph_compute(backend.get(), graph) != GGML_STATUS_SUCCESS)
        failed("self test: the CPU backend failed to multiply a ", ggml_type_name(type), " matrix");
    std::vector<float> result(static_cast<size_t>(width * num_rows));
    ggml_backend_tensor_get(y, result.data(), 0, ggml_nbytes(y));
    return result;
}

// |result - exact| / |exact| over all elements.
double relative_error(const std::vector<float>& result, const Weight& weight, const std::vector<float>& input,
                      int64_t num_rows) {
    double error = 0, norm = 0;
    for (int64_t row = 0; row < num_rows; ++row)
        for (int64_t column = 0; column < width; ++column) {
            double exact = 0;
            for (int64_t k = 0; k < width; ++k)
                exact += double(weight.values[column * width + k]) * double(input[row * width + k]);
            error += std::pow(exact - result[row * width + column], 2);
            norm += exact * exact;
        }
    return std::sqrt(error / norm);
}

void test_type(ggml_type type, bool use_extra_bufts) {
    ggml_backend_buffer_type_t buffer = use_extra_bufts ? extra_buffer_type(type, width, width) : nullptr;
    if (!buffer) buffer = ggml_backend_cpu_buffer_type();
    const Weight weight = make_weight(type);
    const std::vector<float> input = random_values(width * most_rows, 2);
    for (int64_t num_rows = 1; num_rows <= most_rows; ++num_rows) {
        const auto result = product_on_cpu(weight, type, buffer, input, num_rows);
        const double error = relative_error(result, weight, input, num_rows);
        if (!(error < tolerance))
            failed("self test: ", ggml_type_name(type), " times ", num_rows, " rows in a ",
                   ggml_backend_buft_name(buffer), " buffer is off by ", error,
                   " of its norm: this build of ggml computes wrong results; rebuild llama-cpp-python");
    }
}

}  // namespace

void self_test(bool use_extra_bufts) {
    for (const ggml_type type : {GGML_TYPE_Q4_0, GGML_TYPE_Q4_K, GGML_TYPE_Q8_0})
        test_type(type, use_extra_bufts);
}

}  // namespace native
