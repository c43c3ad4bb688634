#include "slice/slots.h"

#include "base/check.h"

namespace native {

int32_t Slots::check(const char* what, int64_t slot) const {
    return in_range(what, slot, 0, num_slots() - 1);
}

}  // namespace native
