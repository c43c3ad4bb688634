#include "vocab/deep_stack.h"

#include <pthread.h>

#include <exception>

#include "base/check.h"

namespace native {
namespace {

// For what any call takes: the sum is above every system's least stack.
constexpr int64_t spare_stack_bytes = 1 << 20;

struct Job {
    const std::function<void()>& call;
    std::exception_ptr error;
};

void* do_job(void* opaque) {
    auto* job = static_cast<Job*>(opaque);
    try {
        job->call();
    } catch (...) {
        job->error = std::current_exception();
    }
    return nullptr;
}

}  // namespace

void on_deep_stack(int64_t stack_bytes, const std::function<void()>& call) {
    Job job{call, nullptr};
    const int64_t size = stack_bytes / 4096 * 4096 + spare_stack_bytes;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_t thread;
    int code = pthread_attr_setstacksize(&attributes, static_cast<size_t>(size));
    if (code == 0) code = pthread_create(&thread, &attributes, do_job, &job);
    pthread_attr_destroy(&attributes);
    if (code != 0)
        throw OutOfMemory(
            text("text: there is no room for a stack of ", size >> 20, " MiB; give a shorter one"));
    pthread_join(thread, nullptr);
    if (job.error) std::rethrow_exception(job.error);
}

}  // namespace native
