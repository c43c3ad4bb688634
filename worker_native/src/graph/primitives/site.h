// A step while it becomes a tensor of a ggml graph, and the checks that primitives share.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/check.h"
#include "graph/primitives/step.h"
#include "kernels/kernel.h"

namespace native {

// `require` is the structural check in front of every assertion of ggml.
struct Site {
    ggml_context* context;
    const Step& step;
    int64_t index;
    std::vector<ggml_tensor*> src;
    std::vector<std::unique_ptr<Kernel>>& kernels;
    Fault& fault;

    double number(size_t i) const { return std::bit_cast<double>(step.params[i]); }
    float real(size_t i) const { return static_cast<float>(number(i)); }
    int64_t integer(size_t i) const { return step.params[i]; }

    void require(bool holds, const char* why) const {
        if (!holds) bad_value("program: step ", index, " (", step.name, "): ", why);
    }
};

inline bool is_plain(const ggml_tensor* t) { return ggml_is_contiguous(t); }
inline bool is_f32(const ggml_tensor* t) { return t->type == GGML_TYPE_F32; }
inline bool is_plain_f32(const ggml_tensor* t) { return is_f32(t) && is_plain(t); }
bool is_float(ggml_type type);  // F32, F16 or BF16
bool has_ne(const ggml_tensor* t, const std::array<int64_t, 4>& ne);
// Whether the elements of a row follow each other, and rows do not overlap.
bool has_rows(const ggml_tensor* t);

// Whether all sources are contiguous F32, and whether `indices` are contiguous I64: as `require` checks.
void require_plain_f32(const Site& site);
void require_indices(const Site& site, const ggml_tensor* indices);

// One of our own kernels as a step: it reads the sources on the CPU and fills the result.
ggml_tensor* custom(Site& site, KernelFunction function);

// The kernel of a family that the step names, for the types of its sources and of its result.
const KernelEntry& named_kernel(const Site& site, std::span<const KernelEntry> family);

}  // namespace native
