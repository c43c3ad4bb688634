#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <cstring>

#include "bind.h"
#include "gguf_file.h"
#include "gil.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

nb::object text(const char* bytes) {
    return nb::steal<nb::str>(PyUnicode_DecodeUTF8(bytes, Py_ssize_t(std::strlen(bytes)), "replace"));
}

template <class Number>
Number element(const void* data, size_t index) {
    Number value;
    std::memcpy(&value, static_cast<const char*>(data) + index * sizeof value, sizeof value);
    return value;
}

nb::object number(gguf_type type, const void* data, size_t index) {
    switch (type) {
        case GGUF_TYPE_UINT8:
            return nb::int_(element<uint8_t>(data, index));
        case GGUF_TYPE_INT8:
            return nb::int_(element<int8_t>(data, index));
        case GGUF_TYPE_UINT16:
            return nb::int_(element<uint16_t>(data, index));
        case GGUF_TYPE_INT16:
            return nb::int_(element<int16_t>(data, index));
        case GGUF_TYPE_UINT32:
            return nb::int_(element<uint32_t>(data, index));
        case GGUF_TYPE_INT32:
            return nb::int_(element<int32_t>(data, index));
        case GGUF_TYPE_UINT64:
            return nb::int_(element<uint64_t>(data, index));
        case GGUF_TYPE_INT64:
            return nb::int_(element<int64_t>(data, index));
        case GGUF_TYPE_FLOAT32:
            return nb::float_(element<float>(data, index));
        case GGUF_TYPE_FLOAT64:
            return nb::float_(element<double>(data, index));
        case GGUF_TYPE_BOOL:
            return nb::bool_(element<uint8_t>(data, index) != 0);
        default:
            return nb::none();
    }
}

nb::object value_of(const gguf_context* file, int64_t id) {
    const gguf_type type = gguf_get_kv_type(file, id);
    if (type == GGUF_TYPE_STRING) return text(gguf_get_val_str(file, id));
    if (type != GGUF_TYPE_ARRAY) return number(type, gguf_get_val_data(file, id), 0);
    const gguf_type item = gguf_get_arr_type(file, id);
    nb::list items;
    for (size_t i = 0; i < gguf_get_arr_n(file, id); ++i)
        items.append(item == GGUF_TYPE_STRING ? text(gguf_get_arr_str(file, id, i))
                                              : number(item, gguf_get_arr_data(file, id), i));
    return items;
}

std::string type_name(const gguf_context* file, int64_t id) {
    const gguf_type type = gguf_get_kv_type(file, id);
    const std::string name = gguf_type_name(type);
    return type == GGUF_TYPE_ARRAY ? name + ":" + gguf_type_name(gguf_get_arr_type(file, id)) : name;
}

// Extents slowest first, as everywhere in Python. A file's trailing extents of 1 cannot be told from none.
nb::tuple shape_of(const int64_t* extents) {
    int rank = GGML_MAX_DIMS;
    while (rank > 1 && extents[rank - 1] == 1) --rank;
    nb::list shape;
    for (int axis = rank - 1; axis >= 0; --axis) shape.append(extents[axis]);
    return nb::tuple(shape);
}

nb::dict read_gguf(const std::string& path) {
    native::GgufPtr file;
    {
        const native::WithoutGil released;
        file = native::open_gguf(path);
    }
    nb::dict metadata;
    for (int64_t id = 0; id < gguf_get_n_kv(file.get()); ++id)
        metadata[text(gguf_get_key(file.get(), id))] =
            nb::make_tuple(type_name(file.get(), id), value_of(file.get(), id));
    nb::list tensors;
    for (int64_t id = 0; id < gguf_get_n_tensors(file.get()); ++id)
        tensors.append(nb::make_tuple(
            text(gguf_get_tensor_name(file.get(), id)), int(gguf_get_tensor_type(file.get(), id)),
            shape_of(gguf_get_tensor_ne(file.get(), id)),
            gguf_get_data_offset(file.get()) + gguf_get_tensor_offset(file.get(), id),
            gguf_get_tensor_size(file.get(), id)));
    nb::dict result;
    result["version"] = gguf_get_version(file.get());
    result["alignment"] = gguf_get_alignment(file.get());
    result["metadata"] = metadata;
    result["tensors"] = tensors;
    return result;
}

}  // namespace

void bind_gguf(nb::module_& m) { m.def("read_gguf", &read_gguf, "path"_a); }
