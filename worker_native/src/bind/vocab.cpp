#include "vocab/vocab.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include "bind/bind.h"
#include "bind/gil.h"

namespace nb = nanobind;
using namespace nb::literals;
using native::Vocab;

namespace {

using Tokens = nb::ndarray<nb::numpy, int32_t, nb::ndim<1>>;

nb::object frozen(const std::vector<int32_t>& tokens) {
    nb::list list;
    for (const int32_t token : tokens) list.append(token);
    return nb::steal<nb::object>(PyFrozenSet_New(list.ptr()));
}

Tokens array_of(std::vector<int32_t> tokens) {
    auto owned = std::make_unique<std::vector<int32_t>>(std::move(tokens));
    int32_t* data = owned->data();
    const size_t size = owned->size();
    const nb::capsule owner(owned.release(),
                            [](void* v) noexcept { delete static_cast<std::vector<int32_t>*>(v); });
    return Tokens(data, {size}, owner);
}

Tokens tokenize(const Vocab& vocab, nb::str text, bool add_special, bool parse_special,
                int64_t max_stack_bytes) {
    Py_ssize_t size = 0;
    const char* bytes = PyUnicode_AsUTF8AndSize(text.ptr(), &size);  // lives as long as `text`
    if (!bytes) throw nb::python_error();  // a lone surrogate: UnicodeEncodeError, a ValueError
    std::vector<int32_t> tokens;
    {
        const native::WithoutGil released;
        tokens =
            vocab.tokenize({bytes, static_cast<size_t>(size)}, add_special, parse_special, max_stack_bytes);
    }
    return array_of(std::move(tokens));
}

nb::bytes token_bytes(const Vocab& vocab, int64_t token, bool render_special) {
    const std::string bytes = vocab.token_bytes(token, render_special);
    return nb::bytes(bytes.data(), bytes.size());
}

}  // namespace

void bind_vocab(nb::module_& m) {
    nb::class_<Vocab>(m, "Vocab")
        .def(nb::init<const std::string&>(), "path"_a, nb::call_guard<native::WithoutGil>())
        .def_prop_ro("num_tokens", &Vocab::num_tokens)
        .def_prop_ro("bos", &Vocab::bos)
        .def_prop_ro("eos", &Vocab::eos)
        .def_prop_ro("end_tokens", [](const Vocab& vocab) { return frozen(vocab.end_tokens()); })
        .def_prop_ro("special_tokens", [](const Vocab& vocab) { return frozen(vocab.special_tokens()); })
        .def("longest_token_bytes", &Vocab::longest_token_bytes)
        .def("tokenize", &tokenize, "text"_a, "add_special"_a = true, "parse_special"_a = false,
             "max_stack_bytes"_a = INT64_MAX)
        .def("token_bytes", &token_bytes, "token"_a, "render_special"_a = false);
}
