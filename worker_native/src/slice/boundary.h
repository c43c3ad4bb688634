// Where hidden rows enter libllama's graph and where they leave it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/libllama.h"
#include "slice/encoded_rows.h"
#include "slice/layer_scales.h"
#include "slice/slice_file.h"
#include "slice/windows.h"
#include "slice/zero_layers.h"

namespace native {

// The context's evaluation callback on every slice. Hidden rows are written over the tensor that the slice's
// first layer reads, so nothing that the graph does to its input (scale, norm, learned positions) touches
// them; and they are read from the tensor that its last layer leaves. Answering false there skips the norm
// and the head.
//
// A row has one part for each name in `SliceFile::inputs`. The first part is what the layers change; further
// parts are made once, by a layer or in front of all, and later layers read them: the slice that makes one
// reads it off its graph, those before leave it zero, and those behind hand on what they were given.
class Boundary {
  public:
    Boundary(const SliceFile& file, int32_t hidden_width, int32_t normed_width);
    Boundary(const Boundary&) = delete;
    Boundary& operator=(const Boundary&) = delete;

    // The next graphs take `num_rows` rows from `in` and write as many to `out`, in batch order. `in` is
    // null on the first slice, and where libllama is given the rows itself; `out` is null on the last.
    // `positions` are the rows' in their slots.
    void begin(const float* in, float* out, int32_t num_rows, std::span<const int32_t> positions = {});
    // The next graphs end behind the last norm, and write the `num_rows` rows of it that are outputs.
    void begin_normed(float* normed, int64_t num_rows);
    // Throws if they did not.
    void finish();
    // The next graph is an encoder's; begins and is finished in place of the above.
    EncodedRows& encoded() { return encoded_; }

    static bool on_tensor(ggml_tensor* tensor, bool is_question, void* boundary);

  private:
    struct Port {
        std::string name;   // the tensor to write or to read
        std::string after;  // written once this one is computed; the same for reading
        int64_t plane = 0;  // which matrix of the tensor
        bool has_planes = false;
        int64_t part = 0;
        int64_t num_done = 0;  // rows
        ggml_tensor* tensor = nullptr;
    };

    // Of "name", "name@after", "name[plane]".
    static Port port(const std::string& written, int64_t part);
    void set_params(ggml_tensor* tensor);
    bool is_wanted(ggml_tensor* tensor);
    bool is_normed(std::string_view name) const;
    bool computed(ggml_tensor* tensor);
    int64_t rows_of(const Port& port, const ggml_tensor* tensor);
    bool has_gaps(const ggml_tensor* tensor) const;
    void write(Port& port);
    void read(Port& port, const ggml_tensor* tensor);
    void hand_on(const float* in, float* out) const;
    void scale_logits(ggml_tensor* logits);
    void read_normed(const ggml_tensor* tensor);

    std::vector<Port> inputs_, outputs_;
    std::vector<std::string> normed_names_;
    std::vector<int64_t> handed_on_;  // parts
    EncodedRows encoded_;
    ZeroLayers zero_layers_;
    LayerScales scales_;
    Windows windows_;
    std::optional<int32_t> rope_mode_;
    std::optional<float> logit_scale_;
    std::string stop_at_;  // empty on the last slice
    int64_t hidden_width_, part_width_;
    int64_t num_parts_;
    const float* in_ = nullptr;
    float* out_ = nullptr;
    int64_t num_rows_ = 0;
    float* normed_ = nullptr;
    int64_t normed_width_;
    int64_t num_normed_ = 0, num_normed_done_ = 0;  // rows
    std::string problem_;
};

}  // namespace native
