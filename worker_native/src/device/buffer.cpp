#include "device/buffer.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/check.h"

namespace native {
namespace {

// The alignment that ggml wants of a CPU buffer's base. Tensors in it may lie anywhere.
constexpr uintptr_t cpu_alignment_bytes = 32;

// A device that has no way to wrap foreign memory only needs a buffer of its own kind to tell where it is.
constexpr size_t stand_in_bytes = 256;

// ggml reads whole vectors and, for quantised rows, whole groups of blocks.
constexpr size_t padding_bytes = 512;

BufferPtr allocate(Compute& compute, ggml_backend_buffer_type_t type, size_t num_bytes) {
    compute.refuse_elsewhere();
    const size_t padded_bytes = std::max<size_t>(num_bytes, 1) + padding_bytes;
    BufferPtr handle(padded_bytes < num_bytes ? nullptr : ggml_backend_buft_alloc_buffer(type, padded_bytes));
    if (!handle) throw OutOfMemory(text("memory: ", num_bytes, " bytes on ", compute.device().name()));
    return handle;
}

MemoryPtr own(const Compute& compute, BufferPtr handle) {
    void* data = ggml_backend_buffer_get_base(handle.get());
    return std::make_shared<Memory>(nullptr, std::move(handle), data, false, compute);
}

BufferPtr wrap(Compute& compute, void* data, size_t num_bytes) {
    if (!compute.device().is_cpu()) return allocate(compute, compute.buffer_type(), stand_in_bytes);
    const uintptr_t address = reinterpret_cast<uintptr_t>(data);
    const uintptr_t base = address & ~(cpu_alignment_bytes - 1);
    BufferPtr handle(
        ggml_backend_cpu_buffer_from_ptr(reinterpret_cast<void*>(base), num_bytes + (address - base)));
    if (!handle) throw OutOfMemory("memory: a buffer could not be wrapped");
    return handle;
}

ggml_backend_buffer_type_t pinned_type(const Device& device) {
    ggml_backend_buffer_type_t type = ggml_backend_dev_host_buffer_type(device.handle());
    if (!type) bad_value("device: ", device.name(), " has no memory of the host that it reads fast");
    return type;
}

// A tensor of bytes that spans the memory, for ggml's copy functions.
ggml_tensor* bytes_of(ggml_context* context, const Memory& memory, size_t num_bytes) {
    ggml_tensor* tensor = ggml_new_tensor_1d(context, GGML_TYPE_I8, static_cast<int64_t>(num_bytes));
    memory.place(tensor);
    return tensor;
}

GgmlPtr small_context() {
    GgmlPtr context(ggml_init({ggml_tensor_overhead() * 4, nullptr, true}));
    if (!context) throw OutOfMemory("memory: a small context could not be had");
    return context;
}

}  // namespace

Buffer::Buffer(Compute& compute, size_t num_bytes)
    : compute_(&compute),
      num_bytes_(num_bytes),
      memory_(own(compute, allocate(compute, compute.buffer_type(), num_bytes))) {}

Buffer::Buffer(Compute& compute, size_t num_bytes, const Device& pinned_for)
    : compute_(&compute),
      num_bytes_(num_bytes),
      memory_(own(compute, allocate(compute, pinned_type(pinned_for), num_bytes))) {}

Buffer::Buffer(Compute& compute, void* data, size_t num_bytes, std::shared_ptr<void> owner, bool is_read_only)
    : compute_(&compute),
      num_bytes_(num_bytes),
      memory_(std::make_shared<Memory>(std::move(owner), wrap(compute, data, num_bytes), data, is_read_only,
                                       compute)) {}

MemoryPtr Buffer::memory() const {
    const std::lock_guard lock(guard_);
    if (!memory_) bad_value("buffer: it is closed");
    compute_->refuse_elsewhere();
    return memory_;
}

void Buffer::close() {
    MemoryPtr last;  // freed outside of the lock
    const std::lock_guard lock(guard_);
    last.swap(memory_);
}

bool Buffer::is_closed() const {
    const std::lock_guard lock(guard_);
    return !memory_;
}

bool Buffer::is_viewed() const {
    const std::lock_guard lock(guard_);
    return memory_.use_count() > 1;
}

MemoryPtr Buffer::writable_memory() const {
    MemoryPtr here = memory();
    if (here->is_read_only) bad_value("buffer: its memory is read-only; copy it first");
    return here;
}

void Buffer::check_range(size_t offset, size_t num_bytes) const {
    if (offset > num_bytes_ || num_bytes > num_bytes_ - offset)
        bad_value("buffer: bytes ", offset, "..", offset + num_bytes, " of ", num_bytes_);
}

void Buffer::write(const void* source, size_t offset, size_t num_bytes) {
    check_range(offset, num_bytes);
    const MemoryPtr here = writable_memory();
    if (num_bytes == 0) return;
    const GgmlPtr context = small_context();
    ggml_backend_tensor_set(bytes_of(context.get(), *here, num_bytes_), source, offset, num_bytes);
}

void Buffer::read(void* target, size_t offset, size_t num_bytes) const {
    check_range(offset, num_bytes);
    const MemoryPtr here = memory();
    if (num_bytes == 0) return;
    const GgmlPtr context = small_context();
    ggml_backend_tensor_get(bytes_of(context.get(), *here, num_bytes_), target, offset, num_bytes);
}

void Buffer::copy_from(const Buffer& source) {
    if (source.num_bytes_ != num_bytes_)
        bad_value("buffer: cannot copy ", source.num_bytes_, " bytes into ", num_bytes_);
    const MemoryPtr here = writable_memory(), there = source.memory();
    if (num_bytes_ == 0) return;
    const GgmlPtr context = small_context();
    ggml_backend_tensor_copy(bytes_of(context.get(), *there, num_bytes_),
                             bytes_of(context.get(), *here, num_bytes_));
}

}  // namespace native
