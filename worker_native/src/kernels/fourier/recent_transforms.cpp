#include "kernels/fourier/recent_transforms.h"

#include <mutex>

namespace native {
namespace {

constexpr size_t most_transforms = 64;
constexpr int64_t most_bytes = int64_t(64) << 20;

}  // namespace

std::shared_ptr<const RowTransform> RecentTransforms::get(int64_t n, bool is_real) {
    const std::lock_guard held(lock_);
    for (auto at = entries_.begin(); at != entries_.end(); ++at)
        if (at->n == n && at->is_real == is_real) {
            entries_.splice(entries_.begin(), entries_, at);
            return at->transform;
        }
    const auto planned = std::make_shared<const RowTransform>(n, is_real);
    entries_.push_front({n, is_real, planned});
    drop_old();
    return planned;
}

void RecentTransforms::drop_old() {
    int64_t num_bytes = 0;
    size_t num_kept = 0;
    for (auto at = entries_.begin(); at != entries_.end();) {
        num_bytes += at->transform->num_bytes();
        const bool is_kept = num_kept < most_transforms && num_bytes <= most_bytes;
        num_kept += is_kept ? 1 : 0;
        at = is_kept ? std::next(at) : entries_.erase(at);
    }
}

RecentTransforms& recent_transforms() {
    static auto& all = *new RecentTransforms;
    return all;
}

}  // namespace native
