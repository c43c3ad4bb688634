#include "sampling/params.h"

#include "base/check.h"

namespace native {

void SamplerParams::check() const {
    // A number that is none is in no range.
    each(*this, [](const char* name, auto value, auto low, auto high) {
        if (!(value >= low && value <= high)) bad_value(name, ": ", value, " is outside ", low, "..", high);
    });
}

}  // namespace native
