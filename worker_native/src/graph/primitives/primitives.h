// The primitives that a program is made of: each becomes one tensor of a ggml graph.
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "graph/program.h"
#include "kernels/kernel.h"

namespace native {

// One step while it is built. `require` is the structural check in front of every assertion of ggml.
struct Site {
    ggml_context* context;
    const Step& step;
    const char* name;
    int64_t index;
    std::vector<ggml_tensor*> src;
    std::vector<std::unique_ptr<Kernel>>& kernels;
    Fault& fault;

    double number(size_t i) const { return std::bit_cast<double>(step.params[i]); }
    float real(size_t i) const { return static_cast<float>(number(i)); }
    int64_t integer(size_t i) const { return step.params[i]; }

    void require(bool holds, const char* why) const {
        if (!holds) bad_value("program: step ", index, " (", name, "): ", why);
    }
};

struct Primitive {
    const char* name;
    int num_sources;  // exactly; the input has none
    int min_params, max_params;
    ggml_tensor* (*build)(Site& site);
};

// One of our own kernels as a step: it reads the sources on the CPU and fills the result.
ggml_tensor* custom(Site& site, KernelFunction function);

// A primitive's code is its place in this list. Code 0 is the input.
std::span<const Primitive> primitives();

// The primitive of a step, with the numbers of sources and parameters checked.
const Primitive& primitive_of(const Step& step, int64_t index);

}  // namespace native
