#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include "bind.h"
#include "check.h"
#include "gil.h"
#include "graph.h"

namespace nb = nanobind;
using namespace nb::literals;
using native::Buffer;
using native::Graph;

namespace {

using Words = nb::ndarray<const int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

std::span<const int64_t> span_of(const Words& words) { return {words.data(), words.size()}; }

void build(Graph* self, std::string device, const Words& program, const Words& outputs) {
    native::Compute& compute = native::compute_on(device);
    const native::WithoutGil released;
    new (self) Graph(compute, span_of(program), span_of(outputs));
}

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

nb::list run(Graph& self, const nb::list& inputs) {
    const std::vector<const Buffer*> buffers = pointers(inputs);
    // Another thread may change the list: each buffer is kept here until the run is over.
    const std::vector<nb::object> kept = [&] {
        std::vector<nb::object> objects;
        for (nb::handle input : inputs) objects.push_back(nb::borrow(input));
        return objects;
    }();
    std::vector<std::unique_ptr<Buffer>> results;
    {
        const native::WithoutGil released;
        results = self.run(buffers);
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
    PyObject* kind = error.kind == native::FaultKind::division ? PyExc_ZeroDivisionError : PyExc_IndexError;
    const nb::object arguments = nb::make_tuple(error.what(), error.step);
    PyErr_SetObject(kind, arguments.ptr());
}

}  // namespace

void bind_graph(nb::module_& m) {
    nb::register_exception_translator([](const std::exception_ptr& error, void*) {
        try {
            std::rethrow_exception(error);
        } catch (const native::DataError& data) {
            raise(data);
        }
    });
    nb::class_<Graph>(m, "Graph")
        .def("__init__", &build, "device"_a, "program"_a.noconvert(), "outputs"_a.noconvert())
        .def("run", &run, "inputs"_a)
        .def("measure", &measure, "inputs"_a, "num_runs"_a)
        .def_prop_ro("num_inputs", &Graph::num_inputs)
        .def_prop_ro("num_nodes", &Graph::num_nodes)
        .def_prop_ro("num_splits", &Graph::num_splits)
        .def_prop_ro("num_bytes", &Graph::num_bytes);
}
