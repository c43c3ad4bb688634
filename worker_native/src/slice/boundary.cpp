#include "slice/boundary.h"

#include <algorithm>
#include <charconv>

#include "base/check.h"

namespace native {
namespace {

constexpr std::string_view kLogits = "result_output";
constexpr size_t kRopeMode = 2;  // of the parameters that ggml_rope_ext writes

}  // namespace

Boundary::Boundary(const SliceFile& file, int32_t hidden_width, int32_t normed_width)
    : normed_names_(file.normed),
      zero_layers_(file.num_in_front),
      scales_(file),
      windows_(file),
      rope_mode_(file.rope_mode),
      logit_scale_(file.logit_scale),
      hidden_width_(hidden_width),
      num_parts_(std::ssize(file.inputs)),
      normed_width_(normed_width) {
    part_width_ = hidden_width_ / num_parts_;
    for (int64_t part = 0; part < num_parts_; ++part) {
        const std::string& input = file.inputs[part];
        if (!file.is_first() && !input.empty()) inputs_.push_back(port(input, part));
        const std::string& output = file.outputs[part];
        if (file.is_last()) continue;
        if (output.empty())
            handed_on_.push_back(part);
        else
            outputs_.push_back(port(output, part));
    }
    if (!file.is_last()) stop_at_ = port(file.outputs.front(), 0).name;
}

Boundary::Port Boundary::port(const std::string& written, int64_t part) {
    const size_t at = written.find('@');
    Port port{.name = written.substr(0, at), .after = {}, .part = part};
    if (const size_t bracket = port.name.find('['); bracket != std::string::npos) {
        const std::string number = port.name.substr(bracket + 1);
        const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), port.plane);
        if (error != std::errc() || std::string_view(end) != "]" || port.plane < 0)
            bad_value("ggml_cluster.slice: '", written, "' names no tensor; cut again");
        port.name.resize(bracket);
        port.has_planes = true;
    }
    port.after = at == std::string::npos ? port.name : written.substr(at + 1);
    return port;
}

void Boundary::begin(const float* in, float* out, int32_t num_rows, std::span<const int32_t> positions) {
    in_ = in;
    out_ = out;
    num_rows_ = num_rows;
    problem_.clear();
    encoded_.end();
    scales_.begin();
    windows_.begin(positions);
    normed_ = nullptr;
    num_normed_ = num_normed_done_ = 0;
    for (auto* ports : {&inputs_, &outputs_})
        for (Port& port : *ports) port.num_done = 0;
}

void Boundary::begin_normed(float* normed, int64_t num_rows) {
    normed_ = normed;
    num_normed_ = num_rows;
}

void Boundary::finish() {
    const float* in = in_;
    float* out = out_;
    in_ = nullptr;
    out_ = nullptr;
    if (!problem_.empty()) failed("hidden rows: ", problem_);
    scales_.finish();
    windows_.finish();
    for (const auto* ports : {&inputs_, &outputs_}) {
        if (ports == &inputs_ && !in) continue;
        for (const Port& port : *ports)
            if (port.num_done != num_rows_)
                failed("hidden rows: the graph computed no tensor ", port.after, " for ",
                       num_rows_ - port.num_done, " rows; this architecture cannot be cut");
    }
    normed_ = nullptr;
    if (num_normed_done_ != num_normed_)
        failed("embeddings: the graph has no row behind its last norm for ", num_normed_ - num_normed_done_,
               " tokens; this architecture gives no embeddings");
    if (out) hand_on(in, out);
}

void Boundary::hand_on(const float* in, float* out) const {
    for (const int64_t part : handed_on_)
        for (int64_t row = 0; row < num_rows_; ++row) {
            const int64_t at = row * hidden_width_ + part * part_width_;
            if (in)
                std::copy_n(in + at, part_width_, out + at);
            else
                std::fill_n(out + at, part_width_, 0.0F);
        }
}

bool Boundary::on_tensor(ggml_tensor* tensor, bool is_question, void* boundary) {
    Boundary& self = *static_cast<Boundary*>(boundary);
    if (self.encoded_.is_active()) return self.encoded_.on_tensor(tensor, is_question);
    if (is_question) self.set_params(tensor);
    return is_question ? self.is_wanted(tensor) : self.computed(tensor);
}

bool Boundary::is_normed(std::string_view name) const {
    return std::ranges::find(normed_names_, name) != normed_names_.end();
}

// What the slice's file says of an operation that is about to be computed.
void Boundary::set_params(ggml_tensor* tensor) {
    zero_layers_.spare(tensor);
    scales_.set(tensor);
    windows_.set(tensor);
    if (rope_mode_ && tensor->op == GGML_OP_ROPE) tensor->op_params[kRopeMode] = *rope_mode_;
}

bool Boundary::is_wanted(ggml_tensor* tensor) {
    const std::string_view name = tensor->name;
    bool is_wanted = false;
    for (Port& port : inputs_) {
        if (port.name == name) port.tensor = tensor;
        is_wanted |= in_ && port.after == name;
    }
    for (const Port& port : outputs_) is_wanted |= port.name == name;
    return is_wanted || (normed_ && is_normed(name)) || (logit_scale_ && name == kLogits);
}

// False ends the graph.
bool Boundary::computed(ggml_tensor* tensor) {
    const std::string_view name = tensor->name;
    for (Port& port : inputs_)
        if (in_ && port.after == name) write(port);
    for (Port& port : outputs_)
        if (port.name == name) read(port, tensor);
    if (normed_ && is_normed(name)) {
        read_normed(tensor);
        return false;
    }
    if (logit_scale_ && name == kLogits) scale_logits(tensor);
    return problem_.empty() && stop_at_ != name;
}

// How many rows `tensor` has; 0 and a problem if it is not what was expected.
int64_t Boundary::rows_of(const Port& port, const ggml_tensor* tensor) {
    int64_t num_rows = tensor ? ggml_nelements(tensor) / part_width_ : 0;
    bool is_sound = tensor && tensor->type == GGML_TYPE_F32;
    if (is_sound && port.has_planes) {
        num_rows = tensor->ne[1];
        is_sound = ggml_is_contiguous(tensor) && tensor->ne[0] == part_width_ && port.plane < tensor->ne[2] &&
                   tensor->ne[3] == 1;
    } else if (is_sound) {
        is_sound = (ggml_is_contiguous(tensor) || has_gaps(tensor)) &&
                   num_rows * part_width_ == ggml_nelements(tensor);
    }
    if (!is_sound || port.num_done + num_rows > num_rows_) {
        problem_ = text(port.name, " is not f32 of ", num_rows_ - port.num_done, " rows of ", part_width_,
                        " values");
        if (tensor)
            problem_ += text(", but ", ggml_type_name(tensor->type), " (", tensor->ne[3], ", ", tensor->ne[2],
                             ", ", tensor->ne[1], ", ", tensor->ne[0], ")");
        return 0;
    }
    return num_rows;
}

// Whether `tensor` is rows with something between them.
bool Boundary::has_gaps(const ggml_tensor* tensor) const {
    return !ggml_is_contiguous(tensor) && tensor->ne[0] == part_width_ && tensor->nb[0] == sizeof(float) &&
           ggml_nrows(tensor) == tensor->ne[1];
}

void Boundary::write(Port& port) {
    const int64_t num_rows = rows_of(port, port.tensor);
    if (num_rows == 0) return;
    const float* source = in_ + port.num_done * hidden_width_ + port.part * part_width_;
    const size_t row_bytes = part_width_ * sizeof(float);
    if (num_parts_ == 1 && !port.has_planes && !has_gaps(port.tensor)) {
        ggml_backend_tensor_set(port.tensor, source, 0, num_rows * row_bytes);
    } else {
        const size_t step_bytes = has_gaps(port.tensor) ? port.tensor->nb[1] : row_bytes;
        const size_t begin = port.plane * port.tensor->nb[2];
        for (int64_t row = 0; row < num_rows; ++row)
            ggml_backend_tensor_set(port.tensor, source + row * hidden_width_, begin + row * step_bytes,
                                    row_bytes);
    }
    port.num_done += num_rows;
}

void Boundary::read(Port& port, const ggml_tensor* tensor) {
    const int64_t num_rows = rows_of(port, tensor);
    if (num_rows == 0) return;
    float* target = out_ + port.num_done * hidden_width_ + port.part * part_width_;
    const size_t row_bytes = part_width_ * sizeof(float);
    if (num_parts_ == 1 && !port.has_planes && !has_gaps(tensor)) {
        ggml_backend_tensor_get(tensor, target, 0, num_rows * row_bytes);
    } else {
        const size_t step_bytes = has_gaps(tensor) ? tensor->nb[1] : row_bytes;
        const size_t begin = port.plane * tensor->nb[2];
        for (int64_t row = 0; row < num_rows; ++row)
            ggml_backend_tensor_get(tensor, target + row * hidden_width_, begin + row * step_bytes,
                                    row_bytes);
    }
    port.num_done += num_rows;
}

// A row at a time: there may be a vocabulary for each of hundreds of rows.
void Boundary::scale_logits(ggml_tensor* logits) {
    if (logits->type != GGML_TYPE_F32 || !ggml_is_contiguous(logits)) {
        problem_ = text(logits->name, " is not f32 rows behind each other");
        return;
    }
    std::vector<float> row(logits->ne[0]);
    const size_t row_bytes = row.size() * sizeof(float);
    for (int64_t i = 0; i < ggml_nrows(logits); ++i) {
        ggml_backend_tensor_get(logits, row.data(), i * row_bytes, row_bytes);
        for (float& logit : row) logit *= *logit_scale_;
        ggml_backend_tensor_set(logits, row.data(), i * row_bytes, row_bytes);
    }
}

void Boundary::read_normed(const ggml_tensor* tensor) {
    const int64_t num_rows = ggml_nelements(tensor) / normed_width_;
    if (tensor->type != GGML_TYPE_F32 || !ggml_is_contiguous(tensor) || tensor->ne[0] != normed_width_ ||
        num_normed_done_ + num_rows > num_normed_) {
        problem_ = text(tensor->name, " is not f32 of ", num_normed_ - num_normed_done_, " rows of ",
                        normed_width_, " values");
        return;
    }
    ggml_backend_tensor_get(tensor, normed_ + num_normed_done_ * normed_width_, 0,
                            num_rows * normed_width_ * sizeof(float));
    num_normed_done_ += num_rows;
}

}  // namespace native
