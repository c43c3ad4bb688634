#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <memory>

#include "base/check.h"
#include "bind/bind.h"
#include "bind/gil.h"
#include "device/buffer.h"

namespace nb = nanobind;
using namespace nb::literals;
using native::Buffer;

namespace {

using Bytes = nb::ndarray<nb::ro, uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using MutableBytes = nb::ndarray<uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using AnyArray = nb::ndarray<nb::ro>;

void allocate(Buffer* self, std::string device, int64_t num_bytes) {
    if (num_bytes < 0) native::bad_value("buffer: ", num_bytes, " bytes");
    native::Compute& compute = native::compute_on(device);
    const native::WithoutGil released;
    new (self) Buffer(compute, static_cast<size_t>(num_bytes));
}

std::unique_ptr<Buffer> pinned(std::string for_device, int64_t num_bytes) {
    if (num_bytes < 0) native::bad_value("buffer: ", num_bytes, " bytes");
    const native::Device device = native::find_device(for_device);
    const native::WithoutGil released;
    return std::make_unique<Buffer>(native::cpu_compute(), static_cast<size_t>(num_bytes), device);
}

void write_bytes(Buffer& self, const Bytes& source, int64_t offset) {
    if (offset < 0) native::bad_value("buffer: offset ", offset);
    const native::WithoutGil released;
    self.write(source.data(), static_cast<size_t>(offset), source.size());
}

void read_bytes(const Buffer& self, const MutableBytes& target, int64_t offset) {
    if (offset < 0) native::bad_value("buffer: offset ", offset);
    const native::WithoutGil released;
    self.read(target.data(), static_cast<size_t>(offset), target.size());
}

void copy_from(Buffer& self, const Buffer& source) {
    const native::WithoutGil released;
    self.copy_from(source);
}

// The elements that an array spans, from its lowest to its highest in memory.
struct Span {
    int64_t num_below = 0;  // elements below the first one: strides may be negative
    int64_t num_elements = 0;

    explicit Span(const AnyArray& array) {
        if (array.size() == 0) return;
        num_elements = 1;
        for (size_t axis = 0; axis < array.ndim(); ++axis) {
            const int64_t reach = (static_cast<int64_t>(array.shape(axis)) - 1) * array.stride(axis);
            if (reach < 0) num_below -= reach;
            num_elements += reach < 0 ? -reach : reach;
        }
    }
};

// Releases the array with the GIL held, whichever thread drops the last buffer over it.
std::shared_ptr<void> keep(AnyArray array) {
    return std::shared_ptr<void>(new AnyArray(std::move(array)), [](void* p) {
        const nb::gil_scoped_acquire gil;
        delete static_cast<AnyArray*>(p);
    });
}

// The memory of any object that speaks DLPack or the buffer protocol. It is never written to if
// `is_read_only`.
nb::object borrow(std::string device, AnyArray array, bool is_read_only) {
    native::Compute& compute = native::compute_on(device);
    if (compute.device().is_cpu() != (array.device_type() == nb::device::cpu::value))
        native::bad_value("buffer: the array does not lie on ", device);
    const Span span(array);
    const int64_t item_bytes = static_cast<int64_t>(array.itemsize());
    char* first = static_cast<char*>(const_cast<void*>(static_cast<const void*>(array.data())));
    return nb::cast(std::make_unique<Buffer>(compute, first - span.num_below * item_bytes,
                                             static_cast<size_t>(span.num_elements * item_bytes),
                                             keep(std::move(array)), is_read_only));
}

// Type code, bits, shape, strides and elements below the first (all in elements), (device type, device id).
nb::tuple describe(const AnyArray& array) {
    nb::list shape, strides;
    for (size_t axis = 0; axis < array.ndim(); ++axis) {
        shape.append(array.shape(axis));
        strides.append(array.stride(axis));
    }
    const auto type = array.dtype();
    return nb::make_tuple(int(type.code), int(type.bits) * int(type.lanes), nb::tuple(shape),
                          nb::tuple(strides), Span(array).num_below,
                          nb::make_tuple(array.device_type(), array.device_id()));
}

// An array over the buffer's memory that speaks DLPack and keeps that memory alive.
nb::object view(const Buffer& buffer, std::vector<int64_t> shape, int code, int bits, int device_type,
                int device_id) {
    uint64_t num_bytes = static_cast<uint64_t>(bits) / 8;
    std::vector<size_t> extents;
    for (int64_t extent : shape) {
        if (extent < 0 || extent > (int64_t(1) << 48)) native::bad_value("buffer: extent ", extent);
        extents.push_back(static_cast<size_t>(extent));
        if (__builtin_mul_overflow(num_bytes, static_cast<uint64_t>(extent), &num_bytes))
            native::bad_value("buffer: the shape is too large");
    }
    if (num_bytes > buffer.num_bytes()) native::bad_value("buffer: the shape is larger than the buffer");
    const nb::dlpack::dtype type{static_cast<uint8_t>(code), static_cast<uint8_t>(bits), 1};
    auto held = std::make_unique<native::MemoryPtr>(buffer.memory());
    void* data = (*held)->data;
    // Not the buffer itself: that may be closed while the array is in use.
    const nb::capsule owner(held.get(), [](void* p) noexcept { delete static_cast<native::MemoryPtr*>(p); });
    const native::MemoryPtr* memory = held.release();
    if ((*memory)->is_read_only)
        return nb::cast(nb::ndarray<nb::array_api, nb::ro>(data, extents.size(), extents.data(), owner,
                                                           nullptr, type, device_type, device_id));
    return nb::cast(nb::ndarray<nb::array_api>(data, extents.size(), extents.data(), owner, nullptr, type,
                                               device_type, device_id));
}

}  // namespace

void bind_tensor(nb::module_& m) {
    nb::class_<Buffer>(m, "Buffer", nb::is_weak_referenceable())
        .def("__init__", &allocate, "device"_a, "num_bytes"_a)
        .def("view", &view, "shape"_a, "code"_a, "bits"_a, "device_type"_a, "device_id"_a)
        .def("write", &write_bytes, "source"_a.noconvert(), "offset"_a = 0)
        .def("read", &read_bytes, "target"_a.noconvert(), "offset"_a = 0)
        .def("copy_from", &copy_from, "source"_a)
        .def("close", &Buffer::close)
        .def_prop_ro("is_closed", &Buffer::is_closed)
        .def_prop_ro("is_viewed", &Buffer::is_viewed)
        .def_prop_ro("is_read_only", &Buffer::is_read_only)
        .def_prop_ro("type_name", &Buffer::type_name)
        .def_prop_ro("num_bytes", &Buffer::num_bytes)
        .def_prop_ro("is_host", &Buffer::is_host)
        .def_prop_ro("device", &Buffer::device_name)
        .def_prop_ro("data_ptr",
                     [](const Buffer& self) { return reinterpret_cast<uintptr_t>(self.memory()->data); });
    m.def("pinned_buffer", &pinned, "for_device"_a, "num_bytes"_a);
    m.def("borrow_array", &borrow, "device"_a, "array"_a.noconvert(), "is_read_only"_a = false);
    m.def("describe_array", &describe, "array"_a.noconvert());
}
