#include "graph.h"

#include <chrono>

#include "abort_guard.h"
#include "check.h"
#include "log.h"

namespace native {
namespace {

// The locks of everything that a graph computes on.
class Turn {
  public:
    explicit Turn(Compute& compute) : cpu_(cpu_compute().busy()) {
        if (&compute != &cpu_compute()) device_ = std::unique_lock(compute.busy());
    }

  private:
    std::unique_lock<std::mutex> cpu_, device_;
};

size_t context_bytes(size_t num_steps) {
    return ggml_tensor_overhead() * (2 * num_steps + 8) + ggml_graph_overhead_custom(num_steps + 8, false);
}

std::string fault_text(const Fault& fault) {
    if (fault.kind == FaultKind::division) return "integer division or modulo by zero";
    return text("index ", fault.value.load(), " is out of bounds for size ", fault.limit.load());
}

}  // namespace

Graph::Graph(Compute& compute, std::span<const int64_t> words, std::span<const int64_t> outputs)
    : compute_(compute), stand_in_(compute, 256) {
    const std::vector<Step> steps = decode_program(words);
    context_.reset(ggml_init({context_bytes(steps.size()), nullptr, true}));
    if (!context_) throw OutOfMemory("memory: the graph's context could not be had");
    const AbortGuard guard;
    build(steps, outputs);
    schedule();
}

ggml_tensor* Graph::build_step(const Step& step, int64_t index, const std::vector<ggml_tensor*>& built) {
    const Primitive& primitive = primitive_of(step, index);
    Site site{context_.get(), step, primitive.name, index, {}, kernels_, fault_};
    for (int64_t source : step.sources) site.src.push_back(built[static_cast<size_t>(source)]);
    ggml_tensor* t = primitive.build(site);
    site.require(t->type == step.type, "the result has another type");
    for (int axis = 0; axis < 4; ++axis)
        site.require(t->ne[axis] == step.ne[static_cast<size_t>(axis)], "the result has other extents");
    if (ggml_nbytes(t) > compute_.device().memory_total_bytes() && !t->view_src)
        throw OutOfMemory(text("memory: ", ggml_nbytes(t), " bytes on ", compute_.device().name()));
    return t;
}

void Graph::build(std::span<const Step> steps, std::span<const int64_t> outputs) {
    std::vector<ggml_tensor*> built;
    built.reserve(steps.size());
    for (const Step& step : steps)
        built.push_back(build_step(step, static_cast<int64_t>(built.size()), built));
    for (int64_t output : outputs)
        in_range("graph: output", output, 0, static_cast<int64_t>(built.size()) - 1);
    add_slots(built, outputs);
    graph_ = ggml_new_graph_custom(context_.get(), built.size() + 8, false);
    for (const Slot& slot : outputs_) ggml_build_forward_expand(graph_, slot.tensor);
}

void Graph::add_slots(const std::vector<ggml_tensor*>& built, std::span<const int64_t> outputs) {
    for (ggml_tensor* t : built)
        if (t->op == GGML_OP_NONE && !t->view_src) inputs_.push_back({t, {}, true});
    for (int64_t output : outputs) {
        ggml_tensor* t = built[static_cast<size_t>(output)];
        if (t->op == GGML_OP_NONE || t->view_src || (t->flags & GGML_TENSOR_FLAG_OUTPUT))
            bad_value("graph: output ", output, " is an input, a view, or named twice");
        ggml_set_output(t);
        const bool is_bound = &compute_ == &cpu_compute() || ggml_backend_supports_op(compute_.backend(), t);
        outputs_.push_back({t, {}, is_bound});
    }
    for (std::vector<Slot>* slots : {&inputs_, &outputs_})
        for (Slot& slot : *slots) {
            for (ggml_tensor* t : built)
                if (t->view_src == slot.tensor) slot.views.push_back(t);
            if (slot.is_bound) stand_in_.place(slot.tensor);
        }
}

void Graph::schedule() {
    std::vector<ggml_backend_t> backends{compute_.backend()};
    if (&compute_ != &cpu_compute()) backends.push_back(cpu_compute().backend());
    const size_t size = static_cast<size_t>(ggml_graph_n_nodes(graph_)) + inputs_.size() + 8;
    scheduler_.reset(ggml_backend_sched_new(backends.data(), nullptr, static_cast<int>(backends.size()),
                                            2 * size, false, false));
    const Turn turn(compute_);
    const LoggedErrors errors;
    if (!ggml_backend_sched_alloc_graph(scheduler_.get(), graph_))
        throw OutOfMemory(
            text("memory: ", errors.first("the graph's intermediate results could not be had")));
}

size_t Graph::num_bytes() const {
    size_t total = 0;
    for (int i = 0; i < ggml_backend_sched_get_n_backends(scheduler_.get()); ++i)
        total += ggml_backend_sched_get_buffer_size(scheduler_.get(),
                                                    ggml_backend_sched_get_backend(scheduler_.get(), i));
    return total;
}

void Graph::bind(const Slot& slot, const Buffer& buffer) const {
    buffer.place(slot.tensor);
    for (ggml_tensor* view : slot.views) {
        view->buffer = slot.tensor->buffer;
        view->data = static_cast<char*>(slot.tensor->data) + view->view_offs;
    }
}

void Graph::bind_inputs(std::span<const Buffer* const> inputs) const {
    if (inputs.size() != inputs_.size())
        bad_value("graph: ", inputs.size(), " inputs were given; it has ", inputs_.size());
    for (size_t i = 0; i < inputs.size(); ++i) {
        const size_t wanted_bytes = ggml_nbytes(inputs_[i].tensor);
        if (inputs[i]->num_bytes() < wanted_bytes)
            bad_value("graph: input ", i, " has ", inputs[i]->num_bytes(), " bytes; it needs ", wanted_bytes);
        if (&inputs[i]->compute() != &compute_)
            bad_value("graph: input ", i, " lies on ", inputs[i]->device_name(), "; the graph runs on ",
                      compute_.device().name());
        bind(inputs_[i], *inputs[i]);
    }
}

void Graph::compute_now() {
    fault_.clear();
    const LoggedErrors errors;
    const ggml_status status = ggml_backend_sched_graph_compute(scheduler_.get(), graph_);
    if (status == GGML_STATUS_ALLOC_FAILED) throw OutOfMemory(text("memory: ", errors.first("none is left")));
    if (status != GGML_STATUS_SUCCESS) failed("graph: ", errors.first(ggml_status_to_string(status)));
    if (fault_.kind != FaultKind::none) throw DataError(fault_.kind, fault_.step, fault_text(fault_));
}

std::vector<std::unique_ptr<Buffer>> Graph::run(std::span<const Buffer* const> inputs) {
    std::vector<std::unique_ptr<Buffer>> results;
    for (const Slot& slot : outputs_)
        results.push_back(std::make_unique<Buffer>(compute_, ggml_nbytes(slot.tensor)));
    const std::lock_guard lock(busy_);
    const Turn turn(compute_);
    bind_inputs(inputs);
    for (size_t i = 0; i < outputs_.size(); ++i)
        if (outputs_[i].is_bound) bind(outputs_[i], *results[i]);
    compute_now();
    for (size_t i = 0; i < outputs_.size(); ++i)
        if (!outputs_[i].is_bound) {
            ggml_tensor target = *outputs_[i].tensor;
            results[i]->place(&target);
            ggml_backend_tensor_copy(outputs_[i].tensor, &target);
        }
    return results;
}

double Graph::measure(std::span<const Buffer* const> inputs, int64_t num_runs) {
    const std::vector<std::unique_ptr<Buffer>> results = run(inputs);  // its outputs stay bound below
    const std::lock_guard lock(busy_);
    const Turn turn(compute_);
    bind_inputs(inputs);
    const auto start = std::chrono::steady_clock::now();
    for (int64_t i = 0; i < num_runs; ++i) compute_now();
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    return spent.count() / static_cast<double>(num_runs);
}

}  // namespace native
