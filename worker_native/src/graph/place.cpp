// Where the nodes of a graph run, and what that takes.
#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "base/check.h"
#include "graph/graph.h"

namespace native {
namespace {

// Our kernels are functions of this process. Not every device that says it supports them could call one.
bool is_kernel(const ggml_tensor* t) {
    return t->op == GGML_OP_CUSTOM || t->op == GGML_OP_MAP_CUSTOM1 || t->op == GGML_OP_MAP_CUSTOM2 ||
           t->op == GGML_OP_MAP_CUSTOM3;
}

// Whether a view shows an element more than once. The scheduler cannot copy it to another device.
bool overlaps(const ggml_tensor* t) {
    const size_t dense_bytes =
        ggml_row_size(t->type, t->ne[0]) * static_cast<size_t>(t->ne[1] * t->ne[2] * t->ne[3]);
    return t->view_src && dense_bytes > ggml_nbytes(t);
}

bool is_view(const ggml_tensor* t) {
    return t->op == GGML_OP_NONE || t->op == GGML_OP_VIEW || t->op == GGML_OP_RESHAPE ||
           t->op == GGML_OP_PERMUTE || t->op == GGML_OP_TRANSPOSE;
}

}  // namespace

void Graph::pin(const std::vector<ggml_tensor*>& built) {
    for (ggml_tensor* t : built)
        if (is_kernel(t)) pins_.emplace_back(t, &cpu_compute());
    for (const auto& [step, compute] : placement_.pinned) {
        ggml_tensor* t = built[static_cast<size_t>(
            in_range("graph: pinned step", step, 0, static_cast<int64_t>(built.size()) - 1))];
        if (is_view(t)) bad_value("graph: step ", step, " is an input or a view, and runs nowhere");
        if (is_kernel(t) && compute != &cpu_compute())
            bad_value("graph: step ", step, " is a kernel of this process, and runs on the CPU only");
        if (std::ranges::count(computes_, compute) == 0)
            bad_value("graph: ", compute->device().name(), " is no device of this graph");
        pins_.emplace_back(t, compute);
    }
    if (computes_.size() == 1) return;
    for (ggml_tensor* t : built)
        for (ggml_tensor* source : t->src)
            if (source && !is_view(t) && !is_kernel(t) && overlaps(source))
                keep_together(t, source->view_src);
}

Compute* Graph::pinned_to(const ggml_tensor* t) const {
    for (const auto& [tensor, compute] : pins_)
        if (tensor == t) return compute;
    return nullptr;
}

// A node that reads an overlapping view runs where the view's elements are.
void Graph::keep_together(ggml_tensor* t, ggml_tensor* base) {
    Compute* place = pinned_to(base);
    if (!place) {
        const bool is_here = base->op == GGML_OP_NONE || ggml_backend_supports_op(compute_.backend(), base);
        place = is_here ? &compute_ : &cpu_compute();
        if (base->op != GGML_OP_NONE) pins_.emplace_back(base, place);
    }
    if (pinned_to(t) && pinned_to(t) != place)
        bad_value("graph: a node reads elements many times over, and must run where they are");
    if (!pinned_to(t)) pins_.emplace_back(t, place);
}

// Whether a tensor may lie, and be computed, where the graph's outputs lie.
bool Graph::runs_here(const ggml_tensor* t) const {
    if (const Compute* pinned = pinned_to(t); pinned && pinned != &compute_) return false;
    return &compute_ == &cpu_compute() || ggml_backend_supports_op(compute_.backend(), t);
}

void Graph::list_nodes(const std::vector<ggml_tensor*>& built) {
    std::unordered_map<const ggml_tensor*, int64_t> steps;
    int64_t step = 0;  // a step's own tensors come before its result
    for (ggml_tensor* t = ggml_get_first_tensor(context_.get()); t;
         t = ggml_get_next_tensor(context_.get(), t)) {
        steps[t] = step;
        if (step < static_cast<int64_t>(built.size()) && t == built[static_cast<size_t>(step)]) ++step;
    }
    for (int i = 0; i < ggml_graph_n_nodes(graph_); ++i) {
        const ggml_tensor* t = ggml_graph_node(graph_, i);
        NodeFacts node{steps.at(t), t, "", is_view(t), {}, {}};
        for (const ggml_tensor* source : t->src)
            if (source) node.sources.push_back(steps.at(source));
        nodes_.push_back(std::move(node));
    }
}

// The sources that the scheduler replaced are copied.
void Graph::note_placement() {
    std::unordered_set<const ggml_tensor*> inputs;
    for (const Slot& slot : inputs_) inputs.insert(slot.tensor);
    for (NodeFacts& node : nodes_) {
        ggml_tensor* t = const_cast<ggml_tensor*>(node.tensor);
        if (ggml_backend_t backend = ggml_backend_sched_get_tensor_backend(scheduler_.get(), t))
            node.backend = ggml_backend_dev_name(ggml_backend_get_device(backend));
        size_t place = 0;
        for (const ggml_tensor* source : t->src)
            if (source) {
                if (source->view_src == nullptr && source->op == GGML_OP_NONE && !inputs.contains(source))
                    node.copied.push_back(node.sources[place]);
                ++place;
            }
    }
}

// Results that could be too large together are measured first: a CPU hands out more memory than it has.
void Graph::check_memory() {
    size_t bound_bytes = 0;
    for (const NodeFacts& node : nodes_)
        if (!node.is_view) bound_bytes += ggml_nbytes(node.tensor);
    const size_t total_bytes = cpu_compute().device().memory_total_bytes();
    if (computes_.size() > 1 || bound_bytes <= total_bytes) return;
    ggml_gallocr* allocator = ggml_gallocr_new(compute_.buffer_type());
    const GraphAllocatorPtr owner(allocator);
    size_t needed_bytes = 0;
    ggml_gallocr_reserve_n_size(allocator, graph_, nullptr, nullptr, &needed_bytes);
    if (needed_bytes > total_bytes)
        throw OutOfMemory(text("memory: ", needed_bytes, " bytes for intermediate results"), needed_bytes);
}

std::vector<std::pair<std::string, size_t>> Graph::buffer_bytes() const {
    std::vector<std::pair<std::string, size_t>> sizes;
    for (size_t i = 0; i < computes_.size(); ++i)
        if (!placement_.is_plan)
            sizes.emplace_back(computes_[i]->device().name(),
                               ggml_backend_sched_get_buffer_size(scheduler_.get(), computes_[i]->backend()));
        else if (!planned_bytes_.empty())
            sizes.emplace_back(computes_[i]->device().name(), planned_bytes_[i]);
    return sizes;
}

size_t Graph::num_bytes() const {
    size_t total = 0;
    for (const auto& [_, num_bytes] : buffer_bytes()) total += num_bytes;
    return total;
}

}  // namespace native
