#include "device/compute.h"

#include <map>
#include <memory>

#include "base/check.h"
#include "base/log.h"

namespace native {
namespace {

thread_local bool is_observing = false;

}  // namespace

Observing::Observing() : was_observing_(is_observing) { is_observing = true; }

Observing::~Observing() { is_observing = was_observing_; }

void refuse_while_observing() {
    if (is_observing)
        throw Occupied(
            "observers and signal handlers cannot compute while this thread runs a graph; use numpy");
}

void Compute::refuse_elsewhere() const {
    if (is_elsewhere())
        throw Forked(text(device_.name(), ": it belongs to the process that this one was forked from; ",
                          "start processes with spawn, or use the CPU"));
}

Compute::Compute(const Device& device) : device_(device) {
    const LoggedErrors errors;
    backend_.reset(ggml_backend_dev_init(device.handle(), nullptr));
    if (!backend_) failed("device ", device.name(), ": ", errors.first("it could not be opened"));
    set_abort_ = reinterpret_cast<ggml_backend_set_abort_callback_t>(ggml_backend_reg_get_proc_address(
        ggml_backend_dev_backend_reg(device.handle()), "ggml_backend_set_abort_callback"));
    set_threads_ = reinterpret_cast<ggml_backend_set_n_threads_t>(ggml_backend_reg_get_proc_address(
        ggml_backend_dev_backend_reg(device.handle()), "ggml_backend_set_n_threads"));
}

void Compute::set_threads(int num_threads) {
    refuse_while_observing();
    const std::lock_guard lock(busy_);
    num_threads_ = num_threads;
    use_threads(num_threads);
}

void Compute::use_threads(int num_threads) {
    if (set_threads_ && num_threads != num_used_) set_threads_(backend(), num_threads);
    num_used_ = num_threads;
}

Compute& compute_on(const std::string& device_name) {
    // Never destroyed: buffers may outlive every static object when the interpreter ends.
    static auto& opened = *new std::map<std::string, std::unique_ptr<Compute>>;
    static auto& guard = *new Lock;
    const std::lock_guard lock(guard);
    std::unique_ptr<Compute>& compute = opened[device_name];
    if (!compute) compute = std::make_unique<Compute>(find_device(device_name));
    return *compute;
}

Compute& cpu_compute() {
    static Compute& cpu = compute_on([] {
        for (const Device& device : devices())
            if (device.is_cpu()) return device;
        failed("device: this build of ggml has no CPU device");
    }()
                                         .name());
    return cpu;
}

}  // namespace native
