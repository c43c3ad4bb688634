#include "device/device.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <memory>

#include "base/last_words.h"
#include "base/log.h"
#include "bind/bind.h"
#include "bind/gil.h"
#include "device/self_test.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

// A Python callable that any thread may call and release.
class PythonSink {
  public:
    explicit PythonSink(nb::object callback) : callback_(std::move(callback)) {}
    ~PythonSink() {
        const nb::gil_scoped_acquire gil;
        callback_.reset();
    }
    PythonSink(const PythonSink&) = delete;
    PythonSink& operator=(const PythonSink&) = delete;

    void operator()(int level, const std::string& line) const {
        const nb::gil_scoped_acquire gil;
        try {
            callback_(level, nb::steal<nb::str>(
                                 PyUnicode_DecodeUTF8(line.data(), Py_ssize_t(line.size()), "replace")));
        } catch (nb::python_error& error) {
            error.discard_as_unraisable("worker_native log callback");
        }
    }

  private:
    nb::object callback_;
};

nb::dict capabilities(const native::Device& device) {
    const ggml_backend_dev_caps caps = device.capabilities();
    nb::dict named;
    named["async"] = caps.async;
    named["host_buffer"] = caps.host_buffer;
    named["buffer_from_host_ptr"] = caps.buffer_from_host_ptr;
    named["events"] = caps.events;
    return named;
}

void set_log(nb::object callback) {
    native::install_log();
    if (callback.is_none()) return native::set_log_sink(nullptr);
    if (!PyCallable_Check(callback.ptr())) throw nb::type_error("callback: must be callable or None");
    auto sink = std::make_shared<PythonSink>(std::move(callback));
    native::set_log_sink(std::make_shared<native::LogSink>(
        [sink = std::move(sink)](int level, const std::string& line) { (*sink)(level, line); }));
}

}  // namespace

void bind_device(nb::module_& m) {
    nb::class_<native::Device>(m, "Device")
        .def_prop_ro("name", &native::Device::name)
        .def_prop_ro("description", &native::Device::description)
        .def_prop_ro("kind", &native::Device::kind)
        .def_prop_ro("memory_total_bytes", &native::Device::memory_total_bytes)
        .def_prop_ro("memory_free_bytes", &native::Device::memory_free_bytes)
        .def_prop_ro("id", &native::Device::id)
        .def_prop_ro("backend", &native::Device::backend)
        .def_prop_ro("capabilities", &capabilities)
        .def_prop_ro("buffer_types", &native::Device::buffer_types)
        .def("__repr__", [](const native::Device& device) {
            return "Device(" + device.name() + ", " + device.description() + ")";
        });
    m.def("devices", &native::devices);
    m.def("build", &native::build_text);
    m.def("self_test", &native::self_test, "use_extra_bufts"_a = true, nb::call_guard<native::WithoutGil>());
    m.def("set_log", &set_log, "callback"_a.none());
    m.def("keep_last_words", &native::keep_last_words, "path"_a);
}
