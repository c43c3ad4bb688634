// A recording made into a native graph, and what it reads beside the inputs of a call.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "recorded/recording.h"

namespace native {

// The bytes of a tensor, with their type if whoever keeps them knows it.
struct FoundTensor {
    ggml_program::Bytes bytes;
    std::optional<ggml_type> type;
};

using FindTensor = std::function<FoundTensor(const std::string& name)>;

// The type of a dtype's elements inside of graphs: bools are F32 0 or 1.
ggml_type inner_type(ggml_program::DType dtype);

// The elements of a slot as a graph takes them: those at `data` themselves, read-only and kept alive by
// `owner`, or a copy of bools.
std::unique_ptr<Buffer> as_buffer(const ggml_program::Spec& spec, const void* data,
                                  std::shared_ptr<const void> owner);

// The elements of a result as they are outside.
ggml_program::Array as_array(ggml_program::Spec spec, const Buffer& buffer);

class NativeProgram {
  public:
    // `shared` are the bytes of ranges. Throws std::invalid_argument where slots, steps and sources do not
    // fit.
    NativeProgram(const Recording& recording, const ggml_program::Bytes& shared, const FindTensor& find);

    // One buffer for each output, of one for each input of the recording (null where it has no elements).
    std::vector<std::unique_ptr<Buffer>> run(const std::vector<const Buffer*>& inputs);

  private:
    std::unique_ptr<Graph> graph_;
    std::vector<std::unique_ptr<Buffer>> fixed_;
    std::vector<size_t>
        places_;  // for each input of the graph: behind the recording's inputs come the fixed ones
};

}  // namespace native
