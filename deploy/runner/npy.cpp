#include "npy.h"

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <utility>

namespace {

using ggml_program::DType;
using ggml_program::Error;

constexpr std::pair<const char*, DType> dtypes[] = {
    {"<f4", DType::float32}, {"<f2", DType::float16}, {"<i4", DType::int32},
    {"<i8", DType::int64},   {"|b1", DType::boolean},
};
constexpr uint64_t max_elements = uint64_t(1) << 46;
constexpr size_t max_header_bytes = 1 << 16, max_rank = 8;

[[noreturn]] void fail(const std::string& path, const std::string& why) {
    throw Error(Error::Kind::file, path + ": " + why);
}

// The value of a key in the header, a dict as Python writes it, up to the comma or the bracket that ends it.
std::string_view value_of(std::string_view header, std::string_view key, std::string_view ends,
                          const std::string& path) {
    const std::string quoted = "'" + std::string(key) + "':";
    size_t at = header.find(quoted);
    if (at == std::string_view::npos) fail(path, "its header has no '" + std::string(key) + "'");
    at += quoted.size();
    while (at < header.size() && header[at] == ' ') ++at;
    const size_t end = header.find_first_of(ends, at);
    if (end == std::string_view::npos) fail(path, "its header does not end");
    return header.substr(at, end - at);
}

DType dtype_of(std::string_view descr, const std::string& path) {
    for (const auto& [name, dtype] : dtypes)
        if (descr == "'" + std::string(name) + "'") return dtype;
    fail(path, "elements are " + std::string(descr.substr(0, 16)) +
                   "; convert to float32, float16, int32, int64 or bool, little-endian");
}

std::vector<int64_t> shape_of(std::string_view listed, const std::string& path) {
    std::vector<int64_t> shape;
    uint64_t total = 1;
    for (size_t at = 1; at < listed.size();) {  // behind the bracket
        uint64_t extent = 0;
        const size_t begin = at;
        while (at < listed.size() && listed[at] >= '0' && listed[at] <= '9' && extent < max_elements)
            extent = extent * 10 + static_cast<uint64_t>(listed[at++] - '0');
        if (at == begin || extent > max_elements / total || shape.size() == max_rank)
            fail(path, "its shape is none of a program");
        total *= extent > 0 ? extent : 1;
        shape.push_back(static_cast<int64_t>(extent));
        while (at < listed.size() && (listed[at] == ',' || listed[at] == ' ')) ++at;
    }
    return shape;
}

std::string npy_header(const char* descr, const std::vector<int64_t>& shape) {
    std::string extents;
    for (int64_t extent : shape) extents += std::to_string(extent) + ",";
    std::string header =
        "{'descr': '" + std::string(descr) + "', 'fortran_order': False, 'shape': (" + extents + "), }";
    while ((10 + header.size() + 1) % 64 != 0) header += ' ';
    return header + '\n';
}

}  // namespace

NpyArray read_npy(const std::string& path) {
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error)) fail(path, "is no file");
    std::ifstream file(path, std::ios::binary);
    char start[10];
    if (!file.read(start, sizeof start) || std::memcmp(start, "\x93NUMPY", 6) != 0)
        fail(path, "is no .npy file");
    size_t header_bytes = static_cast<uint8_t>(start[8]) | static_cast<size_t>(static_cast<uint8_t>(start[9]))
                                                               << 8;
    if (start[6] > 1) {  // the length has four bytes
        uint8_t more[2];
        if (!file.read(reinterpret_cast<char*>(more), sizeof more)) fail(path, "its header does not end");
        header_bytes |= static_cast<size_t>(more[0]) << 16 | static_cast<size_t>(more[1]) << 24;
    }
    if (header_bytes > max_header_bytes) fail(path, "its header is too long");
    std::string header(header_bytes, '\0');
    if (!file.read(header.data(), static_cast<std::streamsize>(header.size())))
        fail(path, "its header does not end");
    NpyArray array{dtype_of(value_of(header, "descr", ",}", path), path), {}, {}};
    array.shape = shape_of(value_of(header, "shape", ")", path), path);
    if (value_of(header, "fortran_order", ",}", path) != "False" && array.shape.size() > 1)
        fail(path, "its elements are in Fortran's order; save numpy.ascontiguousarray(...)");
    const ggml_program::Spec spec{"", array.dtype, array.shape};
    const uintmax_t behind = std::filesystem::file_size(path, error) - static_cast<uintmax_t>(file.tellg());
    if (error || behind != spec.num_bytes())
        fail(path, "has " + std::to_string(behind) + " bytes of elements; its shape needs " +
                       std::to_string(spec.num_bytes()));
    array.elements.resize(spec.num_bytes());
    if (!file.read(array.elements.data(), static_cast<std::streamsize>(array.elements.size())) &&
        !array.elements.empty())
        fail(path, "could not be read");
    return array;
}

void write_npy(const std::string& path, const ggml_program::Array& array) {
    const char* descr = "<f4";
    for (const auto& [name, dtype] : dtypes)
        if (dtype == array.spec.dtype) descr = name;
    const std::string header = npy_header(descr, array.spec.shape);
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    const char start[10] = {'\x93',
                            'N',
                            'U',
                            'M',
                            'P',
                            'Y',
                            1,
                            0,
                            static_cast<char>(header.size() & 0xff),
                            static_cast<char>(header.size() >> 8)};
    file.write(start, sizeof start).write(header.data(), static_cast<std::streamsize>(header.size()));
    if (array.spec.dtype == DType::bfloat16) {
        for (size_t i = 0; i < array.spec.num_elements(); ++i) {
            const uint32_t bits = static_cast<uint32_t>(array.data<uint16_t>()[i]) << 16;
            file.write(reinterpret_cast<const char*>(&bits), sizeof bits);
        }
    } else if (array.spec.num_bytes() > 0) {
        file.write(array.data<char>(), static_cast<std::streamsize>(array.spec.num_bytes()));
    }
    if (!file.flush()) fail(path, "could not be written");
}
