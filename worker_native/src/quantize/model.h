// A whole model file, quantised by libllama's own rules for which tensor takes which type.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "base/libllama.h"

namespace native {

struct ModelQuantizeJob {
    std::string source;
    std::string target;
    llama_ftype file_type;
    int num_threads;
    bool allow_requantize;
    bool quantize_output;
    bool pure;
    bool dry_run;  // only logs what would be done
    std::optional<ggml_type> output_type;
    std::optional<ggml_type> embedding_type;
    std::vector<std::pair<std::string, ggml_type>> tensor_types;  // regular expression, type
    std::vector<llama_model_imatrix_data> importance;             // borrowed
    // Metadata to add to the result.
    std::vector<std::tuple<std::string, std::string>> texts;
    std::vector<std::tuple<std::string, int64_t>> numbers;
};

// Writes the target as it goes; throws std::runtime_error with libllama's reason. What libllama asserts of a
// file ends the process: call it in a child.
void quantize_model(const ModelQuantizeJob& job);

// Name and number of every kind of file that libllama can make.
std::vector<std::tuple<std::string, int>> model_file_types();
llama_ftype file_type_of(int64_t number);

}  // namespace native
