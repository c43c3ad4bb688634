// The parts of the module. Every bind file is a list; logic lives beside it.
#pragma once

#include <nanobind/nanobind.h>

void bind_constants(nanobind::module_& m);
void bind_device(nanobind::module_& m);
void bind_quantize(nanobind::module_& m);
void bind_measure(nanobind::module_& m);
void bind_vocab(nanobind::module_& m);
void bind_sampler(nanobind::module_& m);
void bind_slice(nanobind::module_& m);
void bind_backend(nanobind::module_& m);
void bind_tensor(nanobind::module_& m);
void bind_graph(nanobind::module_& m);
