#include "graph/program.h"

#include "base/check.h"

namespace native {
namespace {

constexpr int64_t max_params = 64;

// Reads words one by one and refuses to go past the end.
class Reader {
  public:
    explicit Reader(std::span<const int64_t> words) : words_(words) {}
    bool at_end() const { return next_ == words_.size(); }
    int64_t word() {
        if (at_end()) bad_value("program: it ends inside a step");
        return words_[next_++];
    }
    std::vector<int64_t> list(const char* what, int64_t limit) {
        std::vector<int64_t> items(static_cast<size_t>(in_range(what, word(), 0, limit)));
        for (int64_t& item : items) item = word();
        return items;
    }

  private:
    std::span<const int64_t> words_;
    size_t next_ = 0;
};

ggml_type type_of(int64_t number) {
    const auto type = static_cast<ggml_type>(in_range("program: type", number, 0, GGML_TYPE_COUNT - 1));
    if (ggml_blck_size(type) <= 0 || ggml_type_size(type) == 0)
        bad_value("program: ggml has no type ", number, " any more");
    return type;
}

void check_extents(const Step& step) {
    int64_t num_elements = 1;
    for (int64_t extent : step.ne) {
        if (extent < 1 || extent > max_elements / num_elements)
            bad_value("program: extent ", extent, " of a tensor with ", num_elements, " elements inside it");
        num_elements *= extent;
    }
    if (step.ne[0] % ggml_blck_size(step.type) != 0)
        bad_value("program: a row of ", step.ne[0], " is no multiple of ", ggml_blck_size(step.type), " of ",
                  ggml_type_name(step.type));
}

}  // namespace

std::vector<Step> decode_program(std::span<const std::string> names, std::span<const int64_t> words) {
    std::vector<Step> steps;
    Reader reader(words);
    while (!reader.at_end()) {
        Step step;
        step.name = names[static_cast<size_t>(
            in_range("program: name", reader.word(), 0, static_cast<int64_t>(names.size()) - 1))];
        step.type = type_of(reader.word());
        for (int64_t& extent : step.ne) extent = reader.word();
        check_extents(step);
        step.sources = reader.list("program: num_sources", kMaxSources);
        for (int64_t source : step.sources)
            in_range("program: source", source, 0, static_cast<int64_t>(steps.size()) - 1);
        step.params = reader.list("program: num_params", max_params);
        steps.push_back(std::move(step));
    }
    return steps;
}

}  // namespace native
