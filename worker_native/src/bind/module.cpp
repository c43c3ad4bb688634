#include <llama.h>

#include "base/abort_guard.h"
#include "base/check.h"
#include "base/log.h"
#include "bind/bind.h"
#include "bind/gil.h"

NB_MODULE(_native, m) {
    nanobind::set_leak_warnings(false);  // objects that live until the interpreter ends are no leak
    nanobind::register_exception_translator([](const std::exception_ptr& error, void*) {
        try {
            std::rethrow_exception(error);
        } catch (const native::OutOfMemory& memory) {
            if (memory.num_bytes == 0) return PyErr_SetString(PyExc_MemoryError, memory.what());
            const auto arguments = nanobind::make_tuple(memory.what(), memory.num_bytes);
            PyErr_SetObject(PyExc_MemoryError, arguments.ptr());
        }
    });
    native::watch_interpreter_end();
    native::install_log();
    llama_backend_init();
    native::install_abort_guard();
    bind_constants(m);
    bind_device(m);
    bind_vocab(m);
    bind_sampler(m);
    bind_slice(m);
    bind_measure(m);
    bind_backend(m);
    bind_tensor(m);
    bind_graph(m);
    bind_quantize(m);
}
