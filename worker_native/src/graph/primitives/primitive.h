// The primitives that a program is made of: each becomes one tensor of a ggml graph.
#pragma once

#include <span>
#include <string_view>

#include "graph/primitives/site.h"

namespace native {

// How many there may be: from `least` to `most`.
struct Count {
    constexpr Count(int exactly) : least(exactly), most(exactly) {}
    constexpr Count(int least, int most) : least(least), most(most) {}
    bool holds(size_t count) const {
        return count >= static_cast<size_t>(least) && count <= static_cast<size_t>(most);
    }

    int least, most;
};

struct Primitive {
    std::string_view name;
    Count num_sources, num_params;
    ggml_tensor* (*build)(Site& site);
    // The family of kernels that a step chooses from by name; null if there is no choice.
    std::span<const KernelEntry> (*kernels)() = nullptr;
};

// Each kind is a file of its own, with its list at the end.
std::span<const Primitive> memory_primitives();
std::span<const Primitive> elementwise_primitives();
std::span<const Primitive> row_primitives();
std::span<const Primitive> product_primitives();
std::span<const Primitive> attention_primitives();
std::span<const Primitive> index_primitives();
std::span<const Primitive> recurrent_primitives();
std::span<const Primitive> fourier_primitives();
std::span<const Primitive> spatial_primitives();
std::span<const Primitive> training_primitives();

}  // namespace native
