// A program made into a ggml graph with a scheduler of its own, to be run any number of times.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "buffer.h"
#include "kernel.h"
#include "primitives.h"

namespace native {

using SchedulerPtr = std::unique_ptr<ggml_backend_sched, Releaser<ggml_backend_sched_free>>;

// The data breaks a rule that only a kernel could see. Python sees IndexError or ZeroDivisionError.
class DataError : public std::runtime_error {
  public:
    DataError(FaultKind kind, int64_t step, const std::string& message)
        : std::runtime_error(message), kind(kind), step(step) {}
    const FaultKind kind;
    const int64_t step;
};

// Its tensors are allocated once (a scheduler must not allocate a graph twice). Inputs and outputs are not
// copied: each run points the graph's tensors, and the views over them, at the buffers of that run.
class Graph {
  public:
    // Inputs are the steps of code 0, in their order. An output is a step that is neither input nor view.
    Graph(Compute& compute, std::span<const int64_t> words, std::span<const int64_t> outputs);

    // One new buffer for each output, on the graph's device. Thread-safe; takes turns with other graphs.
    std::vector<std::unique_ptr<Buffer>> run(std::span<const Buffer* const> inputs);
    // Seconds for one run of the graph alone, the mean of `num_runs`, after a `run`.
    double measure(std::span<const Buffer* const> inputs, int64_t num_runs);

    size_t num_inputs() const { return inputs_.size(); }
    int num_nodes() const { return ggml_graph_n_nodes(graph_); }
    int num_splits() const { return ggml_backend_sched_get_n_splits(scheduler_.get()); }
    size_t num_bytes() const;  // of intermediate results

  private:
    // A tensor whose memory is given anew for each run, with the views over it.
    struct Slot {
        ggml_tensor* tensor;
        std::vector<ggml_tensor*> views;
        bool is_bound;  // false: an output that lies in the scheduler's memory and is copied out
    };

    void build(std::span<const Step> steps, std::span<const int64_t> outputs);
    ggml_tensor* build_step(const Step& step, int64_t index, const std::vector<ggml_tensor*>& built);
    void add_slots(const std::vector<ggml_tensor*>& built, std::span<const int64_t> outputs);
    void schedule();
    void bind(const Slot& slot, const Buffer& buffer) const;
    void bind_inputs(std::span<const Buffer* const> inputs) const;
    void compute_now();

    Compute& compute_;
    GgmlPtr context_;
    ggml_cgraph* graph_ = nullptr;
    Fault fault_;
    std::vector<std::unique_ptr<Kernel>> kernels_;
    Buffer stand_in_;  // what the slots point at while the scheduler plans
    std::vector<Slot> inputs_, outputs_;
    SchedulerPtr scheduler_;
    std::mutex busy_;
};

}  // namespace native
