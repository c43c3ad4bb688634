#include "recorded/container.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

#include "base/check.h"

namespace native {
namespace {

// The least of what the limits of ggml.gguf allow, and no file of ours comes near.
constexpr uint64_t max_keys = 1 << 16, max_tensors = 1 << 20, max_text_bytes = 16 << 20;
constexpr uint64_t min_alignment = 8, max_alignment = 4096, default_alignment = 32;
constexpr uint64_t max_elements = uint64_t(1) << 46;
// ggml reads whole vectors, and of quantised rows whole groups of blocks, beyond a tensor's end.
constexpr size_t behind_bytes = 4096;

struct Mapping {
    char* data;
    size_t num_bytes, mapped_bytes;
    ~Mapping() { munmap(data, mapped_bytes); }
};

std::shared_ptr<const Mapping> map(const std::string& path) {
    const auto fail = [&](const char* why) { bad_value("'", path, "': ", why); };
    if (path.find('\0') != std::string::npos) fail("a path has no null character");
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) fail(std::strerror(errno));
    const std::unique_ptr<const int, void (*)(const int*)> closing(&file, [](const int* f) { close(*f); });
    struct stat status{};
    if (fstat(file, &status) != 0) fail(std::strerror(errno));
    if (!S_ISREG(status.st_mode)) fail("is no regular file");
    const auto num_bytes = static_cast<size_t>(status.st_size);
    if (num_bytes < 24) fail("is too short for a GGUF file");
    // Memory of zeros first, and the file over its beginning, so that there is something behind the file's
    // end.
    const auto page_bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t mapped_bytes = (num_bytes + behind_bytes + page_bytes - 1) / page_bytes * page_bytes;
    void* place = mmap(nullptr, mapped_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED) fail(std::strerror(errno));
    auto mapping =
        std::make_shared<const Mapping>(Mapping{static_cast<char*>(place), num_bytes, mapped_bytes});
    if (mmap(place, num_bytes, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, 0) == MAP_FAILED)
        fail(std::strerror(errno));
    return mapping;
}

// Reads the header value by value, and refuses to go past the end.
class Header {
  public:
    Header(const std::string& path, std::string_view bytes) : path_(path), all_(bytes), rest_(bytes) {}

    template <class... Parts>
    [[noreturn]] void fail(const Parts&... parts) const {
        bad_value("'", path_, "': ", parts...);
    }
    template <class T>
    T number(const char* what) {
        T value;
        std::memcpy(&value, take(what, sizeof value).data(), sizeof value);
        return value;
    }
    uint64_t count(const char* what, uint64_t limit) {
        const auto value = number<uint64_t>(what);
        if (value > limit) fail(what, ": ", value, " is more than ", limit);
        return value;
    }
    std::string_view text(const char* what) { return take(what, count(what, max_text_bytes)); }
    std::string_view take(const char* what, uint64_t num_bytes) {
        if (num_bytes > rest_.size()) fail(what, ": the file ends before it does");
        const std::string_view found = rest_.substr(0, static_cast<size_t>(num_bytes));
        rest_.remove_prefix(found.size());
        return found;
    }
    size_t offset() const { return all_.size() - rest_.size(); }

  private:
    const std::string& path_;
    std::string_view all_, rest_;
};

// By GGUF's number of the type; 0 for texts and arrays.
constexpr std::array<uint64_t, 13> value_bytes{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
constexpr uint32_t type_uint8 = 0, type_uint32 = 4, type_text = 8, type_array = 9;

uint64_t bytes_of(const Header& header, uint32_t type) {
    if (type >= value_bytes.size()) header.fail("a value has the unknown type ", type);
    return value_bytes[type];
}

// An array of bytes; of others only its end matters.
std::optional<std::string_view> array(Header& header) {
    const auto type = header.number<uint32_t>("array");
    const uint64_t count = header.count("array", max_elements), item_bytes = bytes_of(header, type);
    if (type == type_array) header.fail("an array has arrays");
    if (type != type_text) {
        const std::string_view found = header.take("array", count * item_bytes);
        return type == type_uint8 ? std::optional(found) : std::nullopt;
    }
    for (uint64_t i = 0; i < count; ++i) header.text("array");
    return std::nullopt;
}

struct TensorInfo {
    std::string name;
    ggml_type type;
    uint64_t num_bytes, offset;
};

TensorInfo tensor_info(Header& header) {
    TensorInfo found;
    found.name = header.text("tensor");
    const auto num_axes = header.number<uint32_t>("tensor");
    if (num_axes > GGML_MAX_DIMS) header.fail("tensor '", found.name, "' has ", num_axes, " axes");
    uint64_t num_elements = 1, row = 1;
    for (uint32_t axis = 0; axis < num_axes; ++axis) {
        const auto extent = header.number<uint64_t>("tensor");
        if (extent > max_elements / (num_elements > 0 ? num_elements : 1))
            header.fail("tensor '", found.name, "' has the extent ", extent);
        if (axis == 0) row = extent;
        num_elements *= extent;
    }
    const auto type = header.number<uint32_t>("tensor");
    found.type = static_cast<ggml_type>(type);
    if (type >= GGML_TYPE_COUNT || ggml_blck_size(found.type) <= 0 || ggml_type_size(found.type) == 0)
        header.fail("tensor '", found.name, "' has the unknown type ", type);
    const auto block = static_cast<uint64_t>(ggml_blck_size(found.type));
    if (row % block != 0)
        header.fail("tensor '", found.name, "' has rows of ", row, ", no multiple of ", block);
    found.num_bytes = num_elements / block * ggml_type_size(found.type);
    found.offset = header.number<uint64_t>("tensor");
    return found;
}

}  // namespace

Container::Container(const std::string& path) {
    const std::shared_ptr<const Mapping> mapping = map(path);
    mapping_ = mapping;
    Header header(path, {mapping->data, mapping->num_bytes});
    if (header.take("magic", 4) != "GGUF") header.fail("is no GGUF file");
    if (const auto version = header.number<uint32_t>("version"); version != 3)
        header.fail("version: GGUF ", version, " is given; this library reads GGUF 3");
    const uint64_t num_tensors = header.count("tensors", max_tensors),
                   num_keys = header.count("keys", max_keys);
    uint64_t alignment = default_alignment;
    for (uint64_t i = 0; i < num_keys; ++i) {
        const std::string key(header.text("key"));
        const auto type = header.number<uint32_t>("key");
        if (type == type_array) {
            if (const auto found = array(header); found && !arrays_.emplace(key, *found).second)
                header.fail("key '", key, "' is there twice");
        } else if (type == type_text) {
            header.text("value");
        } else if (key == "general.alignment" && type == type_uint32) {
            alignment = header.number<uint32_t>("general.alignment");
        } else {
            header.take("value", bytes_of(header, type));
        }
    }
    if (alignment < min_alignment || alignment > max_alignment || (alignment & (alignment - 1)) != 0)
        header.fail("general.alignment: ", alignment, " is none");
    std::vector<TensorInfo> infos;
    for (uint64_t i = 0; i < num_tensors; ++i) infos.push_back(tensor_info(header));
    const uint64_t begin = (header.offset() + alignment - 1) / alignment * alignment;
    for (TensorInfo& info : infos) {
        const uint64_t size = mapping->num_bytes > begin ? mapping->num_bytes - begin : 0;
        if (info.offset % alignment != 0 || info.offset > size || info.num_bytes > size - info.offset)
            header.fail("tensor '", info.name, "' lies outside of the file");
        const StoredTensor stored{info.type, mapping->data + begin + info.offset,
                                  static_cast<size_t>(info.num_bytes)};
        if (!tensors_.emplace(info.name, stored).second)
            header.fail("tensor '", info.name, "' is there twice");
    }
}

std::string_view Container::bytes(const std::string& key) const {
    const auto at = arrays_.find(key);
    return at == arrays_.end() ? std::string_view() : at->second;
}

const StoredTensor* Container::find(const std::string& name) const {
    const auto at = tensors_.find(name);
    return at == tensors_.end() ? nullptr : &at->second;
}

}  // namespace native
