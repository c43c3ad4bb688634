#include "vocab/vocab.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bind/bind.h"
#include "bind/gil.h"

namespace nb = nanobind;
using namespace nb::literals;
using native::Piece;
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

// Lives as long as `text`.
std::string_view utf8_of(nb::handle text) {
    Py_ssize_t size = 0;
    const char* bytes = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
    if (!bytes) throw nb::python_error();  // a lone surrogate: UnicodeEncodeError, a ValueError
    return {bytes, static_cast<size_t>(size)};
}

Tokens tokenized(const Vocab& vocab, const std::vector<Piece>& pieces, bool add_special,
                 int64_t max_stack_bytes) {
    std::vector<int32_t> tokens;
    {
        const native::WithoutGil released;
        tokens = vocab.tokenize(pieces, add_special, max_stack_bytes);
    }
    return array_of(std::move(tokens));
}

Tokens tokenize(const Vocab& vocab, nb::str text, bool add_special, bool parse_special,
                int64_t max_stack_bytes) {
    return tokenized(vocab, {{utf8_of(text), parse_special}}, add_special, max_stack_bytes);
}

Tokens tokenize_pieces(const Vocab& vocab, const std::vector<std::pair<nb::str, bool>>& pieces,
                       bool add_special, int64_t max_stack_bytes) {
    std::vector<Piece> found;
    found.reserve(pieces.size());
    for (const auto& [text, parse_special] : pieces) found.push_back({utf8_of(text), parse_special});
    return tokenized(vocab, found, add_special, max_stack_bytes);
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
        .def_prop_ro("type", &Vocab::type)
        .def_prop_ro("adds_bos", &Vocab::adds_bos)
        .def_prop_ro("bos", &Vocab::bos)
        .def_prop_ro("eos", &Vocab::eos)
        .def_prop_ro("end_tokens", [](const Vocab& vocab) { return frozen(vocab.end_tokens()); })
        .def_prop_ro("special_tokens", [](const Vocab& vocab) { return frozen(vocab.special_tokens()); })
        .def("longest_token_bytes", &Vocab::longest_token_bytes)
        .def("tokenize", &tokenize, "text"_a, "add_special"_a = true, "parse_special"_a = false,
             "max_stack_bytes"_a = INT64_MAX)
        .def("tokenize_pieces", &tokenize_pieces, "pieces"_a, "add_special"_a = true,
             "max_stack_bytes"_a = INT64_MAX)
        .def("token_kind", &Vocab::token_kind, "token"_a)
        .def("token_bytes", &token_bytes, "token"_a, "render_special"_a = false);
}
