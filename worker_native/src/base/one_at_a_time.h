// An object that serves one thread at a time, and refuses others instead of waiting for it.
#pragma once

#include <atomic>

#include "base/check.h"

namespace native {

class OneAtATime {
  public:
    explicit OneAtATime(const char* what) : what_(what) {}

    // Held during every call. Throws if another thread is inside, whose state it would corrupt.
    class Use {
      public:
        explicit Use(OneAtATime& served) : served_(served) {
            if (served.in_use_.exchange(true))
                failed(served.what_, ": in use by another thread; it serves one at a time");
        }
        ~Use() { served_.in_use_ = false; }
        Use(const Use&) = delete;
        Use& operator=(const Use&) = delete;

      private:
        OneAtATime& served_;
    };

  private:
    const char* what_;
    std::atomic<bool> in_use_ = false;
};

}  // namespace native
