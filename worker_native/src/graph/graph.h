// A program made into a ggml graph with a scheduler of its own, to be run any number of times.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "device/buffer.h"
#include "graph/primitives/step.h"
#include "graph/turn.h"
#include "kernels/kernel.h"

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

// Where the steps of a graph run, beside the device that its inputs and outputs lie on.
struct Placement {
    std::vector<Compute*> others;                      // further devices, the most wanted first
    std::vector<std::pair<int64_t, Compute*>> pinned;  // steps that must run on a device
    bool is_plan = false;                              // split only: nothing is allocated, nothing can run
};

// A node of the ggml graph. Steps are those of the program.
struct NodeFacts {
    int64_t step;
    const ggml_tensor* tensor;
    std::string backend;           // the device that computes it
    bool is_view;                  // costs nothing
    std::vector<int64_t> sources;  // steps
    std::vector<int64_t> copied;   // the sources that are copied to the backend
};

// Sees the elements of nodes that it was asked to see. It may throw, which ends the run.
struct Observer {
    std::vector<bool> wanted;  // by node
    std::function<void(int64_t node, const ggml_tensor*)> see;
};

// Its tensors are allocated once (a scheduler must not allocate a graph twice). Inputs and outputs are not
// copied: each run points the graph's tensors, and the views over them, at the buffers of that run.
class Graph {
  public:
    // Inputs are the steps named "input", in their order. An output is a step that is neither input nor view.
    Graph(Compute& compute, std::span<const Step> steps, std::span<const int64_t> outputs,
          Placement placement = {});

    ~Graph();

    // One new buffer for each output, on the graph's device. Thread-safe; takes turns with other graphs.
    // Throws Cancelled if `look` or `cancel` ended it.
    std::vector<std::unique_ptr<Buffer>> run(std::span<const Buffer* const> inputs,
                                             const Observer* observer = nullptr, const Look* look = nullptr);
    // Seconds for one run of the graph alone, the mean of `num_runs`, after a `run`.
    double measure(std::span<const Buffer* const> inputs, int64_t num_runs);
    // Ends the run that another thread is in, which throws Cancelled: between two operations on the CPU, at
    // the next part on other devices. False if there is none.
    bool cancel();

    // How many threads of the CPU the next run uses: 1 for a small graph, else as many as were set.
    int num_threads() const;

    size_t num_inputs() const { return inputs_.size(); }
    int num_nodes() const { return ggml_graph_n_nodes(graph_); }
    int num_splits() const { return ggml_backend_sched_get_n_splits(scheduler_.get()); }
    int num_copies() const { return ggml_backend_sched_get_n_copies(scheduler_.get()); }
    size_t num_bytes() const;  // the size of all intermediate results
    // By device, in the scheduler's order: the bytes of intermediate results; of a plan, those it would take.
    // A plan with pinned steps does not know them: ggml measures without pins only. Then the list is empty.
    std::vector<std::pair<std::string, size_t>> buffer_bytes() const;
    const std::vector<NodeFacts>& nodes() const { return nodes_; }

  private:
    // A tensor whose memory is given anew for each run, with the views over it.
    struct Slot {
        ggml_tensor* tensor;
        std::vector<ggml_tensor*> views;
        bool is_bound;  // false: an output that lies in the scheduler's memory and is copied out
    };

    void build(std::span<const Step> steps, std::span<const int64_t> outputs);
    ggml_tensor* build_step(const Step& step, int64_t index, const std::vector<ggml_tensor*>& built);
    void pin(const std::vector<ggml_tensor*>& built);
    Compute* pinned_to(const ggml_tensor* t) const;
    void keep_together(ggml_tensor* t, ggml_tensor* base);
    void expand(std::span<const Step> steps, std::span<const int64_t> outputs,
                const std::vector<ggml_tensor*>& built);
    void add_slots(const std::vector<ggml_tensor*>& built, std::span<const int64_t> outputs);
    void place_slots(size_t num_bytes);
    size_t stand_in_bytes() const;
    void schedule();
    void check_memory();
    void list_nodes(const std::vector<ggml_tensor*>& built);
    void note_placement();
    bool runs_here(const ggml_tensor* t) const;
    void bind(const Slot& slot, const Memory& memory) const;
    std::vector<MemoryPtr> bind_inputs(std::span<const Buffer* const> inputs) const;
    void compute_now(const Observer* observer, const Look* look);
    static bool on_node(ggml_tensor* t, bool is_question, void* graph) noexcept;
    static bool should_stop(void* graph) noexcept;

    Compute& compute_;
    Placement placement_;
    std::vector<Compute*> computes_;  // in the scheduler's order, the CPU last
    GgmlPtr context_;
    ggml_cgraph* graph_ = nullptr;
    Fault fault_;
    std::vector<std::unique_ptr<Kernel>> kernels_;
    std::unique_ptr<Buffer> stand_in_;  // what the slots point at while the scheduler plans
    std::vector<Slot> inputs_, outputs_;
    std::vector<std::pair<ggml_tensor*, Compute*>> pins_;
    std::vector<NodeFacts> nodes_;
    std::vector<size_t> planned_bytes_;
    double work_ns_ = 0;   // how long one thread would take, estimated
    int num_working_ = 0;  // nodes that are no views
    SchedulerPtr scheduler_;
    Lock busy_;
    std::atomic<bool> is_running_ = false, is_cancelled_ = false;
    const Observer* observer_ = nullptr;
    const Look* look_ = nullptr;
    std::thread::id caller_;  // the thread that looks
    uint32_t num_forks_ = 0;  // before the run
    size_t next_node_ = 0;
    std::exception_ptr problem_;  // what the observer threw
};

}  // namespace native
