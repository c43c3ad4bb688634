// The primitives over spatial axes; see kernels/spatial/spatial.h for what each computes.
#pragma once

#include "graph/primitives/primitives.h"

namespace native {

ggml_tensor* arrange(Site& site);
ggml_tensor* convolve(Site& site);
ggml_tensor* fold(Site& site);
ggml_tensor* max_pool(Site& site);
ggml_tensor* max_pool_index(Site& site);
ggml_tensor* avg_pool(Site& site);
ggml_tensor* resample(Site& site);
ggml_tensor* conv_2d(Site& site);

}  // namespace native
