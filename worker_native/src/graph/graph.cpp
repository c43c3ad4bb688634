#include "graph/graph.h"

#include <algorithm>

#include "base/abort_guard.h"
#include "base/check.h"
#include "base/log.h"
#include "graph/primitives/registry.h"
#include "graph/turn.h"
#include "graph/work.h"

namespace native {
namespace {

// Slots point somewhere while the scheduler plans; only where matters.
constexpr size_t least_stand_in_bytes = 256;

size_t context_bytes(size_t num_steps) {
    return ggml_tensor_overhead() * (2 * num_steps + 8) + ggml_graph_overhead_custom(num_steps + 8, false);
}

}  // namespace

Graph::Graph(Compute& compute, std::span<const Step> steps, std::span<const int64_t> outputs,
             Placement placement)
    : compute_(compute), placement_(std::move(placement)) {
    // The device that holds the inputs comes first, unless it is the CPU, which a scheduler wants last.
    for (Compute* one : placement_.others)
        if (one != &compute_ && one != &cpu_compute() && std::ranges::count(computes_, one) == 0)
            computes_.push_back(one);
    if (&compute_ != &cpu_compute()) computes_.insert(computes_.begin(), &compute_);
    computes_.push_back(&cpu_compute());
    for (const Compute* one : computes_) one->refuse_elsewhere();
    context_.reset(ggml_init({context_bytes(steps.size()), nullptr, true}));
    if (!context_) throw OutOfMemory("memory: the graph's context could not be had");
    const AbortGuard guard;
    build(steps, outputs);
    if (!placement_.is_plan) check_memory();
    const size_t planning_bytes = stand_in_bytes();
    place_slots(planning_bytes);
    schedule();
    if (planning_bytes > least_stand_in_bytes) place_slots(least_stand_in_bytes);
}

Graph::~Graph() {
    const auto is_elsewhere = [](const Compute* compute) { return compute->is_elsewhere(); };
    // Its memory on a device can only be freed by the process that has the device.
    if (std::ranges::any_of(computes_, is_elsewhere)) (void)scheduler_.release();
}

ggml_tensor* Graph::build_step(const Step& step, int64_t index, const std::vector<ggml_tensor*>& built) {
    const Primitive& primitive = primitive_of(step, index);
    Site site{context_.get(), step, index, {}, kernels_, fault_};
    for (int64_t source : step.sources) site.src.push_back(built[static_cast<size_t>(source)]);
    ggml_tensor* t = primitive.build(site);
    site.require(t->type == step.type, "the result has another type");
    for (int axis = 0; axis < 4; ++axis)
        site.require(t->ne[axis] == step.ne[static_cast<size_t>(axis)], "the result has other extents");
    if (!placement_.is_plan && !t->view_src && ggml_nbytes(t) > compute_.device().memory_total_bytes())
        throw OutOfMemory(text("memory: ", ggml_nbytes(t), " bytes on ", compute_.device().name()),
                          ggml_nbytes(t));
    return t;
}

void Graph::build(std::span<const Step> steps, std::span<const int64_t> outputs) {
    std::vector<ggml_tensor*> built;
    built.reserve(steps.size());
    for (const Step& step : steps)
        built.push_back(build_step(step, static_cast<int64_t>(built.size()), built));
    for (size_t i = 0; i < steps.size(); ++i)
        work_ns_ += work_ns(primitive_of(steps[i], static_cast<int64_t>(i)).name, built[i]);
    for (int64_t output : outputs)
        in_range("graph: output", output, 0, static_cast<int64_t>(built.size()) - 1);
    pin(built);
    add_slots(built, outputs);
    graph_ = ggml_new_graph_custom(context_.get(), built.size() + 8, false);
    expand(steps, outputs, built);
    list_nodes(built);
    num_working_ =
        static_cast<int>(std::ranges::count_if(nodes_, [](const NodeFacts& node) { return !node.is_view; }));
}

// Steps run in the order of the program, where whoever wrote it knows how much memory lives how long. It
// keeps ggml's recursion from results to their sources short, too, for which the stack is too small in a
// chain of some ten thousands.
void Graph::expand(std::span<const Step> steps, std::span<const int64_t> outputs,
                   const std::vector<ggml_tensor*>& built) {
    std::vector<bool> is_needed(steps.size());
    for (int64_t output : outputs) is_needed[static_cast<size_t>(output)] = true;
    for (size_t i = steps.size(); i-- > 0;)
        if (is_needed[i])
            for (int64_t source : steps[i].sources) is_needed[static_cast<size_t>(source)] = true;
    for (size_t i = 0; i < steps.size(); ++i)
        if (is_needed[i] && built[i]->op != GGML_OP_NONE) ggml_build_forward_expand(graph_, built[i]);
}

void Graph::add_slots(const std::vector<ggml_tensor*>& built, std::span<const int64_t> outputs) {
    for (ggml_tensor* t : built)
        if (t->op == GGML_OP_NONE && !t->view_src) inputs_.push_back({t, {}, true});
    for (int64_t output : outputs) {
        ggml_tensor* t = built[static_cast<size_t>(output)];
        if (t->op == GGML_OP_NONE || t->view_src || (t->flags & GGML_TENSOR_FLAG_OUTPUT))
            bad_value("graph: output ", output, " is an input, a view, or named twice");
        ggml_set_output(t);
        outputs_.push_back({t, {}, runs_here(t)});
    }
    for (std::vector<Slot>* slots : {&inputs_, &outputs_})
        for (Slot& slot : *slots)
            for (ggml_tensor* t : built)
                if (t->view_src == slot.tensor) slot.views.push_back(t);
}

void Graph::place_slots(size_t num_bytes) {
    stand_in_ = std::make_unique<Buffer>(compute_, num_bytes);
    for (std::vector<Slot>* slots : {&inputs_, &outputs_})
        for (const Slot& slot : *slots)
            if (slot.is_bound) bind(slot, *stand_in_->memory());
}

// A server of RPC ends with an assertion if a tensor that it is asked about reaches beyond its buffer.
size_t Graph::stand_in_bytes() const {
    size_t num_bytes = least_stand_in_bytes;
    if (!compute_.device().name().starts_with("RPC")) return num_bytes;
    for (const std::vector<Slot>* slots : {&inputs_, &outputs_})
        for (const Slot& slot : *slots) num_bytes = std::max(num_bytes, ggml_nbytes(slot.tensor));
    return num_bytes;
}

void Graph::schedule() {
    std::vector<ggml_backend_t> backends;
    for (const Compute* compute : computes_) backends.push_back(compute->backend());
    const size_t size = static_cast<size_t>(ggml_graph_n_nodes(graph_)) + inputs_.size() + 8;
    const Turn turn(computes_);
    const LoggedErrors errors;
    scheduler_.reset(ggml_backend_sched_new(backends.data(), nullptr, static_cast<int>(backends.size()),
                                            2 * size, false, false));
    for (const auto& [tensor, compute] : pins_)
        if (computes_.size() > 1)
            ggml_backend_sched_set_tensor_backend(scheduler_.get(), tensor, compute->backend());
    if (placement_.is_plan && (pins_.empty() || computes_.size() == 1)) {
        planned_bytes_.resize(backends.size());
        ggml_backend_sched_reserve_size(scheduler_.get(), graph_, planned_bytes_.data());
    } else if (placement_.is_plan) {
        ggml_backend_sched_split_graph(scheduler_.get(), graph_);
    } else if (!ggml_backend_sched_alloc_graph(scheduler_.get(), graph_)) {
        throw OutOfMemory(
            text("memory: ", errors.first("the graph's intermediate results could not be had")));
    }
    note_placement();
}

}  // namespace native
