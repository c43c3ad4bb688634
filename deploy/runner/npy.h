// Arrays in files of NumPy (.npy), of the dtypes that programs have.
#pragma once

#include <string>
#include <vector>

#include "ggml_program.h"

// The elements of a file. Throws ggml_program::Error.
struct NpyArray {
    ggml_program::DType dtype;
    std::vector<int64_t> shape;
    std::vector<char> elements;
};

NpyArray read_npy(const std::string& path);

// bfloat16, which NumPy has not, is written as float32.
void write_npy(const std::string& path, const ggml_program::Array& array);
