// Large buffers in huge pages.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

namespace native {

// The memory that this process maps after the object was made.
class NewMemory {
  public:
    NewMemory();

    // Lays the large anonymous buffers, as far as they have been written, in huge pages: a step reads all
    // weights, and in small pages it waits for the page tables too. Takes no longer than `most`: where memory
    // is in pieces, the kernel has to move others' pages for each huge one. Does nothing where the system has
    // none to give, or where the operator has switched them off ("never").
    void use_huge_pages(std::chrono::milliseconds most) const;

  private:
    struct Range {
        uintptr_t begin;
        uintptr_t end;
    };

    static std::vector<Range> anonymous_ranges();
    std::vector<Range> new_buffers() const;

    std::vector<Range> before_;  // in the order of their addresses
};

}  // namespace native
