// A graph's runs: buffers bound, computed in turn, watched and ended.
#include <algorithm>
#include <chrono>

#include "base/check.h"
#include "base/log.h"
#include "graph/graph.h"
#include "graph/turn.h"
#include "graph/work.h"

namespace native {
namespace {

class Finally {
  public:
    explicit Finally(std::function<void()> last) : last_(std::move(last)) {}
    ~Finally() { last_(); }
    Finally(const Finally&) = delete;
    Finally& operator=(const Finally&) = delete;

  private:
    std::function<void()> last_;
};

std::string fault_text(const Fault& fault) {
    if (fault.kind == FaultKind::memory) return "no memory for the rows of a kernel";
    if (fault.kind == FaultKind::division) return "integer division or modulo by zero";
    return text("index ", fault.value.load(), " is out of bounds for size ", fault.limit.load());
}

}  // namespace

void Graph::bind(const Slot& slot, const Memory& memory) const {
    memory.place(slot.tensor);
    for (ggml_tensor* view : slot.views) {
        view->buffer = slot.tensor->buffer;
        view->data = static_cast<char*>(slot.tensor->data) + view->view_offs;
    }
}

std::vector<MemoryPtr> Graph::bind_inputs(std::span<const Buffer* const> inputs) const {
    if (inputs.size() != inputs_.size())
        bad_value("graph: ", inputs.size(), " inputs were given; it has ", inputs_.size());
    std::vector<MemoryPtr> held;  // a buffer may be closed while the graph runs
    held.reserve(inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) {
        const size_t wanted_bytes = ggml_nbytes(inputs_[i].tensor);
        if (inputs[i]->num_bytes() < wanted_bytes)
            bad_value("graph: input ", i, " has ", inputs[i]->num_bytes(), " bytes; it needs ", wanted_bytes);
        if (&inputs[i]->compute() != &compute_)
            bad_value("graph: input ", i, " lies on ", inputs[i]->device_name(), "; the graph runs on ",
                      compute_.device().name());
        held.push_back(inputs[i]->memory());
        bind(inputs_[i], *held.back());
    }
    return held;
}

bool Graph::should_stop(void* graph) noexcept {
    Graph& self = *static_cast<Graph*>(graph);
    if (self.is_cancelled_.load(std::memory_order_relaxed) || self.problem_ != nullptr) return true;
    // What a bad index would have to name is not written to.
    if (self.fault_.kind.load(std::memory_order_relaxed) != FaultKind::none) return true;
    if (!self.look_ || std::this_thread::get_id() != self.caller_ || !(*self.look_)()) return false;
    self.is_cancelled_ = true;
    return true;
}

// The scheduler's question and answer for each node, in the order of the graph.
bool Graph::on_node(ggml_tensor* t, bool is_question, void* graph) noexcept {
    Graph& self = *static_cast<Graph*>(graph);
    if (!self.observer_ || should_stop(graph)) return false;
    const auto is_it = [&](const NodeFacts& node) { return node.tensor == t; };
    auto at = std::find_if(self.nodes_.begin() + static_cast<std::ptrdiff_t>(self.next_node_),
                           self.nodes_.end(), is_it);
    if (at == self.nodes_.end()) at = std::find_if(self.nodes_.begin(), self.nodes_.end(), is_it);
    if (at == self.nodes_.end()) return false;
    const auto place = at - self.nodes_.begin();
    self.next_node_ = static_cast<size_t>(place);
    if (is_question) return !at->is_view && self.observer_->wanted[static_cast<size_t>(place)];
    try {
        const Observing here;
        self.observer_->see(place, t);
        if (num_forks() != self.num_forks_)
            throw Forked("observe: this process was forked while the graph ran, which cannot go on here");
    } catch (...) {
        self.problem_ = std::current_exception();
    }
    return self.problem_ == nullptr;
}

void Graph::compute_now(const Observer* observer, const Look* look) {
    fault_.clear();
    problem_ = nullptr;
    observer_ = observer;
    look_ = look;
    caller_ = std::this_thread::get_id();
    num_forks_ = num_forks();
    next_node_ = 0;
    // Devices other than the CPU take a part of the graph that they know for unchanged, and would use the
    // addresses of an earlier run. With a callback they are given views of the parts, which they do not know.
    const bool is_watched = observer || computes_.size() > 1;
    ggml_backend_sched_set_eval_callback(scheduler_.get(), is_watched ? &on_node : nullptr, this);
    for (const Compute* compute : computes_) compute->set_abort(&should_stop, this);
    const int threads = num_threads();
    cpu_compute().use_threads(threads);
    ggml_status status = GGML_STATUS_FAILED;
    std::string why;
    const std::function<void()> work = [&] {
        const LoggedErrors errors;
        status = ggml_backend_sched_graph_compute(scheduler_.get(), graph_);
        why = errors.first("");
    };
    if (threads == 1)
        work();
    else
        run_with_threads(work, [this] { should_stop(this); });
    for (const Compute* compute : computes_) compute->set_abort(nullptr, nullptr);
    observer_ = nullptr;
    look_ = nullptr;
    if (problem_) std::rethrow_exception(std::exchange(problem_, nullptr));
    if (is_cancelled_.exchange(false)) throw Cancelled("graph: the run was cancelled");
    if (fault_.kind != FaultKind::none) throw DataError(fault_.kind, fault_.step, fault_text(fault_));
    if (status == GGML_STATUS_ALLOC_FAILED)
        throw OutOfMemory(text("memory: ", why.empty() ? "none is left" : why));
    if (status != GGML_STATUS_SUCCESS) failed("graph: ", why.empty() ? ggml_status_to_string(status) : why);
}

int Graph::num_threads() const { return useful_threads(work_ns_, num_working_, cpu_compute().num_threads()); }

bool Graph::cancel() {
    if (!is_running_) return false;
    is_cancelled_ = true;
    return true;
}

std::vector<std::unique_ptr<Buffer>> Graph::run(std::span<const Buffer* const> inputs,
                                                const Observer* observer, const Look* look) {
    if (placement_.is_plan) bad_value("graph: it is a plan only, and cannot run");
    std::vector<std::unique_ptr<Buffer>> results;
    for (const Slot& slot : outputs_)
        results.push_back(std::make_unique<Buffer>(compute_, ggml_nbytes(slot.tensor)));
    refuse_while_observing();
    const std::unique_lock<Lock> lock = taken(busy_, look);
    is_cancelled_ = false;
    is_running_ = true;
    const Finally ran([&] { is_running_ = false; });
    const Turn turn(computes_, look);
    const std::vector<MemoryPtr> held = bind_inputs(inputs);
    for (size_t i = 0; i < outputs_.size(); ++i)
        if (outputs_[i].is_bound) bind(outputs_[i], *results[i]->memory());
    compute_now(observer, look);
    for (size_t i = 0; i < outputs_.size(); ++i)
        if (!outputs_[i].is_bound) {
            ggml_tensor target = *outputs_[i].tensor;
            results[i]->memory()->place(&target);
            ggml_backend_tensor_copy(outputs_[i].tensor, &target);
        }
    return results;
}

double Graph::measure(std::span<const Buffer* const> inputs, int64_t num_runs) {
    const std::vector<std::unique_ptr<Buffer>> results = run(inputs);  // its outputs stay bound below
    const std::lock_guard lock(busy_);
    const Turn turn(computes_);
    const std::vector<MemoryPtr> held = bind_inputs(inputs);
    const auto start = std::chrono::steady_clock::now();
    for (int64_t i = 0; i < num_runs; ++i) compute_now(nullptr, nullptr);
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    return spent.count() / static_cast<double>(num_runs);
}

}  // namespace native
