// The transforms of rows that were used last: planning one takes longer than using it.
#pragma once

#include <cstdint>
#include <list>
#include <memory>

#include "base/process.h"
#include "kernels/fourier/row_transform.h"

namespace native {

// Beyond a bound on their number and one on their memory, the least recently used ones are dropped. Any
// thread may use it.
class RecentTransforms {
  public:
    // The transform of this length, planned if it is not there.
    std::shared_ptr<const RowTransform> get(int64_t n, bool is_real);

  private:
    struct Entry {
        int64_t n;
        bool is_real;
        std::shared_ptr<const RowTransform> transform;
    };

    void drop_old();

    Lock lock_;
    std::list<Entry> entries_;  // the last used first
};

// The transforms of this process. They are never destroyed: a thread may compute while the process ends.
RecentTransforms& recent_transforms();

}  // namespace native
