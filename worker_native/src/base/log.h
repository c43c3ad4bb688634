// libllama's and ggml's log lines: dropped unless a sink is set; errors are kept for our own messages.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace native {

using LogSink = std::function<void(int level, const std::string& line)>;

// Route both libraries' logs here, unless they already are: `import llama_cpp` in this process takes them
// away.
void install_log();

// Whole lines go to `sink` from whichever thread logs them; null drops them.
void set_log_sink(std::shared_ptr<LogSink> sink);

// Collects the error lines that the calling thread logs while it lives.
class LoggedErrors {
  public:
    LoggedErrors();
    ~LoggedErrors();
    LoggedErrors(const LoggedErrors&) = delete;
    LoggedErrors& operator=(const LoggedErrors&) = delete;

    // The first error, which names the cause (later ones only repeat that something failed), or `otherwise`.
    std::string first(const std::string& otherwise) const;
    void add(std::string line) { lines_.push_back(std::move(line)); }

  private:
    LoggedErrors* outer_;
    std::vector<std::string> lines_;
};

}  // namespace native
