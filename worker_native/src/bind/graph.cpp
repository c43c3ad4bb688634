#include "graph/graph.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include "base/check.h"
#include "bind/bind.h"
#include "bind/gil.h"
#include "graph/program.h"

namespace nb = nanobind;
using namespace nb::literals;
using native::Buffer;
using native::Graph;

namespace {

using Words = nb::ndarray<const int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

std::span<const int64_t> span_of(const Words& words) { return {words.data(), words.size()}; }

void build(Graph* self, std::string device, const std::vector<std::string>& names, const Words& program,
           const Words& outputs, std::vector<std::string> others,
           std::vector<std::pair<int64_t, std::string>> pinned, bool is_plan) {
    native::Compute& compute = native::compute_on(device);
    native::Placement placement;
    for (const std::string& name : others) placement.others.push_back(&native::compute_on(name));
    for (const auto& [step, name] : pinned) placement.pinned.emplace_back(step, &native::compute_on(name));
    placement.is_plan = is_plan;
    const native::WithoutGil released;
    const std::vector<native::Step> steps = native::decode_program(names, span_of(program));
    new (self) Graph(compute, steps, span_of(outputs), std::move(placement));
}

const char* op_name(const ggml_tensor* t) {
    return t->op == GGML_OP_UNARY || t->op == GGML_OP_GLU ? ggml_op_desc(t) : ggml_op_name(t->op);
}

// (step, op, ggml type, shape in PyTorch's order, device, whether a view, sources, sources that are copied)
nb::list nodes(const Graph& self) {
    nb::list list;
    for (const native::NodeFacts& node : self.nodes()) {
        nb::list shape;
        for (int axis = ggml_n_dims(node.tensor) - 1; axis >= 0; --axis) shape.append(node.tensor->ne[axis]);
        list.append(nb::make_tuple(node.step, op_name(node.tensor), static_cast<int>(node.tensor->type),
                                   nb::tuple(shape), node.backend, node.is_view, node.sources, node.copied));
    }
    return list;
}

// Gives the elements of a node to a Python function, as bytes in the order of memory.
class PythonObserver {
  public:
    explicit PythonObserver(nb::callable function) : function_(std::move(function)) {}

    void operator()(int64_t node, const ggml_tensor* t) const {
        const bool is_plain = ggml_is_contiguous(t);
        std::vector<char> elements(ggml_nbytes(t));
        if (is_plain) ggml_backend_tensor_get(t, elements.data(), 0, elements.size());
        const nb::gil_scoped_acquire gil;
        if (!is_plain) throw nb::type_error("observer: a result with gaps cannot be shown");
        function_(node, nb::bytes(elements.data(), elements.size()));
    }

  private:
    nb::callable function_;
};

// The caller's list keeps the buffers alive; None in it is no buffer.
std::vector<const Buffer*> pointers(const nb::list& inputs) {
    std::vector<const Buffer*> buffers;
    buffers.reserve(inputs.size());
    for (nb::handle input : inputs) {
        const Buffer* buffer = nullptr;
        if (input.is_none() || !nb::try_cast(input, buffer)) throw nb::type_error("inputs: not a Buffer");
        buffers.push_back(buffer);
    }
    return buffers;
}

std::unique_ptr<native::Observer> observe(const nb::object& function, const std::vector<int64_t>& wanted,
                                          const Graph& self) {
    if (function.is_none()) return nullptr;
    auto observer = std::make_unique<native::Observer>();
    observer->wanted.resize(static_cast<size_t>(self.num_nodes()));
    for (int64_t node : wanted)
        observer
            ->wanted[static_cast<size_t>(native::in_range("observer: node", node, 0, self.num_nodes() - 1))] =
            true;
    observer->see = PythonObserver(nb::cast<nb::callable>(function));
    return observer;
}

nb::list run(Graph& self, const nb::list& inputs, const nb::object& observer,
             const std::vector<int64_t>& wanted) {
    const std::vector<const Buffer*> buffers = pointers(inputs);
    const std::unique_ptr<native::Observer> watching = observe(observer, wanted, self);
    // Another thread may change the list: each buffer is kept here until the run is over.
    const std::vector<nb::object> kept = [&] {
        std::vector<nb::object> objects;
        for (nb::handle input : inputs) objects.push_back(nb::borrow(input));
        return objects;
    }();
    std::vector<std::unique_ptr<Buffer>> results;
    native::SignalWatch signals;
    const native::Look look = std::ref(signals);
    try {
        const native::WithoutGil released;
        results = self.run(buffers, watching.get(), &look);
    } catch (const native::Cancelled&) {
        signals.rethrow();
        throw;
    }
    nb::list list;
    for (std::unique_ptr<Buffer>& result : results) list.append(nb::cast(std::move(result)));
    return list;
}

double measure(Graph& self, const nb::list& inputs, int64_t num_runs) {
    const std::vector<const Buffer*> buffers = pointers(inputs);
    if (num_runs < 1) native::bad_value("num_runs: ", num_runs, " is less than 1");
    const native::WithoutGil released;
    return self.measure(buffers, num_runs);
}

void raise(const native::DataError& error) {
    PyObject* kind = error.kind == native::FaultKind::division ? PyExc_ZeroDivisionError
                     : error.kind == native::FaultKind::memory ? PyExc_MemoryError
                                                               : PyExc_IndexError;
    // The second argument of a MemoryError is how much was asked for, which nobody knows here.
    const bool is_memory = error.kind == native::FaultKind::memory;
    const nb::object arguments = nb::make_tuple(error.what(), is_memory ? 0 : error.step);
    PyErr_SetObject(kind, arguments.ptr());
}

}  // namespace

void bind_graph(nb::module_& m) {
    nb::register_exception_translator([](const std::exception_ptr& error, void*) {
        try {
            std::rethrow_exception(error);
        } catch (const native::DataError& data) {
            raise(data);
        } catch (const native::Cancelled& cancelled) {
            PyErr_SetString(PyExc_InterruptedError, cancelled.what());
        }
    });
    nb::exception<native::Forked>(m, "ForkedError", PyExc_RuntimeError);
    nb::exception<native::Occupied>(m, "OccupiedError", PyExc_RuntimeError);
    nb::class_<Graph>(m, "Graph")
        .def("__init__", &build, "device"_a, "names"_a, "program"_a.noconvert(), "outputs"_a.noconvert(),
             "others"_a = std::vector<std::string>(),
             "pinned"_a = std::vector<std::pair<int64_t, std::string>>(), "is_plan"_a = false)
        .def("run", &run, "inputs"_a, "observer"_a.none() = nb::none(), "wanted"_a = std::vector<int64_t>())
        .def("cancel", &Graph::cancel)
        .def("nodes", &nodes)
        .def("buffer_bytes", &Graph::buffer_bytes)
        .def_prop_ro("num_copies", &Graph::num_copies)
        .def("measure", &measure, "inputs"_a, "num_runs"_a)
        .def_prop_ro("num_inputs", &Graph::num_inputs)
        .def_prop_ro("num_threads", &Graph::num_threads)
        .def_prop_ro("num_nodes", &Graph::num_nodes)
        .def_prop_ro("num_splits", &Graph::num_splits)
        .def_prop_ro("num_bytes", &Graph::num_bytes);
}
