#include "graph/graph.h"

#include <algorithm>
#include <chrono>

#include "base/abort_guard.h"
#include "base/check.h"
#include "base/log.h"
#include "graph/work.h"

namespace native {
namespace {

// Slots point somewhere while the scheduler plans; only where matters.
constexpr size_t least_stand_in_bytes = 256;

// How long a run waits for its turn before it looks whether it should go on.
constexpr auto look_every = std::chrono::milliseconds(100);

std::unique_lock<Lock> taken(Lock& lock, const Graph::Look* look) {
    if (!look) return std::unique_lock(lock);
    while (!lock.try_lock_for(look_every))
        if ((*look)()) throw Cancelled("graph: the run was cancelled");
    return {lock, std::adopt_lock};
}

// The locks of everything that a graph computes on, always taken in one order.
class Turn {
  public:
    explicit Turn(std::vector<Compute*> computes, const Graph::Look* look = nullptr) {
        refuse_while_observing();
        for (const Compute* compute : computes) compute->refuse_elsewhere();
        std::sort(computes.begin(), computes.end());
        for (Compute* compute : computes) locks_.push_back(taken(compute->busy(), look));
    }

  private:
    std::vector<std::unique_lock<Lock>> locks_;
};

size_t context_bytes(size_t num_steps) {
    return ggml_tensor_overhead() * (2 * num_steps + 8) + ggml_graph_overhead_custom(num_steps + 8, false);
}

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

Graph::Graph(Compute& compute, std::span<const int64_t> words, std::span<const int64_t> outputs,
             Placement placement)
    : compute_(compute), placement_(std::move(placement)) {
    // The device that holds the inputs comes first, unless it is the CPU, which a scheduler wants last.
    for (Compute* one : placement_.others)
        if (one != &compute_ && one != &cpu_compute() && std::ranges::count(computes_, one) == 0)
            computes_.push_back(one);
    if (&compute_ != &cpu_compute()) computes_.insert(computes_.begin(), &compute_);
    computes_.push_back(&cpu_compute());
    for (const Compute* one : computes_) one->refuse_elsewhere();
    const std::vector<Step> steps = decode_program(words);
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
    Site site{context_.get(), step, primitive.name, index, {}, kernels_, fault_};
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
    for (const Slot& slot : outputs_) ggml_build_forward_expand(graph_, slot.tensor);
    list_nodes(built);
    num_working_ =
        static_cast<int>(std::ranges::count_if(nodes_, [](const NodeFacts& node) { return !node.is_view; }));
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
    if (status == GGML_STATUS_ALLOC_FAILED)
        throw OutOfMemory(text("memory: ", why.empty() ? "none is left" : why));
    if (status != GGML_STATUS_SUCCESS) failed("graph: ", why.empty() ? ggml_status_to_string(status) : why);
    if (fault_.kind != FaultKind::none) throw DataError(fault_.kind, fault_.step, fault_text(fault_));
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
